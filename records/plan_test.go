package records

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// TestMembersThatDoNotCountAreAskedLessAndLess while what they wait for does not happen, and soon again when something does.
func TestMembersThatDoNotCountAreAskedLessAndLess(t *testing.T) {
	rng := newRNG(t)
	w, dead := newTableWorld(rng, 8), map[peer.ID]routing.State{}
	for !w.shadowed() { // three dead of eight may lie so on the ring that nothing waits for them
		w = newTableWorld(rng, 8)
		dead = map[peer.ID]routing.State{w.peers[7]: routing.Dead, w.peers[6]: routing.Dead, w.peers[5]: routing.Dead}
		w.show(w.peers, dead)
		w.keep(60)
	}
	asked := map[peer.ID]int{} // jobs, of which each is a message
	pass := func(d time.Duration) {
		clear(asked)
		for end := w.now.Add(d); w.now.Before(end); w.wait(retryPause) {
			for id, j := range w.plan(w.now, func(peer.ID) bool { return false }, new(shardSet), disk.Shards).jobs {
				if j.pull != (shardSet{}) {
					asked[id]++
				}
				for s := range j.pull.all() {
					w.learn(s, id, standpoint{level: LevelPartial}, w.now)
				}
				w.finish(j)
			}
		}
	}
	within := func(what string, least, most int) {
		t.Helper()
		for _, id := range w.peers[1:5] {
			if n := asked[id]; n < least || n > most {
				t.Errorf("%s: a member is asked %d times, want %d to %d", what, n, least, most)
			}
		}
	}
	pass(10 * time.Second)
	within("at first", 2, 8)
	pass(10 * time.Minute)
	within("in ten minutes", 8, 20)
	if held, synced := w.held(); held == 0 || synced > held/2 {
		t.Fatalf("%d of %d shards are synced", synced, held)
	}
	delete(dead, w.peers[5]) // back
	w.show(w.peers, dead)
	pass(10 * time.Second)
	within("after a member came", 2, 8)
}

// TestWhoHoldsNothingIsAskedRarely: of those that did not count, the holders may soon, and the others hardly ever.
func TestWhoHoldsNothingIsAskedRarely(t *testing.T) {
	w := newTableWorld(newRNG(t), 40)
	w.show(w.peers, nil)
	s := w.shard(t, true)
	before := w.topology.place(s)
	dead := w.deadHolders(&before)
	w.show(w.peers, dead)
	p := w.topology.place(s)
	for of := range disk.Shard(disk.Shards) { // a member that was asked about one shard again is left alone about the others, too
		if state := w.shards[of]; state != nil && of != s {
			w.set(of, state, LevelNone, w.now)
		}
	}
	asked := map[peer.ID]int{}
	for end := w.now.Add(50 * time.Second); w.now.Before(end); w.wait(retryPause) {
		for id, j := range w.plan(w.now, func(peer.ID) bool { return false }, new(shardSet), disk.Shards).jobs {
			if j.pull.has(s) {
				asked[id]++
			}
			for of := range j.pull.all() {
				said := standpoint{}
				if p.holds(id) {
					said.level = LevelPartial
				}
				w.learn(of, id, said, w.now)
			}
			w.finish(j)
		}
	}
	for _, id := range w.peers[1:] {
		n := asked[id]
		switch {
		case dead[id] != 0 && n > 0:
			t.Errorf("a dead member is asked %d times", n)
		case dead[id] == 0 && p.holds(id) && n < 4:
			t.Errorf("a holder is asked %d times", n)
		case dead[id] == 0 && !p.holds(id) && n != 1:
			t.Errorf("a member that holds nothing is asked %d times", n)
		}
	}
}

// shadowed reports whether a dead member could have what the others lack in every shard that the peer holds, of which there is at least one.
func (w *tableWorld) shadowed() bool {
	some, all := false, true
	for s := range disk.Shard(disk.Shards) {
		if w.shards[s] != nil {
			some, all = true, all && w.topology.place(s).shadowed
		}
	}
	return some && all
}

// keep has the peer look at no more than some of the shards that it holds, which take less time.
func (w *tableWorld) keep(n int) {
	for s := range disk.Shard(disk.Shards) {
		switch state := w.shards[s]; {
		case state == nil:
		case n > 0:
			n--
		default:
			w.set(s, state, LevelNone, w.now)
		}
	}
}

// BenchmarkPlan measures a look at what there is to do: for a peer in sync, and for one that catches up in all that it holds.
func BenchmarkPlan(b *testing.B) {
	for _, peers := range []int{32, 512} {
		for name, level := range map[string]Level{"synced": LevelSynced, "catching up": LevelUnsynced} {
			b.Run(fmt.Sprintf("%d peers, %s", peers, name), func(b *testing.B) {
				w := newTableWorld(newRNG(b), peers)
				w.show(w.peers, nil)
				var stored shardSet
				for s := range disk.Shard(disk.Shards) {
					if state := w.shards[s]; state != nil {
						stored.add(s)
						w.set(s, state, level, w.now)
					}
				}
				for b.Loop() {
					for _, j := range w.plan(w.now, func(peer.ID) bool { return false }, &stored, disk.Shards).jobs {
						w.finish(j)
					}
				}
			})
		}
	}
}
