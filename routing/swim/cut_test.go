package swim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// newCutRig returns a rig whose view holds at most limit members.
func newCutRig(t *testing.T, limit int) *rig {
	t.Helper()
	r := newRig(t)
	r.m.cut.limit = limit
	return r
}

// offer makes a peer known as one that answers when it is probed, and returns whether it is a member afterwards.
func (r *rig) offer(id peer.ID) bool {
	r.m.Receive(r.now, id, Message{Incarnation: 1, Claims: []*Claim{claim(id, 1)}})
	for _, p := range take[Probe](r) {
		if p.Target == id {
			r.m.Answered(r.now, p.ID, time.Millisecond)
		}
	}
	_, ok := r.m.Member(id)
	return ok
}

func many(n int) []peer.ID {
	ids := make([]peer.ID, n)
	for i := range ids {
		ids[i] = peer.ID(fmt.Sprintf("peer-%04d", i))
	}
	return ids
}

// cutOf returns by definition what a machine keeps of ids: half of limit that are nearest, and of the others those of lowest rank.
func cutOf(m *Machine, ids []peer.ID, limit int) []peer.ID {
	sorted := slices.Clone(ids)
	by := func(key func(place) key) func(a, b peer.ID) int {
		return func(a, b peer.ID) int {
			x, y := key(m.placeOf(a)), key(m.placeOf(b))
			return bytes.Compare(x[:], y[:])
		}
	}
	slices.SortFunc(sorted, by(func(p place) key { return p.distance }))
	slices.SortFunc(sorted[limit/2:], by(func(p place) key { return p.rank }))
	kept := sorted[:limit]
	slices.Sort(kept)
	return kept
}

func TestCutDoesNotDependOnTheOrderOfArrival(t *testing.T) {
	const limit = 20
	ids := many(300)
	var first []peer.ID
	for order := range uint64(5) {
		r := newCutRig(t, limit)
		rand.New(rand.NewPCG(order, 0)).Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		for i, id := range ids {
			r.offer(id)
			if r.m.Len() > limit {
				t.Fatalf("%d members after %d peers", r.m.Len(), i)
			}
			if partial := i >= limit; r.m.Partial() != partial {
				t.Fatalf("after %d peers the view is partial: %v", i+1, !partial)
			}
		}
		var kept []peer.ID
		for _, m := range r.m.Members(nil) {
			kept = append(kept, m.Claim.ID)
		}
		if first == nil {
			first = cutOf(r.m, ids, limit)
		}
		if !slices.Equal(kept, first) {
			t.Errorf("order %d: kept are %q, want %q", order, kept, first)
		}
	}
}

func TestBeyondTheCutNobodyIsWanted(t *testing.T) {
	const limit = 16
	r := newCutRig(t, limit)
	ids := many(200)
	for _, id := range ids {
		r.offer(id)
	}
	kept := cutOf(r.m, ids, limit)
	for _, id := range ids {
		if isKept := slices.Contains(kept, id); r.m.Wants(id, 2) != isKept {
			t.Errorf("a claim of %q is wanted: %v, it is kept: %v", id, !isKept, isKept)
		} else if !isKept {
			r.m.Met(r.now, id)
			r.m.Learn(r.now, kept[0], []*Claim{claim(id, 2)}, nil)
		}
	}
	for _, p := range take[Probe](r) {
		if !slices.Contains(kept, p.Target) {
			t.Errorf("%q is probed", p.Target)
		}
	}
	if n := len(r.m.candidates.list); n != 0 {
		t.Errorf("%d candidates there is no room for", n)
	}
}

// Where members die there is room for others, and those who come back are taken in again in the same places.
func TestCutFollowsWhoIsPresent(t *testing.T) {
	const limit = 16
	r := newCutRig(t, limit)
	ids := many(100)
	for _, id := range ids {
		r.offer(id)
	}
	kept := cutOf(r.m, ids, limit)
	gone := []peer.ID{kept[1], kept[5], kept[9]}
	for _, id := range gone {
		r.m.transition(r.m.members[id], Suspect)
		r.m.transition(r.m.members[id], Dead)
	}
	left := slices.DeleteFunc(slices.Clone(ids), func(id peer.ID) bool { return slices.Contains(gone, id) })
	for range 2 { // the first may come at a time when there is room for anybody
		for _, id := range left {
			r.offer(id)
		}
	}
	for _, id := range cutOf(r.m, left, limit) {
		r.want(id, Alive)
	}
	for _, id := range gone {
		r.want(id, Dead)
	}
	for _, id := range gone {
		r.m.runs(r.m.members[id])
	}
	for _, id := range kept {
		r.want(id, Alive)
	}
	if r.m.Len() != limit {
		t.Errorf("%d members, want %d", r.m.Len(), limit)
	}
}

func TestViewIsWholeAgainWhenTheNetworkShrinks(t *testing.T) {
	const limit = 8
	r := newCutRig(t, limit)
	for _, id := range many(limit + 4) {
		r.offer(id)
	}
	r.silence(30 * time.Second) // all die
	if !r.m.Partial() || r.m.Near() == 0 {
		t.Error("the view is whole at once")
	}
	r.silence(r.m.t.Forget)
	if r.m.Partial() || r.m.Near() != 0 {
		t.Error("the view is partial though nobody was left out for long")
	}
}

