//go:build kubernetes && linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/moottest"
)

// readyWithin is how long five peers may take from the installation until all are ready.
const readyWithin = time.Minute

// outsidePort is the first of the ports of the nodes at which the second release's peers are reached.
const outsidePort = 32450

// outsideAPI is the address of the API of a peer outside the cluster, in the cluster's LAN.
const outsideAPI = "127.0.0.1:7979"

// TestChart takes the chart through a release's life: installation, test, upgrade, another release beside it, a peer outside the cluster, and uninstallation.
func TestChart(t *testing.T) {
	n := newNamespace(t, "chart")
	began := time.Now()
	town := install(n, "folkmoot-town")
	if took := time.Since(began); took > readyWithin {
		t.Errorf("five peers were ready after %v, want %v at most", took, readyWithin)
	} else {
		t.Logf("five peers were ready after %v", took.Round(time.Second))
	}
	town.settle(5)
	town.passRecord("greeting", "hello there")
	n.helm("test", town.name)
	town.upgradeOne()
	town.refuses("validators=4", "network is open, and can't be given a ledger")

	alone := n.inventory()
	village := install(n, "folkmoot-village", "replicas=2", "extra.replicas=1", "extra.drainTimeoutSeconds=20", "persistence.retain.whenDeleted=Delete",
		"outside.type=NodePort", fmt.Sprintf("outside.nodePortBase=%d", outsidePort))
	keepApart(town, village)
	village.joinFromOutside()
	n.helm("test", village.name)
	village.uninstall(alone)

	town.uninstall(town.claims(5))
	again := install(n, town.name)
	again.settle(5)
	if got := again.moot(0, "get", "greeting"); got != "hello there" {
		t.Errorf("after a new installation on the volumes that were kept: %q", got)
	}
}

// moot runs a moot command in the container of a peer of the StatefulSet.
func (r *release) moot(peer int, args ...string) string {
	r.t.Helper()
	return r.kubectl(append([]string{"exec", fmt.Sprintf("%s-%d", r.name, peer), "--", "moot"}, args...)...)
}

// passRecord puts a record through a peer of each node, and reads it through those of the others.
func (r *release) passRecord(key, value string) {
	r.t.Helper()
	ofNode := make(map[string]string)
	for _, p := range r.pods() {
		ofNode[p.Node] = p.Name
	}
	if len(ofNode) != len(shared.Nodes()) {
		r.t.Fatalf("peers are on the nodes %v, want some on each of %v", ofNode, shared.Nodes())
	}
	for from, writer := range ofNode {
		r.kubectl("exec", writer, "--", "moot", "put", key, value)
		for to, reader := range ofNode {
			if got := r.kubectl("exec", reader, "--", "moot", "get", key); got != value {
				r.t.Errorf("put %q through %s on %s, got %q through %s on %s", value, writer, from, got, reader, to)
			}
		}
	}
}

// upgradeOne changes what peers are told, for the last of them only: the others, the token and the identities stay.
func (r *release) upgradeOne() {
	r.t.Helper()
	const uids = "jsonpath={range .items[*]}{.metadata.uid}{'\\n'}{end}"
	peers := []string{"get", "pods", "-l", "app.kubernetes.io/component=peer,app.kubernetes.io/instance=" + r.name, "--sort-by=.metadata.name", "-o", uids}
	token := []string{"get", "secret", r.name + "-api", "-o", "jsonpath={.data.token}"}
	pods, secret, id := strings.Fields(r.kubectl(peers...)), r.kubectl(token...), r.moot(4, "status", "--json")
	r.upgrade("log.level=debug", "updateStrategy.rollingUpdate.partition=4")
	r.kubectl("rollout", "status", "statefulset/"+r.name, "--timeout="+settlePatience.String())
	r.settle(5)
	now := strings.Fields(r.kubectl(peers...))
	if !slices.Equal(now[:4], pods[:4]) || now[4] == pods[4] {
		r.t.Errorf("pods %v, after the upgrade %v: want another one at the end", pods, now)
	}
	if r.kubectl(token...) != secret {
		r.t.Error("the upgrade has made another token")
	}
	if before, after := peerID(id), peerID(r.moot(4, "status", "--json")); before == "" || before != after {
		r.t.Errorf("the last peer was %q, and is %q after the upgrade", before, after)
	}
	if got := r.moot(4, "get", "greeting"); got != "hello there" {
		r.t.Errorf("after the upgrade: %q", got)
	}
}

