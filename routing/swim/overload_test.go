package swim

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// processor is one that all nodes of a world share: what they do waits in a queue and takes time. A message comes over a connection, which takes a handshake when there is none yet; one whose
// end comes after the caller has given up was made for nothing.
type processor struct {
	free       time.Time
	conns      map[[2]peer.ID]bool
	handshakes int
	// share is the part of the processor that the nodes get.
	share float64
}

// What work costs on a whole processor.
const (
	messageWork   = 30 * time.Microsecond
	handshakeWork = 1500 * time.Microsecond // at each side
)

func (p *processor) work(w *world, d time.Duration, do func()) {
	if p.free.Before(w.now) {
		p.free = w.now
	}
	p.free = p.free.Add(time.Duration(float64(d) / p.share))
	w.after(p.free.Sub(w.now), do)
}

func pairOf(a, b *node) [2]peer.ID { return [2]peer.ID{min(a.id, b.id), max(a.id, b.id)} }

func (p *processor) connected(a, b *node) bool { return p.conns[pairOf(a, b)] }

// handshake connects two nodes, unless who began it has given up before its end, and goes on with then.
func (p *processor) handshake(w *world, from, to *node, givenUp func() bool, then func()) {
	p.handshakes++
	step := func(at *node, next func()) func() {
		return func() {
			if at.running && !givenUp() {
				p.work(w, handshakeWork/2, next)
			}
		}
	}
	there := func(next func()) func() { return func() { w.after(time.Millisecond, next) } }
	step(from, there(step(to, there(step(from, there(step(to, func() {
		if givenUp() {
			return
		}
		if !p.connected(from, to) {
			p.conns[pairOf(from, to)] = true
			to.when(func() { to.m.Met(w.now, from.id) })
		}
		then()
	})))))))()
}

// A network comes together on whatever processor time there is, only more slowly with less: handshakes that come too late are not made again and again, and nobody stays suspected because everybody is late.
func TestNetworkFormsOnAFractionOfAProcessor(t *testing.T) {
	for _, c := range []struct {
		peers int
		share float64
	}{{32, 0.2}, {64, 0.5}, {64, 0.1}} {
		t.Run(fmt.Sprintf("%d peers, %v of a processor", c.peers, c.share), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newSeed(t), c.peers)
			w.processor = &processor{conns: make(map[[2]peer.ID]bool), share: c.share}
			pairs := c.peers * (c.peers - 1) / 2
			least := time.Duration(float64(time.Duration(pairs)*2*handshakeWork) / c.share) // for the handshakes alone
			start := w.now
			for w.formed() < c.peers && w.now.Sub(start) < 4*least+30*time.Second {
				w.run(time.Second)
			}
			took := w.now.Sub(start)
			t.Logf("formed after %v; the handshakes alone take %v; %.2f handshakes for each pair", took, least, float64(w.processor.handshakes)/float64(pairs))
			if n := w.formed(); n < c.peers {
				t.Errorf("%d of %d have all others in view", n, c.peers)
			}
			w.run(30 * time.Second)
			w.want("half a minute later", w.nodes, w.nodes, Alive)
		})
	}
}

// formed returns how many nodes have all others in view.
func (w *world) formed() (n int) {
	for _, nd := range w.nodes {
		if nd.running && nd.m.counts[Alive] == len(w.nodes)-1 {
			n++
		}
	}
	return n
}

// In a network too large for a full mesh a newcomer makes connections to its neighbours and to few others, and gets proofs of the rest through them.
func TestNewcomersToALargeNetworkConnectToFew(t *testing.T) {
	const n = 224
	w := newWorld(t, newSeed(t), n)
	w.processor = &processor{conns: make(map[[2]peer.ID]bool), share: 8}
	start := w.now
	for w.formed() < n && w.now.Sub(start) < 3*time.Minute {
		w.run(time.Second)
	}
	t.Logf("formed after %v", w.now.Sub(start))
	w.want("formed", w.nodes, w.nodes, Alive)
	// Up to LargeNetwork all connect to all.
	before := w.timing.LargeNetwork * (w.timing.LargeNetwork - 1) / 2
	// Some twice as many as are kept: those of helpers who were thought to be neighbours, and those of distant members whose turn it is.
	later := (n - w.timing.LargeNetwork) * MaxNeighbours * 5 / 2
	t.Logf("%d handshakes, %d for each newcomer; %d pairs", w.processor.handshakes, (w.processor.handshakes-before)/(n-w.timing.LargeNetwork), n*(n-1)/2)
	if most := before + later; w.processor.handshakes > most {
		t.Errorf("%d handshakes, want at most %d", w.processor.handshakes, most)
	}
}
