package foreign

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// networkName is the name of the open network under test.
	networkName = "foreign"
	// patience is how long a test waits for what must come about.
	patience = 30 * time.Second
	// pollInterval is the time between two looks at what nobody tells of.
	pollInterval = 10 * time.Millisecond
)

func networkID(t *testing.T) swarm.NetworkID {
	t.Helper()
	id, err := swarm.OpenNetwork(networkName)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// startNetwork runs n nodes on loopback TCP until the test ends, and returns once they all know one another.
func startNetwork(t *testing.T, n int) []*node.Node {
	t.Helper()
	var nodes []*node.Node
	var bootstrap []ma.Multiaddr
	for range n {
		started := startNode(t, bootstrap)
		bootstrap = started.Addrs()
		nodes = append(nodes, started)
	}
	for _, started := range nodes {
		until(t, "all nodes alive", started.ViewChanged, func() bool { return started.View().Count(routing.Alive) == n })
	}
	return nodes
}

func startNode(t *testing.T, bootstrap []ma.Multiaddr) *node.Node {
	t.Helper()
	n, err := node.New(node.Config{
		Home: t.TempDir(), Network: networkName, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Bootstrap: bootstrap,
		API: node.APIConfig{Listen: "127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop a node: %v", err)
		}
	})
	select {
	case <-n.Ready():
	case <-time.After(patience):
		t.Fatal("a node is not ready")
	}
	return n
}

// until waits for a condition that may have changed when the channel of changed is closed; a nil one stands for looking now and then.
func until(t *testing.T, what string, changed func() <-chan struct{}, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		var change <-chan struct{}
		if changed != nil {
			change = changed()
		}
		if condition() {
			return
		}
		select {
		case <-change:
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func addrInfo(t *testing.T, n *node.Node) peer.AddrInfo {
	t.Helper()
	infos, err := peer.AddrInfosFromP2pAddrs(n.Addrs()...)
	if err != nil || len(infos) != 1 {
		t.Fatalf("addresses %v: %v", n.Addrs(), err)
	}
	return infos[0]
}

func mustPut(t *testing.T, n *node.Node, key, value string) {
	t.Helper()
	if _, err := n.Records().Put(t.Context(), key, []byte(value), records.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, n *node.Node, key, want string) {
	t.Helper()
	r, err := n.Records().Get(t.Context(), key, records.GetOptions{})
	if err != nil || string(r.Value) != want {
		t.Errorf("a member reads %q, %v under %s; want %q", r.Value, err, key, want)
	}
	if r.Author != "" {
		t.Errorf("what a foreign peer put under %s has the author %s", key, r.Author)
	}
}
