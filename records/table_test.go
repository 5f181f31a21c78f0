package records

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// A tableWorld is one peer's table and the views that it is shown.
type tableWorld struct {
	*table
	now   time.Time
	peers []peer.ID
}

func newTableWorld(rng *rand.Rand, peers int) *tableWorld {
	w := &tableWorld{now: time.UnixMilli(1_700_000_000_000)}
	for range peers {
		w.peers = append(w.peers, randomPeer(rng))
	}
	w.table = &table{self: w.peers[0], joined: true}
	return w
}

// show applies a view of the given peers, this one included, in the given states; alive where none is given.
func (w *tableWorld) show(peers []peer.ID, states map[peer.ID]routing.State) {
	view := &routing.View{Self: w.self}
	for _, id := range peers {
		m := routing.Member{ID: id, State: routing.Alive}
		if state, ok := states[id]; ok {
			m.State = state
		}
		view.Members = append(view.Members, m)
	}
	sortMembers(view.Members)
	w.apply(newTopology(view, DefaultCopies, w.topology), w.now)
}

// deadHolders are the states in which all others that hold a shard are dead.
func (w *tableWorld) deadHolders(p *placement) map[peer.ID]routing.State {
	dead := map[peer.ID]routing.State{}
	for _, i := range p.holders {
		if id := p.id(i); id != w.self {
			dead[id] = routing.Dead
		}
	}
	return dead
}

func (w *tableWorld) wait(d time.Duration) { w.now = w.now.Add(d) }

// held returns a shard that this peer holds, or does not hold.
func (w *tableWorld) shard(t *testing.T, held bool) disk.Shard {
	t.Helper()
	for s := range disk.Shard(disk.Shards) {
		if p := w.topology.place(s); p.holds(w.self) == held {
			return s
		}
	}
	t.Fatal("no such shard")
	return 0
}

// compareAll lets the table compare with whom it plans to, until it has no more plans; say is what the others answer.
func (w *tableWorld) compareAll(say func(s disk.Shard, id peer.ID) standpoint) {
	none := func(peer.ID) bool { return false }
	for range 100 {
		jobs := w.plan(w.now, none, new(shardSet), disk.Shards).jobs
		for id, j := range jobs {
			for s := range j.pull.all() {
				w.learn(s, id, say(s, id), w.now)
			}
			w.finish(j)
		}
		if len(jobs) == 0 {
			return
		}
	}
}

func at(level Level) func(disk.Shard, peer.ID) standpoint {
	return func(disk.Shard, peer.ID) standpoint { return standpoint{level: level} }
}

func TestTableJoinsANetworkInSync(t *testing.T) {
	w := newTableWorld(newRNG(t), 12)
	w.show(w.peers, nil)
	s := w.shard(t, true)
	if got := w.levelAt(s); got.level != LevelUnsynced {
		t.Fatalf("a new holder is %v", got)
	}
	asked := 0
	w.compareAll(func(of disk.Shard, id peer.ID) standpoint {
		if of == s {
			asked++
		}
		return standpoint{level: LevelSynced}
	})
	if got := w.levelAt(s); got.level != LevelSynced || asked != 3 {
		t.Errorf("after comparing with %d: %v; want synced after a quorum of 3", asked, got)
	}
	if got := w.levelAt(w.shard(t, false)); got.level != LevelNone {
		t.Errorf("no holder, and %v", got)
	}
}

func TestTableOfANewNetworkIsSyncedOnceItHasSettled(t *testing.T) {
	w := newTableWorld(newRNG(t), 8)
	w.show(w.peers, nil)
	s := w.shard(t, true)
	w.compareAll(at(LevelUnsynced))
	if got := w.levelAt(s); got.level != LevelPartial {
		t.Fatalf("where nobody knows more: %v, want partial", got)
	}
	w.wait(settleTime)
	w.compareAll(at(LevelPartial))
	if got := w.levelAt(s); got.level != LevelSynced {
		t.Errorf("after nobody came for %v: %v", settleTime, got)
	}
}

