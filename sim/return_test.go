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
	returns, writers := sized(4, 30), 8
	simulate(t, sim.Config{Zones: sim.SpreadZones(10), Seed: seedOf(t, 0), Spread: 30 * time.Millisecond}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		var asked, found, refused atomic.Int64
		for round := range returns {
			p := n.Pick(1)[0]
			p.Freeze()
			wantStates(t, n, p, routing.Dead)
			time.Sleep(time.Duration(n.IntN(3000)) * time.Millisecond)
			p.Thaw()
			var group sync.WaitGroup
			until := time.Now().Add(4 * time.Second)
			for w := range writers {
				group.Go(func() {
					for i := 0; time.Now().Before(until); i++ {
						writeAndAsk(ctx, t, n, p, fmt.Sprintf("%d/%d/%d", round, w, i/4), []byte(fmt.Sprint(i)), &asked, &found, &refused)
					}
				})
			}
			group.Wait()
			if err := n.AwaitViews(ctx, convergeWithin); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d reads through a peer that was back: %d found what had been stored, %d were refused", asked.Load(), found.Load(), refused.Load())
	})
}

// writeAndAsk writes through any other peer and reads at once through p.
func writeAndAsk(ctx context.Context, t *testing.T, n *sim.Network, p *sim.Peer, key string, value []byte, asked, found, refused *atomic.Int64) {
	writer := n.Pick(1)[0]
	if writer == p {
		return
	}
	w, err := writer.Put(ctx, key, value, records.PutOptions{})
	if err != nil {
		return
	}
	asked.Add(1)
	switch r, err := p.Get(ctx, key, records.GetOptions{}); {
	case fault.KindOf(err) == fault.NotFound:
		t.Errorf("%s was written through %s, and %s says that there is no such record", key, writer, p)
	case err != nil:
		refused.Add(1)
	case r.Version.Compare(w.Version) < 0:
		t.Errorf("%s was written through %s as %s, and %s shows %s", key, writer, w.Version, p, r.Version)
	default:
		found.Add(1)
	}
}
