package sim_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/sim"
)

// TestReturnOfASilentPeer: a peer is silent until others have taken its place. From the moment of its return on it is asked for what others were just told is stored.
func TestReturnOfASilentPeer(t *testing.T) {
	returns, writers := sized(2, 30), sized(4, 8)
	simulate(t, sim.Config{Zones: sim.SpreadZones(10), Seed: seedOf(t, 0), Spread: 30 * time.Millisecond}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		a := &asking{Network: n, t: t}
		for round := range returns {
			p := n.Pick(1)[0]
			p.Freeze()
			wantStates(t, n, p, routing.Dead)
			time.Sleep(time.Duration(n.IntN(3000)) * time.Millisecond)
			p.Thaw()
			a.back = p
			var group sync.WaitGroup
			until := time.Now().Add(4 * time.Second)
			for w := range writers {
				group.Go(func() {
					for i := 0; time.Now().Before(until); i++ {
						a.once(ctx, fmt.Sprintf("%d/%d/%d", round, w, i/4), []byte(fmt.Sprint(i)))
					}
				})
			}
			group.Wait()
			if err := n.AwaitViews(ctx, convergeWithin); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d reads through a peer that was back: %d saw at once what had been stored, %d a moment later, %d were refused", a.asked.Load(), a.found.Load(), a.late.Load(), a.refused.Load())
		if late := a.late.Load(); late > a.asked.Load()/100 {
			t.Errorf("%d reads were late", late)
		}
	})
}

// An asking counts what reads through a peer that is back find.
type asking struct {
	*sim.Network
	t                           *testing.T
	back                        *sim.Peer
	asked, found, late, refused atomic.Int64
}

// inFlight is how long a write takes at most to arrive at all of a key's holders.
const inFlight = 100 * time.Millisecond

// once writes through any other peer and reads at once through the one that is back. What it does not see then it must see when the write has arrived everywhere.
func (a *asking) once(ctx context.Context, key string, value []byte) {
	writer := a.Pick(1)[0]
	if writer == a.back {
		return
	}
	w, err := writer.Put(ctx, key, value, records.PutOptions{})
	if err != nil {
		return
	}
	a.asked.Add(1)
	if a.sees(ctx, key, w.Version, &a.found) {
		return
	}
	a.late.Add(1)
	time.Sleep(inFlight)
	if !a.sees(ctx, key, w.Version, new(atomic.Int64)) {
		a.t.Errorf("%s was written through %s as %s, and %v later %s doesn't see it", key, writer, w.Version, inFlight, a.back)
	}
}

// sees reads and reports whether that version is seen, or none can be said to be the newest.
func (a *asking) sees(ctx context.Context, key string, v records.Version, found *atomic.Int64) bool {
	r, err := a.back.Get(ctx, key, records.GetOptions{})
	switch {
	case err != nil && fault.KindOf(err) != fault.NotFound:
		a.refused.Add(1)
	case err != nil || r.Version.Compare(v) < 0:
		return false
	default:
		found.Add(1)
	}
	return true
}
