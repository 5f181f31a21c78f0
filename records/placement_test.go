package records

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

func newRNG(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func randomPeer(rng *rand.Rand) peer.ID {
	var author disk.Author
	for i := range author {
		author[i] = byte(rng.Uint32())
	}
	return peerIDOf(author)
}

// randomView returns a view of n members in up to the given number of zones; about a third of the members is not alive.
func randomView(rng *rand.Rand, n, zones int) *routing.View {
	v := &routing.View{}
	for range n {
		m := routing.Member{ID: randomPeer(rng), Zone: fmt.Sprint("zone", rng.IntN(zones)), State: routing.Alive, RTT: time.Duration(rng.IntN(1e6))}
		if rng.IntN(3) == 0 {
			m.State = routing.State(1 + rng.IntN(4))
		}
		m.Leaving = rng.IntN(10) == 0
		v.Members = append(v.Members, m)
	}
	sortMembers(v.Members)
	self := rng.IntN(n)
	v.Self = v.Members[self].ID
	v.Members[self].State = routing.Alive
	return v
}

// referenceHolders says in the plainest way who the holders are.
func referenceHolders(v *routing.View, shard disk.Shard, copies int) []int {
	hash := shard.First()
	var order []int
	zones := map[string]bool{}
	staying := 0
	for i, m := range v.Members {
		if !m.Leaving {
			staying++
		}
		if m.State != routing.Dead && !m.Leaving {
			order = append(order, i)
			zones[m.Zone] = true
		}
	}
	distance := func(i int) []byte {
		d := sha256.Sum256([]byte(v.Members[i].ID))
		for j := range d {
			d[j] ^= hash[j]
		}
		return d[:]
	}
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(distance(a), distance(b)) })
	wanted := min(copies, staying)
	spread := min(len(zones), wanted)
	if spread == 0 {
		return nil
	}
	limit := (wanted + spread - 1) / spread
	used := map[string]int{}
	var holders, rest []int
	for _, i := range order {
		if zone := v.Members[i].Zone; len(holders) < wanted && used[zone] < limit {
			used[zone]++
			holders = append(holders, i)
		} else {
			rest = append(rest, i)
		}
	}
	return append(holders, rest[:min(len(rest), wanted-len(holders))]...)
}

func TestPlacement(t *testing.T) {
	rng := newRNG(t)
	for range 1000 {
		view := randomView(rng, 1+rng.IntN(40), 1+rng.IntN(8))
		copies := 1 + rng.IntN(7)
		shard := disk.Shard(rng.IntN(disk.Shards))
		topology := newTopology(view, copies, nil)
		p := topology.place(shard)

		if want := referenceHolders(view, shard, copies); !slices.Equal(p.holders, want) {
			t.Fatalf("holders = %v, want %v (%d members, %d copies)", p.holders, want, len(view.Members), copies)
		}
		if p.wanted != min(copies, staying(view)) || 2*p.quorum <= p.wanted || 2*(p.quorum-1) > p.wanted {
			t.Fatalf("%d members, %d copies: wanted %d, quorum %d", len(view.Members), copies, p.wanted, p.quorum)
		}
		checkZones(t, view, &p)
		further := p.further(2 * copies)
		for _, i := range further {
			if slices.Contains(p.holders, i) || view.Members[i].State == routing.Dead {
				t.Fatalf("member %d is among the further ones", i)
			}
		}
		notDead := len(view.Members) - view.Count(routing.Dead)
		if want := min(2*copies, notDead-len(p.holders)); len(further) != want {
			t.Fatalf("%d further members, want %d", len(further), want)
		}
	}
}

func staying(view *routing.View) (n int) {
	for _, m := range view.Members {
		if !m.Leaving {
			n++
		}
	}
	return n
}

// checkZones checks that the alive holders and the witness can give an acknowledgement its second zone wherever there is one.
func checkZones(t *testing.T, view *routing.View, p *placement) {
	t.Helper()
	alive := map[string]bool{}
	for _, m := range view.Members {
		if m.State == routing.Alive && !m.Leaving {
			alive[m.Zone] = true
		}
	}
	var able []int
	for _, i := range p.holders {
		if view.Members[i].State == routing.Alive {
			able = append(able, i)
		}
	}
	if p.witness >= 0 {
		if view.Members[p.witness].State != routing.Alive || slices.Contains(p.holders, p.witness) {
			t.Fatalf("witness %d is no alive member beside the holders", p.witness)
		}
		able = append(able, p.witness)
	}
	if len(able) > 0 && able[0] != p.witness && !p.spansZones(able) {
		t.Fatalf("%d zones are alive, and all of %v are in one", len(alive), able)
	}
	if len(alive) > 1 && p.wanted > 1 && (p.spansZones(nil) || p.spansZones(p.holders[:1])) {
		t.Fatal("less than two copies span two zones")
	}
}

func TestPlacementIsTheSameFromEveryMember(t *testing.T) {
	rng := newRNG(t)
	view := randomView(rng, 30, 3)
	shard := disk.Shard(rng.IntN(disk.Shards))
	want := newTopology(view, 5, nil).place(shard).holders
	for _, m := range view.Members {
		other := &routing.View{Self: m.ID, Members: slices.Clone(view.Members)}
		for i := range other.Members { // another peer measures otherwise
			if other.Members[i].State != routing.Dead {
				other.Members[i].State = routing.State(1 + rng.IntN(3))
			}
			other.Members[i].RTT = time.Duration(rng.IntN(1e9))
		}
		if got := newTopology(other, 5, nil).place(shard).holders; !slices.Equal(got, want) {
			t.Fatalf("holders %v, from another peer %v", want, got)
		}
	}
}

