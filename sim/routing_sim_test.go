//go:build sim

package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/sim"
)

// TestRecordsByEachWay puts and gets records in a network of which nobody sees more than a part, whose holders are found by each way of routing, and again after some peers were lost.
func TestRecordsByEachWay(t *testing.T) {
	for _, method := range routing.Methods() {
		t.Run(string(method), func(t *testing.T) {
			simulate(t, sim.Config{Zones: sim.SpreadZones(40), MaxView: 32, Routing: method}, func(t *testing.T, n *sim.Network) {
				time.Sleep(10 * time.Second)
				const keys = 30
				peers := n.Peers()
				partial := 0
				for _, p := range peers {
					if p.View().Partial {
						partial++
					}
				}
				if partial < len(peers)/2 {
					t.Fatalf("only %d of %d views are partial", partial, len(peers))
				}
				for i := range keys {
					if w, err := peers[i%len(peers)].Put(t.Context(), fmt.Sprint("key ", i), fmt.Append(nil, i), records.PutOptions{Consistency: records.All}); err != nil || w.Stored < 5 {
						t.Errorf("put %d: on %d, %v", i, w.Stored, err)
					}
				}
				read := func(what string) {
					for i := range keys {
						p := peers[(i*7+3)%(len(peers)-2)]
						if r, err := p.Get(t.Context(), fmt.Sprint("key ", i), records.GetOptions{}); err != nil || string(r.Value) != fmt.Sprint(i) {
							t.Errorf("%s, get %d at %s: %q, %v", what, i, p, r.Value, err)
						}
					}
				}
				read("all well")
				for _, p := range peers[len(peers)-2:] {
					p.Destroy()
				}
				time.Sleep(10 * time.Second)
				read("two are lost")
			})
		})
	}
}
