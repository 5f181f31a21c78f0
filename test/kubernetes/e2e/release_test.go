//go:build kubernetes && linux

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
)

const (
	// apiPort is the chart's.
	apiPort = 7070
	// installPatience bounds an installation until every peer is ready.
	installPatience = 2 * time.Minute
	// settlePatience bounds the time until a network is whole again after something went wrong, and every record at full count.
	settlePatience = 2 * time.Minute
	// lookInterval is the time between two looks at a network through its API, which tells of no changes.
	lookInterval = 200 * time.Millisecond
	// lookPatience bounds one of them.
	lookPatience = 5 * time.Second
)

// A release is a network that the chart installed.
type release struct {
	*namespace
	name     string // also of its StatefulSet
	token    string
	nodePort string // of the API's Service
}

// install installs the chart and waits until every peer is ready. The name must be one that the chart takes for its objects as it is.
func install(n *namespace, name string, values ...string) *release {
	n.t.Helper()
	args := append([]string{"install", name, chart(n.t), "--wait", "--timeout", installPatience.String()}, set(append([]string{
		"image.tag=" + imageTag, "image.pullPolicy=Never", "api.service.type=NodePort", "persistence.size=1Gi",
	}, values...))...)
	n.helm(args...)
	r := &release{namespace: n, name: name}
	token, err := base64.StdEncoding.DecodeString(n.kubectl("get", "secret", name+"-api", "-o", "jsonpath={.data.token}"))
	check(n.t, err)
	r.token = string(token)
	r.nodePort = n.kubectl("get", "service", name, "-o", "jsonpath={.spec.ports[0].nodePort}")
	return r
}

// chart returns the chart's folder.
func chart(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "deploy/helm/folkmoot"))
	check(t, err)
	return path
}

// set returns helm's options for values.
func set(values []string) (args []string) {
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return args
}

// upgrade changes values of the release; it does not wait for what follows.
func (r *release) upgrade(values ...string) {
	r.t.Helper()
	r.helm(append([]string{"upgrade", r.name, chart(r.t), "--reuse-values"}, set(values)...)...)
}

// refuses checks that an upgrade to values fails, and says why.
func (r *release) refuses(value, why string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), commandPatience)
	defer cancel()
	_, err := r.cluster.Helm(ctx, "-n", r.namespace.name, "upgrade", r.name, chart(r.t), "--reuse-values", "--set", value)
	if err == nil || !strings.Contains(err.Error(), why) {
		r.t.Errorf("upgrade with %s: %v, want %q in it", value, err, why)
	}
}

// A pod is a peer's.
type pod struct {
	Name, Node, IP string
}

// url is the address of the peer's API.
func (p *pod) url() string { return "http://" + net.JoinHostPort(p.IP, strconv.Itoa(apiPort)) }

// pods returns the peers' pods that are not being deleted, by name.
func (r *release) pods() (pods []pod) {
	r.t.Helper()
	pods, err := r.tryPods()
	check(r.t, err)
	return pods
}

func (r *release) tryPods() (pods []pod, err error) {
	out, err := r.tryKubectl("get", "pods", "-l", "app.kubernetes.io/component=peer,app.kubernetes.io/instance="+r.name, "--sort-by=.metadata.name", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct {
				Name              string
				DeletionTimestamp *time.Time
			}
			Spec   struct{ NodeName string }
			Status struct{ PodIP string }
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("read the list of pods: %w", err)
	}
	for _, item := range list.Items {
		if item.Metadata.DeletionTimestamp == nil {
			pods = append(pods, pod{item.Metadata.Name, item.Spec.NodeName, item.Status.PodIP})
		}
	}
	return pods, nil
}

// podURLs returns the addresses of each peer's API.
func (r *release) podURLs() (urls []string) {
	r.t.Helper()
	for _, p := range r.pods() {
		urls = append(urls, p.url())
	}
	return urls
}

// nodeURLs returns the addresses of the API's Service, at each node.
func (r *release) nodeURLs() (urls []string) {
	r.t.Helper()
	for ip := range strings.FieldsSeq(r.kubectl("get", "nodes", "-o", `jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}`)) {
		urls = append(urls, "http://"+net.JoinHostPort(ip, r.nodePort))
	}
	return urls
}

// settle waits until there are as many peers as wanted, each ready and sure of all others, and every record is at full count. It returns how long that took.
func (r *release) settle(peers int) time.Duration {
	r.t.Helper()
	began := time.Now()
	r.kubectl("wait", "statefulset/"+r.name, fmt.Sprintf("--for=jsonpath={.status.readyReplicas}=%d", peers), "--timeout="+settlePatience.String())
	r.eventually(func(ctx context.Context) error { return r.whole(ctx, peers) })
	return time.Since(began)
}

// eventually waits until look returns nil.
func (r *release) eventually(look func(context.Context) error) {
	r.t.Helper()
	r.within(settlePatience, look)
}

// within is eventually with another patience.
func (r *release) within(patience time.Duration, look func(context.Context) error) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(r.t.Context(), lookPatience)
		err := look(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("still after %v: %v", patience, err)
		}
		time.Sleep(lookInterval)
	}
}

// whole returns nil when every peer is sure of all others and every record is at full count.
func (r *release) whole(ctx context.Context, peers int) error {
	pods, err := r.tryPods()
	if err != nil {
		return err
	}
	if len(pods) != peers {
		return fmt.Errorf("%d pods, want %d", len(pods), peers)
	}
	for _, p := range pods {
		c, err := r.client(p.url())
		if err != nil {
			return err
		}
		defer c.Close()
		node, err := c.Node(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		records := node.Records
		if !node.Ready || node.Peers.Alive != peers-1 || node.Peers.Suspect+node.Peers.Away != 0 ||
			records.Below+records.Unreachable != 0 || records.ShardsSynced != records.ShardsHeld {
			return fmt.Errorf("%s: %+v", p.Name, node)
		}
	}
	return nil
}

func (r *release) client(url string) (*client.Client, error) {
	return client.New(url, client.Options{Token: r.token, HTTPClient: &http.Client{Transport: &http.Transport{DialContext: r.cluster.DialContext}}})
}