func TestTableStaysPartialWhileTheDeadMayKnowMore(t *testing.T) {
	w := newTableWorld(newRNG(t), 8)
	w.show(w.peers, nil)
	s := w.shard(t, true)
	p := w.topology.place(s)
	dead := w.deadHolders(&p)
	w.show(w.peers, dead)
	w.compareAll(at(LevelUnsynced))
	w.wait(time.Minute)
	w.compareAll(at(LevelUnsynced))
	if got := w.levelAt(s); got.level != LevelPartial {
		t.Fatalf("with all other holders dead: %v, want partial", got)
	}
	w.show(slices.DeleteFunc(slices.Clone(w.peers), func(id peer.ID) bool { return dead[id] != 0 }), nil) // forgotten
	w.wait(settleTime)
	w.compareAll(at(LevelUnsynced))
	if got := w.levelAt(s); got.level != LevelSynced {
		t.Errorf("with the dead forgotten: %v, want synced", got)
	}
}

func TestTableConcludesNothingBeforeItHasJoined(t *testing.T) {
	w := newTableWorld(newRNG(t), 1)
	w.joined = false
	w.show(w.peers, nil)
	w.wait(time.Hour)
	w.compareAll(at(LevelNone))
	if got := w.levelAt(0); got.level != LevelUnsynced {
		t.Fatalf("before it has joined: %v", got)
	}
	w.join()
	w.compareAll(at(LevelNone))
	if got := w.levelAt(0); got.level != LevelSynced {
		t.Errorf("alone for good: %v", got)
	}
}

func TestTableResumes(t *testing.T) {
	all := shardSet{}
	for s := range disk.Shard(disk.Shards) {
		all.add(s)
	}
	for _, waited := range []bool{true, false} {
		w := newTableWorld(newRNG(t), 9)
		w.resume(&all, waited, w.now)
		w.show(w.peers, nil)
		s := w.shard(t, true)
		want := standpoint{level: LevelUnsynced, resumed: true}
		if waited {
			want = standpoint{level: LevelSynced}
		}
		if got := w.levelAt(s); got != want {
			t.Errorf("waited for %v: %+v, want %+v", waited, got, want)
		}
		// All peers stopped at once: a quorum of those who were in sync knows all there is.
		w.compareAll(func(disk.Shard, peer.ID) standpoint { return standpoint{level: LevelUnsynced, resumed: true} })
		if got := w.levelAt(s); got.level != LevelSynced {
			t.Errorf("waited for %v, all resumed: %+v", waited, got)
		}
	}
}

// TestTableHandsOver displaces a peer and checks that it keeps what it has until all holders wanted have it.
func TestTableHandsOver(t *testing.T) {
	rng := newRNG(t)
	w := newTableWorld(rng, 6)
	w.show(w.peers, nil)
	w.compareAll(at(LevelSynced))
	for range 200 { // peers come until one shard is held by others
		w.peers = append(w.peers, randomPeer(rng))
		w.show(w.peers, nil)
	}
	var s disk.Shard
	for s = range disk.Shard(disk.Shards) {
		if w.levelAt(s).level == LevelLeaving {
			break
		}
	}
	p := w.topology.place(s)
	for n, i := range p.holders {
		all, upTo := w.hand(s, p.id(i), uint64(100-n))
		if all != (n == len(p.holders)-1) || upTo != uint64(100-n) {
			t.Fatalf("handed to %d of %d: all %v, up to %d", n+1, p.wanted, all, upTo)
		}
		if w.levelAt(s).level != LevelLeaving {
			t.Fatal("the level was given up early")
		}
	}
	w.stray(s)
	if all, _ := w.hand(s, p.id(p.holders[0]), 100); all {
		t.Error("more came, and one holder was enough")
	}
	w.release(s, w.now)
	if got := w.levelAt(s); got.level != LevelNone {
		t.Errorf("after the hand-over: %v", got)
	}
}