func TestNeighbours(t *testing.T) {
	limit := Default().LargeNetwork
	ids := many(limit + 2)
	neighbours := make(map[peer.ID][]peer.ID)
	for _, self := range ids {
		m, err := New(Config{Self: claim(self, 100), Timing: Default(), Rand: rand.New(rand.NewPCG(1, 2))}, time.UnixMilli(0))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, id := range ids {
			if id == self {
				continue
			}
			if n++; n == limit+1 {
				if got, all := m.Neighbours(); len(got) != limit || !all {
					t.Fatalf("%d neighbours in a full mesh of %d", len(got), limit)
				}
			}
			m.enter(claim(id, 1), Alive)
		}
		got, all := m.Neighbours()
		if len(got) != MaxNeighbours || all || !slices.IsSorted(got) {
			t.Fatalf("%d neighbours, all: %v; want %d in order", len(got), all, MaxNeighbours)
		}
		neighbours[self] = got
	}
	mutual := 0
	for self, chosen := range neighbours {
		for _, p := range chosen {
			if slices.Contains(neighbours[p], self) {
				mutual++
			}
		}
	}
	if share := float64(mutual) / float64(len(ids)*MaxNeighbours); share < 0.8 {
		t.Errorf("only %.0f %% of the connections are kept by both sides", 100*share)
	}
}

// In a large network it is mostly neighbours that are probed, gossiped with and asked, and everybody has a turn at last.
func TestProbesKeepToNeighbours(t *testing.T) {
	r := newRig(t)
	ids := many(r.m.t.LargeNetwork + 20)
	for _, id := range ids {
		r.m.enter(claim(id, 1), Alive)
	}
	neighbours, _ := r.m.Neighbours()
	r.m.Actions()
	distant, probed := 0, make(map[peer.ID]bool)
	const probes = 1000
	for n := 0; n < probes; {
		r.now = r.now.Add(50 * time.Millisecond)
		r.m.Tick(r.now)
		for _, a := range r.m.Actions() {
			switch a := a.(type) {
			case Probe:
				n++
				probed[a.Target] = true
				if !slices.Contains(neighbours, a.Target) {
					distant++
				}
				r.m.Answered(r.now, a.ID, time.Millisecond)
			case Sync:
				if !slices.Contains(neighbours, a.Target) {
					t.Errorf("claims are exchanged with %q, which takes a connection", a.Target)
				}
			}
		}
	}
	if distant > probes/distantEvery+1 || len(probed) != len(ids) {
		t.Errorf("%d of %d probes went to distant members, and %d of %d members had a turn", distant, probes, len(probed), len(ids))
	}
}

// A member that was alive for long without a probe of this node is remembered after its death as long as any other.
func TestDistantMemberIsNotForgottenEarly(t *testing.T) {
	r := newRig(t)
	mem := r.m.enter(claim("a", 1), Alive)
	mem.lastSeen = r.now
	r.now = r.now.Add(2 * r.m.t.Forget)
	r.m.lastTick = r.now
	r.m.advance(r.now)
	r.m.transition(mem, Suspect)
	r.m.transition(mem, Dead)
	r.m.sweep()
	r.want("a", Dead)
}

func TestClosest(t *testing.T) {
	r := newRig(t)
	ids := many(50)
	for i, id := range ids {
		s := Alive
		if i%5 == 0 {
			s = []State{Suspect, Away, Dead}[i%3]
		}
		r.m.enter(claim(id, 1), s)
	}
	alive := []peer.ID{"self"}
	for i, id := range ids {
		if i%5 != 0 {
			alive = append(alive, id)
		}
	}
	for i := range 20 {
		target := sha256.Sum256([]byte{byte(i)})
		slices.SortFunc(alive, func(a, b peer.ID) int {
			x, y := Distance(sha256.Sum256([]byte(a)), target), Distance(sha256.Sum256([]byte(b)), target)
			return bytes.Compare(x[:], y[:])
		})
		for _, n := range []int{0, 1, 7, 100} {
			var got []peer.ID
			for _, c := range r.m.Closest(target, n) {
				got = append(got, c.ID)
			}
			if !slices.Equal(got, alive[:min(n, len(alive))]) {
				t.Errorf("the %d closest are %q, want %q", n, got, alive[:min(n, len(alive))])
			}
		}
	}
}

func TestNobodyNearIsLeftOut(t *testing.T) {
	const limit = 40
	r := newCutRig(t, limit)
	ids := many(400)
	for _, id := range ids[:limit] {
		r.offer(id)
	}
	if near := r.m.Near(); near != 0 {
		t.Errorf("near is %d bits though all are kept", near)
	}
	for _, id := range ids[limit:] {
		r.offer(id)
	}
	near := r.m.Near()
	inside, others := 0, 0 // others: those that would be inside with one bit less
	for _, id := range ids {
		d := r.m.placeOf(id).distance
		shared := 0
		for shared < near && d[shared/8]&(0x80>>(shared%8)) == 0 {
			shared++
		}
		_, member := r.m.Member(id)
		switch {
		case shared >= near && !member:
			t.Errorf("%q is left out though it has %d bits in common", id, near)
		case shared >= near:
			inside++
		case shared == near-1 && !member:
			others++
		}
	}
	if near == 0 || inside == 0 || others == 0 {
		t.Errorf("near is %d bits: %d peers are inside, %d would be left out with one bit less", near, inside, others)
	}
}
