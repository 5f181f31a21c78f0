package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/sim"
)

// TestPowerCut cuts the power of all peers at once while writes go on, and restarts them on their disks: every acknowledged write is there, and none is half-written.
func TestPowerCut(t *testing.T) {
	const size = 3000
	peers, rounds := sized(5, 32), sized(2, 5)
	simulate(t, sim.Config{Zones: sim.SpreadZones(peers)}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		l := newLedger()
		for round := range rounds {
			stop := l.load(ctx, n, fmt.Sprintf("round%d/", round%2), size, 10*time.Millisecond) // every other round writes over what is there
			time.Sleep(time.Duration(50+n.IntN(sized(200, 1000))) * time.Millisecond)
			all := n.Peers()
			for _, p := range all {
				p.Kill()
			}
			stop()
			for _, p := range all {
				mustStart(t, p)
				time.Sleep(time.Duration(n.IntN(100)) * time.Millisecond)
			}
			if err := n.AwaitViews(ctx, repairWithin); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if _, err := n.AwaitFullCount(ctx, l.acknowledged(), repairWithin); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if err := l.checkValues(ctx, n, size); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		t.Logf("%d power cuts, %d records acknowledged, %d writes of unknown outcome", rounds, len(l.acknowledged()), l.failed)
	})
}
