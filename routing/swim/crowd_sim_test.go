//go:build sim

package swim

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// TestCrowdOfMachines: a network as large as one whose peers have all others in view forms soon after the last has begun, on a tenth of a processor for each, and none of its nodes makes more than a few hundred connections.
func TestCrowdOfMachines(t *testing.T) {
	for _, n := range []int{256, 512, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t, newSeed(t), n)
			w.processor = &processor{conns: make(map[[2]peer.ID]bool), share: float64(n) / 10}
			last := w.now.Add(time.Duration(n) * 20 * time.Millisecond)
			for w.formed() < n && w.now.Sub(last) < time.Minute {
				w.run(time.Second)
				w.logCrowd(w.now.Sub(last))
			}
			took := w.now.Sub(last)
			t.Logf("formed %v after the last began, with %d handshakes for each node", took, 2*w.processor.handshakes/n)
			if w.formed() < n || took > 20*time.Second {
				t.Errorf("%d of %d have all others in view %v after the last began", w.formed(), n, took)
			}
			w.run(20 * time.Second)
			w.want("later", w.nodes, w.nodes, Alive)
		})
	}
}

// logCrowd logs how far a network has formed.
func (w *world) logCrowd(since time.Duration) {
	members, candidates, waiting, denied, suspects := 0, 0, 0, 0, 0
	for _, n := range w.nodes {
		if n.m == nil {
			continue
		}
		members += n.m.counts[Alive]
		suspects += n.m.counts[Suspect] + n.m.counts[Dead]
		waiting += n.m.waiting()
		for _, c := range n.m.candidates.list {
			candidates++
			if c.denials >= maxDenials {
				denied++
			}
		}
	}
	each := func(x int) float64 { return float64(x) / float64(len(w.nodes)) }
	w.t.Logf("%v: %d formed; of each %.1f alive, %.1f candidates (%.1f denied), %.1f suspects, %.1f probes under way, %.1f handshakes so far", since, w.formed(), each(members), each(candidates), each(denied), each(suspects), each(waiting), 2*each(w.processor.handshakes))
}