// What is taken over of the layout before is what would be computed anew.
func TestLayoutsGoOnFromOneAnother(t *testing.T) {
	rng := newRNG(t)
	view := randomView(rng, 40, 3)
	var l *layout
	for range 100 {
		l = newLayout(view, DefaultCopies, l)
		anew := newLayout(view, DefaultCopies, nil)
		if !slices.Equal(l.hashes, anew.hashes) || !slices.Equal(l.sorted, anew.sorted) {
			t.Fatalf("of %d members, %v are in this order, want %v", len(view.Members), l.sorted, anew.sorted)
		}
		next := &routing.View{Self: view.Self, Members: randomView(rng, 1+rng.IntN(10), 3).Members}
		for _, m := range view.Members {
			if m.ID == view.Self || rng.IntN(5) > 0 {
				next.Members = append(next.Members, m)
			}
		}
		sortMembers(next.Members)
		view = next
	}
}

func TestBitsThatShardsHaveInCommonWithThisPeer(t *testing.T) {
	l := newLayout(randomView(newRNG(t), 5, 1), DefaultCopies, nil)
	for i := range disk.Shards {
		first := disk.Shard(i).First()
		if got, want := l.bitsInCommon(disk.Shard(i)), sharedBits(&first, &l.selfHash); got != want {
			t.Fatalf("%d bits in common with shard %d, want %d", got, i, want)
		}
	}
}

func BenchmarkPlacement(b *testing.B) {
	for _, n := range []int{5, 32, 128, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			layout := newLayout(randomView(newRNG(b), n, 3), DefaultCopies, nil)
			b.ReportAllocs()
			for i := range b.N {
				layout.newPlace(disk.Shard(i % disk.Shards))
			}
		})
	}
}

// TestPlacementInPartialViews: who holds a shard knows that, and who else does, though it has only those in view who are near it, and some others; and nobody else takes itself for a holder.
func TestPlacementInPartialViews(t *testing.T) {
	rng := newRNG(t)
	const members, nearest, others = 200, 32, 32
	whole := &routing.View{}
	for range members {
		whole.Members = append(whole.Members, routing.Member{ID: randomPeer(rng), State: routing.Alive})
	}
	sortMembers(whole.Members)
	all := newTopology(whole, DefaultCopies, nil)
	partial := make([]*topology, members)
	for i := range partial {
		var near []int // this one first
		all.walk(all.sorted, 0, &all.hashes[i], func(j int) bool {
			near = append(near, j)
			return true
		})
		view := &routing.View{Self: all.id(i), Partial: true, Near: sharedBits(&all.hashes[near[nearest]], &all.hashes[i]) + 1}
		rest := near[nearest+1:]
		rng.Shuffle(len(rest), func(a, b int) { rest[a], rest[b] = rest[b], rest[a] })
		for _, j := range near[:nearest+1+others] {
			view.Members = append(view.Members, whole.Members[j])
		}
		sortMembers(view.Members)
		partial[i] = newTopology(view, DefaultCopies, nil)
	}
	for range 60 {
		s := disk.Shard(rng.IntN(disk.Shards))
		want := all.place(s)
		for i, topology := range partial {
			p := topology.place(s)
			held := want.holds(all.id(i))
			if p.holds(all.id(i)) != held {
				t.Errorf("shard %d: a member takes itself for a holder: %v, want %v", s, !held, held)
			}
			if held && !slices.Equal(idsOf(&p), idsOf(&want)) {
				t.Errorf("shard %d: a holder takes others for the holders", s)
			}
		}
	}
}

func sortMembers(members []routing.Member) {
	slices.SortFunc(members, func(a, b routing.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
}

func idsOf(p *placement) (ids []peer.ID) {
	for _, i := range p.holders {
		ids = append(ids, p.id(i))
	}
	return ids
}

// What is ruled out without a look at the holders is right, and in a large network that is nearly everything.
func TestMostShardsAreRuledOutWithoutPlacingThem(t *testing.T) {
	rng := newRNG(t)
	for range 30 {
		n, zones := 1+rng.IntN(200), 1+rng.IntN(4)
		l := newTopology(randomView(rng, n, zones), 1+rng.IntN(7), nil)
		for i := range disk.Shards {
			s := disk.Shard(i)
			if p := l.place(s); !l.mayHold(s) && p.holds(l.self) {
				t.Fatalf("%d members in %d zones, %d copies: shard %d is held and was ruled out", n, zones, l.wanted, s)
			}
		}
	}
	for _, zones := range []int{1, 3} {
		l := newTopology(randomView(rng, 512, zones), DefaultCopies, nil)
		left, held := 0, 0
		for i := range disk.Shards {
			if l.mayHold(disk.Shard(i)) {
				left++
			}
			if p := l.place(disk.Shard(i)); p.holds(l.self) {
				held++
			}
		}
		t.Logf("%d zones: %d shards held, %d left to look at", zones, held, left)
		if left > disk.Shards/4 {
			t.Errorf("%d shards are left to look at", left)
		}
	}
}