func TestTableIsUncertainUntilItHasMetWhoCame(t *testing.T) {
	w := newTableWorld(newRNG(t), 9)
	w.show(w.peers[:5], nil)
	w.compareAll(at(LevelSynced))
	w.show(w.peers, nil)
	unmet := 0
	for s := range disk.Shard(disk.Shards) {
		stranger := slices.ContainsFunc(w.peers[5:], func(id peer.ID) bool { p := w.topology.place(s); return p.holds(id) })
		got := w.levelAt(s)
		if got.level != LevelSynced {
			continue
		}
		if got.unmet != stranger || got.certain() == stranger {
			t.Fatalf("shard %d with a stranger %v: %+v", s, stranger, got)
		}
		if stranger {
			unmet++
		}
	}
	if _, any := w.state(); unmet == 0 || !any {
		t.Fatalf("%d shards with strangers, any %v", unmet, any)
	}
	pairs, _ := w.pairs(w.now)
	for id, both := range pairs {
		if both.unmet != slices.Contains(w.peers[5:], id) {
			t.Errorf("pair with a stranger %v: unmet %v", slices.Contains(w.peers[5:], id), both.unmet)
		}
		for s := range both.shared.all() {
			w.met(s, id, w.now)
		}
	}
	if _, any := w.state(); any {
		t.Error("shards are uncertain though all were met")
	}
}

// TestTableBecomesAHolderOfStrays lets a peer hand over copies that it was brought as no holder, and then become one.
func TestTableBecomesAHolderOfStrays(t *testing.T) {
	w := newTableWorld(newRNG(t), 9)
	w.show(w.peers, nil)
	s := w.shard(t, false)
	p := w.topology.place(s)
	w.hand(s, p.id(p.holders[0]), 1)
	dead := map[peer.ID]routing.State{}
	for _, i := range p.others() {
		if id := p.id(i); id != w.self {
			dead[id] = routing.Dead
		}
	}
	dead[p.id(p.holders[1])] = routing.Dead
	w.show(w.peers, dead)
	if got := w.levelAt(s); got.level != LevelUnsynced {
		t.Errorf("a new holder that had strays is %v", got)
	}
}

func TestTableCountsRecordsOnce(t *testing.T) {
	rng := newRNG(t)
	peers := newTableWorld(rng, 7).peers
	var full, below, unreachable, want int64
	for _, self := range peers {
		w := &tableWorld{table: &table{self: self, joined: true}, now: time.UnixMilli(1_700_000_000_000), peers: peers}
		w.show(peers, nil)
		w.compareAll(at(LevelSynced))
		for s := range disk.Shard(disk.Shards) {
			p := w.topology.place(s)
			for _, i := range p.holders {
				if s%2 == 0 {
					w.agree(s, p.id(i), 7)
				}
			}
		}
		c := w.count(func(s disk.Shard) int {
			if p := w.topology.place(s); p.holds(self) {
				return 1
			}
			return 0
		})
		full, below, unreachable = full+c.full, below+c.below, unreachable+c.unreachable
	}
	want = disk.Shards / 2
	if full != want || below != want || unreachable != 0 {
		t.Errorf("full %d, below %d, unreachable %d; want %d, %d, 0", full, below, unreachable, want, want)
	}
}

func TestShardSet(t *testing.T) {
	rng := newRNG(t)
	var set shardSet
	want := map[disk.Shard]bool{}
	for range 300 {
		s := disk.Shard(rng.IntN(disk.Shards))
		set.add(s)
		want[s] = true
	}
	last := -1
	for s := range set.all() {
		if int(s) <= last || !want[s] || !set.has(s) {
			t.Fatalf("shard %d after %d, wanted %v", s, last, want[s])
		}
		last = int(s)
	}
	if set.len() != len(want) {
		t.Errorf("%d shards, want %d", set.len(), len(want))
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{5, 32, 512, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newTableWorld(newRNG(b), n)
			for i := range b.N {
				w.show(w.peers, map[peer.ID]routing.State{w.peers[1+i%(n-1)]: routing.Dead})
			}
		})
	}
}
