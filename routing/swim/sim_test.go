package swim

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The promises of Timing.
const (
	suspectWithin = 3 * time.Second
	deadWithin    = 10 * time.Second
	backWithin    = 3 * time.Second
	// spreadWithin is how long it takes until all others know what one of them has noticed.
	spreadWithin = 500 * time.Millisecond
)

// sizes are the networks that most faults are tried on, and smallSizes those for the rest: simulating 128 machines takes a while.
var (
	sizes      = []int{2, 3, 5, 9, 16, 32, 128}
	smallSizes = []int{2, 3, 5, 9, 16, 32}
)

func forSizes(t *testing.T, sizes []int, test func(t *testing.T, w *world)) {
	for _, n := range sizes {
		t.Run(fmt.Sprintf("%d peers", n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newSeed(t), n)
			w.settle()
			test(t, w)
		})
	}
}

func TestFrozenPeerIsNoticedAndComesBack(t *testing.T) {
	forSizes(t, sizes, func(t *testing.T, w *world) {
		x := w.nodes[w.rand.IntN(len(w.nodes))]
		rest := w.others(x)
		start := w.now
		x.freeze()
		w.run(suspectWithin + spreadWithin)
		w.want("frozen", rest, []*node{x}, Suspect, Dead)
		w.run(deadWithin - suspectWithin - spreadWithin)
		w.want("frozen", rest, []*node{x}, Dead)
		t.Logf("suspect everywhere after %v, dead after %v", slowest(start, rest, x, Suspect), slowest(start, rest, x, Dead))
		w.run(time.Duration(w.rand.IntN(10_000)) * time.Millisecond)
		start = w.now
		x.thaw()
		w.run(backWithin)
		w.want("thawed", rest, []*node{x}, Alive)
		w.want("thawed", []*node{x}, rest, Alive)
		t.Logf("alive everywhere after %v", slowest(start, rest, x, Alive))
		for _, v := range x.log {
			if v.to == Dead {
				t.Errorf("the frozen peer took %q for dead", v.about)
			}
		}
		w.want("the others", rest, rest, Alive)
	})
}

func TestKilledPeerIsNoticedAndRestarts(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("refuse=%v", refuse), func(t *testing.T) {
			forSizes(t, smallSizes, func(t *testing.T, w *world) {
				w.refuse = refuse
				x := w.nodes[w.rand.IntN(len(w.nodes))]
				rest := w.others(x)
				start := w.now
				x.kill()
				if refuse {
					for _, n := range rest {
						n.m.ConnectionLost(w.now, x.id)
						n.act()
					}
					w.run(50 * time.Millisecond)
					w.want("refused", rest, []*node{x}, Suspect)
				}
				w.run(suspectWithin + spreadWithin)
				w.want("killed", rest, []*node{x}, Suspect, Dead)
				w.run(deadWithin - suspectWithin - spreadWithin)
				w.want("killed", rest, []*node{x}, Dead)
				t.Logf("suspect everywhere after %v, dead after %v", slowest(start, rest, x, Suspect), slowest(start, rest, x, Dead))
				x.start(nil)
				w.run(backWithin)
				w.want("restarted", rest, []*node{x}, Alive)
				w.want("restarted", []*node{x}, rest, Alive)
			})
		})
	}
}

func TestPartitionHeals(t *testing.T) {
	forSizes(t, sizes, func(t *testing.T, w *world) {
		left, right := w.nodes[:len(w.nodes)/2], w.nodes[len(w.nodes)/2:]
		inLeft := func(n *node) bool { return slices.Contains(left, n) }
		w.cut = func(a, b *node) bool { return inLeft(a) != inLeft(b) }
		start := w.now
		w.run(deadWithin)
		for _, x := range []*node{left[0], right[0]} {
			rest := map[bool][]*node{true: right, false: left}[x == left[0]]
			t.Logf("%q: suspect everywhere after %v, dead after %v", string(x.id), slowest(start, rest, x, Suspect), slowest(start, rest, x, Dead))
		}
		w.want("cut", left, right, Dead)
		w.want("cut", right, left, Dead)
		w.want("same side", left, left, Alive)
		w.want("same side", right, right, Alive)
		w.run(time.Duration(w.rand.IntN(15_000)) * time.Millisecond)
		w.cut = nil
		w.run(backWithin)
		w.want("healed", w.nodes, w.nodes, Alive)
	})
}

func TestShortPartitionHarmsNobody(t *testing.T) {
	forSizes(t, smallSizes, func(t *testing.T, w *world) {
		left := w.nodes[:len(w.nodes)/2]
		w.cut = func(a, b *node) bool { return slices.Contains(left, a) != slices.Contains(left, b) }
		w.run(time.Duration(w.rand.IntN(2500)) * time.Millisecond)
		w.cut = nil
		w.run(backWithin)
		w.want("healed", w.nodes, w.nodes, Alive)
		w.wantNoDeaths()
	})
}

