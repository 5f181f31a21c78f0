package node

import (
	"context"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
)

// TestBackendConforms holds a node of a real network of two to what the HTTP API is promised.
func TestBackendConforms(t *testing.T) {
	apitest.TestBackend(t, func(t *testing.T) api.Backend {
		first := runForTest(t)
		second := runForTest(t, first.Addrs()...)
		for _, n := range []*Node{first, second} {
			awaitPeers(t, n, 2)
		}
		return backend{second}
	})
}

// awaitSync waits until the node knows all that is in its charge.
func awaitSync(t *testing.T, n *Node) {
	t.Helper()
	for s := n.Records().Stats(); s.ShardsHeld == 0 || s.ShardsSynced < s.ShardsHeld; s = n.Records().Stats() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("%d of %d shards are in sync", s.ShardsSynced, s.ShardsHeld)
		}
	}
}

func runForTest(t *testing.T, bootstrap ...ma.Multiaddr) *Node {
	t.Helper()
	return runConfig(t, Config{
		Home: t.TempDir(), Network: "test", Bootstrap: bootstrap,
		Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, patience: testPatience,
	})
}

// runConfig runs a node until the test is over.
func runConfig(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	<-n.Ready()
	return n
}
