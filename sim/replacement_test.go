package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/sim"
)

// repairWithin is how long after a loss every record must be back at its full count.
const repairWithin = 30 * time.Second

// TestReplacement replaces all peers, some at a time, whose disks are lost: every record stays readable and is back at its full count soon.
func TestReplacement(t *testing.T) {
	peers, atOnce, count := sized(8, 32), sized(2, 4), sized(100, 1000)
	simulate(t, sim.Config{Zones: sim.SpreadZones(peers)}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		l := newLedger()
		l.fill(ctx, t, n, "key", count, 256)
		if _, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin); err != nil {
			t.Fatal(err)
		}
		var delays []time.Duration
		first := n.Peers()
		for wave := range slices.Chunk(first, atOnce) {
			for _, p := range wave {
				p.Destroy()
			}
			for range wave {
				mustAdd(t, n, "")
			}
			took, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin)
			if err != nil {
				t.Fatalf("wave %d: %v", len(delays), err)
			}
			delays = append(delays, took)
			if err := l.checkValues(ctx, n, 256); err != nil {
				t.Fatalf("wave %d: %v", len(delays), err)
			}
			t.Logf("wave %d: back at full count after %s", len(delays), took.Round(time.Millisecond))
		}
		for _, p := range n.Peers() {
			if slices.Contains(first, p) {
				t.Errorf("%s is still there", p)
			}
		}
		t.Logf("%d records, %d peers replaced %d at a time; back at full count: %s", count, peers, atOnce, quantiles(delays))
	})
}