// peerID returns the id in what moot status --json prints.
func peerID(status string) string {
	_, rest, _ := strings.Cut(status, `"id": "`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// keepApart fails the test if two releases of one namespace know of one another.
func keepApart(town, village *release) {
	t := town.t
	t.Helper()
	town.settle(5)
	if peers := strings.Count(village.moot(0, "peers"), "\n12D3"); peers != 3 {
		t.Errorf("the second release has %d peers, want 3", peers)
	}
	if got, err := village.tryKubectl("exec", village.name+"-0", "--", "moot", "get", "greeting"); err == nil {
		t.Errorf("a record of the first release is read in the second: %q", got)
	}
	village.moot(0, "put", "greeting", "hello from the village")
	if got := town.moot(0, "get", "greeting"); got != "hello there" {
		t.Errorf("the second release has changed a record of the first to %q", got)
	}
}

// joinFromOutside lets a peer beside the cluster into the network, by a port of a node.
func (r *release) joinFromOutside() {
	r.t.Helper()
	if os.Getenv("MOOT_KUBECONFIG") != "" {
		const gap = "GAP: no peer outside the cluster joins: this machine has no place in the network of a cluster that exists"
		if r.t.Log(gap); !moottest.GapsAllowed() {
			r.t.Error("gaps are failures here")
		}
		return
	}
	dir := r.t.TempDir()
	moot, err := moottest.Build(r.t.Context(), dir)
	check(r.t, err)
	home := filepath.Join(dir, "home")
	node := r.kubectl("get", "pod", r.name+"-1", "-o", "jsonpath={.status.hostIP}")
	run := exec.CommandContext(r.t.Context(), moot, "run", "--home", home, "--network", r.name+"."+r.namespace.name, "--open", "--mdns=false",
		"--bootstrap", fmt.Sprintf("/ip4/%s/tcp/%d", node, outsidePort+1), "--api-listen", outsideAPI)
	check(r.t, shared.Do(run.Start))
	defer func() {
		run.Process.Signal(os.Interrupt)
		run.Wait()
	}()
	outsider := func(args ...string) string {
		r.t.Helper()
		var out []byte
		cmd := exec.CommandContext(r.t.Context(), moot, append(args, "--home", home, "--api", outsideAPI)...)
		err := shared.Do(func() (err error) { out, err = cmd.CombinedOutput(); return err })
		if err != nil {
			return fmt.Sprintf("%s: %v", out, err)
		}
		return strings.TrimSpace(string(out))
	}
	r.eventually(func(context.Context) error {
		if got := outsider("get", "greeting"); got != "hello from the village" {
			return fmt.Errorf("outside: %s", got)
		}
		return nil
	})
	outsider("put", "news", "from afar")
	if got := r.moot(0, "get", "news"); got != "from afar" {
		r.t.Errorf("what a peer outside has put is %q inside", got)
	}
	if peers := outsider("peers"); !strings.Contains(peers, "static") {
		r.t.Errorf("the peer outside has found none at the port of a node:\n%s", peers)
	}
	outsider("leave")
}

// uninstall uninstalls the release, after which nothing but what is wanted must be left.
func (r *release) uninstall(want []string) {
	r.t.Helper()
	r.helm("uninstall", r.name)
	slices.Sort(want)
	r.eventually(func(context.Context) error {
		if left := r.inventory(); !slices.Equal(left, want) {
			return fmt.Errorf("uninstalled %s: left are %v, want %v", r.name, left, want)
		}
		return nil
	})
}

// claims returns the claims of the release's peers.
func (r *release) claims(peers int) (claims []string) {
	for i := range peers {
		claims = append(claims, fmt.Sprintf("persistentvolumeclaim/data-%s-%d", r.name, i))
	}
	return claims
}

// inventory returns the names of all objects in the namespace, sorted, those aside that Kubernetes makes in every namespace, and events.
func (n *namespace) inventory() []string {
	n.t.Helper()
	var kinds []string
	for kind := range strings.FieldsSeq(n.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name")) {
		if kind != "events" && kind != "events.events.k8s.io" {
			kinds = append(kinds, kind)
		}
	}
	all := slices.Sorted(strings.FieldsSeq(n.kubectl("get", strings.Join(kinds, ","), "-o", "name", "--ignore-not-found")))
	return slices.DeleteFunc(all, func(name string) bool {
		return name == "configmap/kube-root-ca.crt" || name == "serviceaccount/default"
	})
}
