package sim_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/sim"
)

// TestScaleUnderLoad adds two peers to five, and soon after has the three newest leave shortly after one another, while the same records are written over and over: neither what comes to those who
// leave keeps them, nor that one hands over to another which then leaves too.
func TestScaleUnderLoad(t *testing.T) {
	const size, keys, callers, pause = 256, 500, 8, 160 * time.Millisecond
	simulate(t, sim.Config{Zones: []string{"a", "b", "a", "b", "a"}}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		l := newLedger()
		l.fill(ctx, t, n, "key", keys, size)
		stop := l.rewrite(ctx, n, "key", keys, size, callers, pause)
		leavers := []*sim.Peer{n.Peers()[4], mustAdd(t, n, "b"), mustAdd(t, n, "a")}
		if err := n.AwaitViews(ctx, repairWithin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(n.IntN(20)) * time.Second)
		var leaving sync.WaitGroup
		for _, p := range leavers {
			leaving.Go(func() {
				time.Sleep(time.Duration(n.IntN(1500)) * time.Millisecond)
				leaveWithin(ctx, t, p, repairWithin)
			})
		}
		leaving.Wait()
		stop()
		if _, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin); err != nil {
			t.Error(err)
		}
		if err := l.checkValues(ctx, n, size); err != nil {
			t.Error(err)
		}
	})
}

// TestLeaveAmongTheDead has a peer leave a network in which another one lies dead, and is not forgotten yet: there are fewer peers left than copies wanted.
func TestLeaveAmongTheDead(t *testing.T) {
	const size, keys = 256, 100
	simulate(t, sim.Config{Zones: sim.SpreadZones(6)}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		l := newLedger()
		l.fill(ctx, t, n, "key", keys, size)
		if _, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin); err != nil {
			t.Fatal(err)
		}
		n.Peers()[5].Kill()
		time.Sleep(repairWithin)
		leaveWithin(ctx, t, n.Peers()[4], repairWithin)
		if err := l.checkValues(ctx, n, size); err != nil {
			t.Error(err)
		}
	})
}

// leaveWithin has a peer leave.
func leaveWithin(ctx context.Context, t *testing.T, p *sim.Peer, within time.Duration) {
	t.Helper()
	began := time.Now()
	leave, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := p.Leave(leave); err != nil {
		t.Error(err)
		return
	}
	t.Logf("%s has left after %v", p, time.Since(began))
}

// rewrite has callers write the given records over and over, each with a pause after every write, until stop is called.
func (l *ledger) rewrite(ctx context.Context, n *sim.Network, prefix string, keys, size, callers int, pause time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if peers := n.Pick(1); len(peers) == 1 {
					_ = l.put(ctx, peers[0], fmt.Sprintf("%s%d", prefix, n.IntN(keys)), size, records.Quorum) // counted
				}
				time.Sleep(pause)
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}
