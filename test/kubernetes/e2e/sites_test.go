//go:build kubernetes && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/kubernetes/cluster"
	"github.com/folkmoot/folkmoot/test/moottest"
	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// sitesPatience bounds waits for what relays lead to.
	sitesPatience = time.Minute
	// relayCommand bounds a command at the relay.
	relayCommand = 30 * time.Second
)

// TestTwoClusters has two organisations, each with a cluster behind a NAT, make one network for members only by one line that the first sends to the second. Between them is one machine with a public address, which relays.
// The clusters have the same addresses inside, as two companies may.
func TestTwoClusters(t *testing.T) {
	if shared.Router() == "" {
		t.Skip("GAP: the NATs of two clusters need clusters of our own")
	}
	lab, err := netns.New()
	check(t, err)
	t.Cleanup(func() { check(t, lab.Close()) })
	internet, err := lab.PublicLink("internet")
	check(t, err)
	far := farCluster(t)
	for _, c := range []*cluster.Cluster{shared, far} {
		router := lab.Adopt(c.Router())
		_, err := router.Attach(internet)
		check(t, err)
		check(t, router.Translate(internet, netns.EndpointIndependent))
	}
	middle, err := lab.Host("relay")
	check(t, err)
	addrs, err := middle.Attach(internet)
	check(t, err)
	bootstrap := fmt.Sprintf("discovery.bootstrap={/ip4/%s/tcp/4242}", addrs.V4.Addr())

	// The first organisation founds the network, and has the relay be a member.
	began := time.Now()
	first := install(newNamespace(t, "first"), "folkmoot", "validators=1", "replicas=1", bootstrap)
	relay := newRelay(t, middle)
	made := relay.do(first.kubectl("get", "configmap", "folkmoot-genesis", "-o", `jsonpath={.data.genesis\.json}`), "init", "--genesis", "-", "--json")
	var home struct{ ID string }
	check(t, json.Unmarshal([]byte(made), &home))
	first.mootAt("folkmoot-validator-0", "members", "admit", home.ID, "--name", "relay")
	check(t, relay.Start())
	first.throughRelay("folkmoot-validator-0")
	t.Logf("the first cluster is reached through the relay after %v", time.Since(began).Round(time.Second))

	// One line goes from the first to the second.
	began = time.Now()
	line := first.mootAt("folkmoot-validator-0", "invite", "--uses", "2", "--note", "the second organisation")
	n := newNamespaceIn(t, far, "second")
	n.kubectl("create", "secret", "generic", "invite", "--from-literal=line="+line)
	second := install(n, "folkmoot", "join.existingSecret=invite", "replicas=2")
	t.Logf("the second organisation has joined after %v", time.Since(began).Round(time.Second))

	const peers = 5
	for _, r := range []struct {
		*release
		pod string
	}{{first, "folkmoot-validator-0"}, {first, "folkmoot-0"}, {second, "folkmoot-0"}, {second, "folkmoot-1"}} {
		r.within(sitesPatience, func(ctx context.Context) error {
			node, err := r.statusOf(r.pod)
			if err == nil && (node.Peers.Alive != peers-1 || !node.Ready) {
				err = fmt.Errorf("%s knows %+v, ready: %t", r.pod, node.Peers, node.Ready)
			}
			return err
		})
	}
	t.Logf("all know one another %v after the line was made", time.Since(began).Round(time.Second))
	second.mootAt("folkmoot-0", "put", "from-the-second", "good day")
	first.mootAt("folkmoot-0", "put", "from-the-first", "good evening")
	if got := first.mootAt("folkmoot-validator-0", "get", "from-the-second"); got != "good day" {
		t.Errorf("the first reads %q", got)
	}
	if got := second.mootAt("folkmoot-1", "get", "from-the-first"); got != "good evening" {
		t.Errorf("the second reads %q", got)
	}
	// What the first writes into the ledger is at the second, which follows it.
	first.mootAt("folkmoot-validator-0", "ledger", "account", "new", "bank")
	first.mootAt("folkmoot-validator-0", "ledger", "asset", "define", "EUR", "--issuer", "bank")
	height := first.ledgerOf("folkmoot-validator-0").Height
	second.within(sitesPatience, func(context.Context) error {
		if has := second.ledgerOf("folkmoot-0"); has.Height < height || has.Syncing {
			return fmt.Errorf("the second has block %d of %d, syncing: %t", has.Height, height, has.Syncing)
		}
		return nil
	})
	if members := first.mootAt("folkmoot-0", "members", "list"); strings.Count(members, "folkmoot-") != 4 {
		t.Errorf("the members are\n%s", members)
	}
}

// farCluster brings a second cluster up, which ends with the test.
func farCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	options := cluster.Options{Name: "e2e-far", Log: t.Output()}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), downPatience)
		defer cancel()
		check(t, cluster.Down(ctx, options))
	})
	c, err := cluster.Up(t.Context(), options)
	check(t, err)
	check(t, c.LoadImage(t.Context(), imageArchive))
	return c
}

// relayNode is a node outside of all clusters.
type relayNode struct {
	moottest.Node
	t *testing.T
}

func newRelay(t *testing.T, host *netns.Host) *relayNode {
	t.Helper()
	folder := t.TempDir()
	binary, err := moottest.Build(t.Context(), folder)
	check(t, err)
	r := &relayNode{t: t, Node: moottest.Node{Binary: binary, Machine: host, Home: filepath.Join(folder, "home"), Args: []string{"--mdns=false", "--ledger=false"}}}
	t.Cleanup(func() {
		check(t, r.Stop())
		if t.Failed() && r.Process != nil {
			t.Logf("output of the relay:\n%s", r.Output())
		}
	})
	return r
}

// do runs a command that must succeed, and returns what it prints.
func (r *relayNode) do(stdin string, args ...string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), relayCommand)
	defer cancel()
	done, err := r.Run(ctx, stdin, args...)
	check(r.t, err)
	if done.Code != 0 {
		r.t.Fatalf("moot %s at the relay: exit code %d\n%s", strings.Join(args, " "), done.Code, done.Stderr)
	}
	return done.Stdout
}

// mootAt is moot in any pod.
func (r *release) mootAt(pod string, args ...string) string {
	r.t.Helper()
	return r.kubectl(append([]string{"exec", pod, "-c", "moot", "--", "moot"}, args...)...)
}

func (r *release) statusOf(pod string) (node v1.Node, err error) {
	out, err := r.tryKubectl("exec", pod, "-c", "moot", "--", "moot", "status", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &node)
	}
	return node, err
}

// ledgerOf returns what a pod says of the ledger.
func (r *release) ledgerOf(pod string) (state v1.Ledger) {
	r.t.Helper()
	check(r.t, json.Unmarshal([]byte(r.mootAt(pod, "ledger", "status", "--json")), &state))
	return state
}

// throughRelay waits until a pod knows that it can't be dialled, and is reached through a relay.
func (r *release) throughRelay(pod string) {
	r.t.Helper()
	r.within(sitesPatience, func(context.Context) error {
		node, err := r.statusOf(pod)
		if err == nil && (node.Reachability == nil || node.Reachability.State != "unreachable" || len(node.Reachability.Relays) == 0) {
			err = fmt.Errorf("%s: %+v", pod, node.Reachability)
		}
		return err
	})
}
