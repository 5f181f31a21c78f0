package node_test

import (
	"context"
	"testing"

	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/routing"
)

// TestCutOff: a node that is cut off is found dead by the others, as if it had been killed, and comes back.
func TestCutOff(t *testing.T) {
	first, _ := start(t, loopback(t.TempDir()))
	cfg := loopback(t.TempDir(), first.Addrs()...)
	second, err := node.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cut := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- second.Run(ctx) }()
	untilAlive(t, first, 2)
	seen := make(chan map[routing.State]bool, 1)
	watch, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	go func() { seen <- statesUntilDead(watch, first, second) }()
	cut(node.ErrCutOff)
	states := <-seen
	if !states[routing.Dead] || states[routing.Away] {
		t.Errorf("it was seen as %v: want dead, and never away", states)
	}
	if err := <-done; err != nil {
		t.Logf("what broke off: %v", err)
	}
	start(t, cfg)
	untilAlive(t, first, 2)
}

// statesUntilDead returns the states in which n saw another node until it was dead, or ctx ended.
func statesUntilDead(ctx context.Context, n, other *node.Node) map[routing.State]bool {
	seen := make(map[routing.State]bool)
	for {
		changed := n.ViewChanged()
		if m, ok := n.View().Member(other.ID()); ok {
			seen[m.State] = true
		}
		if seen[routing.Dead] {
			return seen
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return seen
		}
	}
}
