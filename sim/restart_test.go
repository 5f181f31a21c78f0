package sim_test

import (
	"context"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/sim"
)

// repairBytes returns what was moved for repair: what all stores fetched, and what they brought to others.
func repairBytes(n *sim.Network) float64 {
	c := n.Counters()
	return c[`moot_records_repair_bytes_total{direction="in"}`] + c[`moot_records_repair_bytes_total{direction="out"}`]
}

// TestRollingRestart stops every peer in turn, with its absence announced, and starts it again within the grace, while a few writes go on: almost no data moves.
func TestRollingRestart(t *testing.T) {
	const size, grace = 4096, time.Minute
	peers, count := sized(6, 32), sized(100, 1000)
	simulate(t, sim.Config{Zones: sim.SpreadZones(peers)}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		l := newLedger()
		l.fill(ctx, t, n, "key", count, size)
		if _, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(repairWithin) // what the beginning caused has ended
		before := repairBytes(n)
		written := len(l.keys())
		stop := l.load(ctx, n, "meanwhile", size, 4*time.Second)
		for _, p := range n.Peers() {
			if err := p.Stop(ctx, grace); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(2+n.IntN(10)) * time.Second)
			mustStart(t, p)
			if err := n.AwaitViews(ctx, repairWithin); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		written = len(l.keys()) - written
		if _, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin); err != nil {
			t.Fatal(err)
		}
		if err := l.checkValues(ctx, n, size); err != nil {
			t.Fatal(err)
		}
		moved, held := repairBytes(n)-before, float64(count*size*5)
		t.Logf("%d peers restarted one after the other; %.0f bytes moved for repair, %.2f%% of the %.0f held; %d records of %d bytes written meanwhile", peers, moved, 100*moved/held, held, written, size)
		// Whoever is away misses the writes of that time. Where most peers hold everything, several of them may bring the same one at once.
		brought := sized(3, 1)
		if limit := held/50 + float64(brought*written*(size+1024)); moved > limit {
			t.Errorf("%.0f bytes moved, want at most %.0f", moved, limit)
		}
	})
}

// TestLeaveOfEverySecond has every second peer leave for good, one after the other: what it held moves, and nothing is lost.
func TestLeaveOfEverySecond(t *testing.T) {
	const size = 1024
	peers, count := sized(12, 32), sized(100, 1000)
	simulate(t, sim.Config{Zones: sim.SpreadZones(peers)}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		l := newLedger()
		l.fill(ctx, t, n, "key", count, size)
		if _, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(repairWithin)
		before := repairBytes(n)
		var held float64
		for i, p := range n.Peers() {
			if i%2 == 1 {
				continue
			}
			held += float64(p.Store().Stats().Stored * size)
			leave, cancel := context.WithTimeout(ctx, repairWithin)
			err := p.Leave(leave)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if err := n.AwaitViews(ctx, time.Second); err != nil {
				t.Fatalf("%s has left: %v", p, err)
			}
			if err := l.checkValues(ctx, n, size); err != nil { // at once: nothing waits for a death
				t.Fatalf("%s has left: %v", p, err)
			}
			if _, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin); err != nil {
				t.Fatalf("%s has left: %v", p, err)
			}
		}
		moved := repairBytes(n) - before
		t.Logf("%.0f bytes moved for repair; the %d peers that left held %.0f bytes of values", moved, peers/2, held)
		if moved < held || moved > 2*held {
			t.Errorf("%.0f bytes moved, want %.0f to %.0f", moved, held, 2*held)
		}
	})
}
