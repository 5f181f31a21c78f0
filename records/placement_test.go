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
		v.Members = append(v.Members, m)
	}
	slices.SortFunc(v.Members, func(a, b routing.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	self := rng.IntN(n)
	v.Self = v.Members[self].ID
	v.Members[self].State = routing.Alive
	return v
}

// referenceHolders says in the plainest way who the holders are.
func referenceHolders(v *routing.View, hash [32]byte, copies int) []int {
	var order []int
	zones := map[string]bool{}
	for i, m := range v.Members {
		if m.State != routing.Dead {
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
	wanted := min(copies, len(v.Members))
	spread := min(len(zones), wanted)
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
	for range 3000 {
		view := randomView(rng, 1+rng.IntN(40), 1+rng.IntN(8))
		copies := 1 + rng.IntN(7)
		hash := sha256.Sum256([]byte{byte(rng.Uint32()), byte(rng.Uint32())})
		topology := newTopology(view, copies)
		p := topology.place(hash)

		if want := referenceHolders(view, hash, copies); !slices.Equal(p.holders, want) {
			t.Fatalf("holders = %v, want %v (%d members, %d copies)", p.holders, want, len(view.Members), copies)
		}
		if p.wanted != min(copies, len(view.Members)) || 2*p.quorum <= p.wanted || 2*(p.quorum-1) > p.wanted {
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

// checkZones checks that the alive holders and the witness can give an acknowledgement its second zone wherever there is one.
func checkZones(t *testing.T, view *routing.View, p *placement) {
	t.Helper()
	alive := map[string]bool{}
	for _, m := range view.Members {
		if m.State == routing.Alive {
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
	hash := sha256.Sum256([]byte("key"))
	want := newTopology(view, 5).place(hash).holders
	for _, m := range view.Members {
		other := &routing.View{Self: m.ID, Members: slices.Clone(view.Members)}
		for i := range other.Members { // another peer measures otherwise
			if other.Members[i].State != routing.Dead {
				other.Members[i].State = routing.State(1 + rng.IntN(3))
			}
			other.Members[i].RTT = time.Duration(rng.IntN(1e9))
		}
		if got := newTopology(other, 5).place(hash).holders; !slices.Equal(got, want) {
			t.Fatalf("holders %v, from another peer %v", want, got)
		}
	}
}

func BenchmarkPlacement(b *testing.B) {
	for _, n := range []int{5, 32, 128, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			topology := newTopology(randomView(newRNG(b), n, 3), DefaultCopies)
			b.ReportAllocs()
			for i := range b.N {
				topology.place([32]byte{byte(i), byte(i >> 8)})
			}
		})
	}
}