func (w *world) wantNoDeaths() {
	w.t.Helper()
	suspicions := 0
	for _, n := range w.nodes {
		for _, v := range n.log {
			switch v.to {
			case Suspect:
				suspicions++
			case Dead:
				w.t.Errorf("%q took %q for dead at %v", string(n.id), string(v.about), v.at)
			}
		}
	}
	w.t.Logf("%d suspicions, %d probes", suspicions, w.probes)
}

func TestOneWayLossBetweenTwoOfMany(t *testing.T) {
	forSizes(t, []int{3, 5, 32}, func(t *testing.T, w *world) {
		a, b := w.nodes[0], w.nodes[1]
		w.cut = func(from, to *node) bool { return from == a && to == b }
		w.run(time.Minute)
		w.want("one direction cut", w.nodes, w.nodes, Alive)
		w.wantNoDeaths()
	})
}

func TestPeerThatHearsNothing(t *testing.T) {
	forSizes(t, []int{2, 3, 5, 32}, func(t *testing.T, w *world) {
		deaf := w.nodes[0]
		rest := w.others(deaf)
		w.cut = func(_, to *node) bool { return to == deaf }
		w.run(deadWithin)
		w.want("deaf", rest, []*node{deaf}, Dead)
		w.want("the others", rest, rest, Alive)
		w.cut = nil
		w.run(backWithin)
		w.want("hears again", w.nodes, w.nodes, Alive)
	})
}

func TestHeavyLossKillsNobody(t *testing.T) {
	for _, n := range []int{2, 3, 5, 8, 32} {
		t.Run(fmt.Sprintf("%d peers", n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newSeed(t), n)
			w.loss = 0.3
			w.run(5 * time.Minute)
			w.wantNoDeaths()
			w.loss = 0
			w.run(backWithin)
			w.want("loss is over", w.nodes, w.nodes, Alive)
		})
	}
}

func TestLiarHarmsNobody(t *testing.T) {
	forSizes(t, []int{3, 5, 32}, func(t *testing.T, w *world) {
		liar, honest := w.nodes[0], w.nodes[1:]
		probes, start := w.probes, w.now
		for range 300 {
			w.run(100 * time.Millisecond)
			for _, n := range honest {
				msg := Message{Incarnation: liar.m.Self().Incarnation, Known: n.m.Self().Incarnation}
				for range MaxRumours {
					o := honest[w.rand.IntN(len(honest))]
					msg.Rumours = append(msg.Rumours, Rumour{Subject: o.id, Incarnation: o.m.Self().Incarnation, Verdict: Dead, Own: w.rand.IntN(2) == 0})
				}
				w.send(liar, n, func() { n.m.Receive(w.now, liar.id, msg) })
			}
		}
		for _, n := range honest {
			for _, v := range n.log {
				if v.to != Alive {
					t.Errorf("%q took %q for %v", string(n.id), string(v.about), v.to)
				}
			}
		}
		rate := float64(w.probes-probes) / w.now.Sub(start).Seconds() / float64(len(honest))
		t.Logf("%.1f probes a second of each peer", rate)
		if limit := float64(hintRate + 24); rate > limit {
			t.Errorf("a liar caused %.1f probes a second of each peer, want at most %.0f", rate, limit)
		}
	})
}

func TestAbsence(t *testing.T) {
	forSizes(t, []int{2, 3, 32}, func(t *testing.T, w *world) {
		x := w.nodes[1]
		rest := w.others(x)
		leave := func(grace time.Duration) {
			x.m.Announce(w.now, x.claim(grace))
			for _, n := range rest {
				x.ping(n.id, time.Second, func() {}, func(bool) {})
			}
			w.run(100 * time.Millisecond)
			x.kill()
		}
		leave(time.Minute)
		w.want("announced", rest, []*node{x}, Away)
		w.run(40 * time.Second)
		w.want("absent", rest, []*node{x}, Away)
		x.start(nil)
		w.run(backWithin)
		w.want("back", w.nodes, w.nodes, Alive)
		for _, n := range rest {
			for _, v := range n.log {
				if v.about == x.id && (v.to == Suspect || v.to == Dead) {
					t.Errorf("%q took the absent peer for %v", n.id, v.to)
				}
			}
		}

		leave(20 * time.Second)
		w.run(20*time.Second + w.timing.Period)
		w.want("overdue", rest, []*node{x}, Dead)
		w.run(w.timing.Forget)
		w.want("forgotten", rest, []*node{x}, 0)
		w.want("the others", rest, rest, Alive)
	})
}

func TestNetworkFormsQuickly(t *testing.T) {
	for _, n := range []int{2, 32, 140} {
		t.Run(fmt.Sprintf("%d peers", n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newSeed(t), n)
			w.run(time.Duration(n)*20*time.Millisecond + 10*time.Second)
			w.want("formed", w.nodes, w.nodes, Alive)
			before := w.probes
			w.run(10 * time.Second)
			t.Logf("%.1f probes a second of each peer", float64(w.probes-before)/10/float64(n))
		})
	}
}
