package routing

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/routing/swim"
)

// model is a network in which a search is played without I/O: each peer knows some others.
type model struct {
	rng    *rand.Rand
	ids    []peer.ID
	knows  map[peer.ID][]peer.ID
	silent map[peer.ID]bool
	claims map[peer.ID]*swim.Claim
}

// newModel returns a network of n peers of which each knows its nearest ones and a sample of the others.
func newModel(rng *rand.Rand, n, near, sample int) *model {
	m := &model{rng: rng, knows: make(map[peer.ID][]peer.ID), silent: make(map[peer.ID]bool), claims: make(map[peer.ID]*swim.Claim)}
	for range n {
		id := peer.ID(fmt.Sprintf("%016x", rng.Uint64()))
		m.ids = append(m.ids, id)
		m.claims[id] = &swim.Claim{ID: id, Incarnation: 1}
	}
	for _, id := range m.ids {
		known := closest(m.ids, sha256.Sum256([]byte(id)), near)
		for range sample {
			known = append(known, m.ids[rng.IntN(n)])
		}
		m.knows[id] = known
	}
	return m
}

func (m *model) living() []peer.ID {
	return slices.DeleteFunc(slices.Clone(m.ids), func(id peer.ID) bool { return m.silent[id] })
}

// play runs a search from one peer with answers in random order, and returns it.
func (m *model) play(t *testing.T, from peer.ID, target [sha256.Size]byte, n int) *search {
	t.Helper()
	s := newSearch(target, n)
	for _, id := range closest(m.knows[from], target, s.width) {
		s.hear(m.claims[id])
	}
	s.hear(m.claims[from]).state = answered
	now := time.UnixMilli(0)
	var asked []*contact
	for {
		asked = append(asked, s.next(now)...)
		if n := len(asked); n > searchParallel {
			t.Fatalf("%d peers are asked at once", n)
		}
		if done, complete := s.done(); done {
			if !complete && s.asked < maxAsked {
				t.Fatal("the search gave up early")
			}
			return s
		}
		if len(asked) == 0 {
			t.Fatal("the search waits for nobody")
		}
		i := m.rng.IntN(len(asked))
		c := asked[i]
		asked = slices.Delete(asked, i, i+1)
		if m.silent[c.id] {
			c.state = failed
			continue
		}
		c.state = answered
		for _, id := range closest(m.knows[c.id], target, maxClosest) {
			if s.wants(id, 1) {
				s.hear(m.claims[id])
			}
		}
	}
}

func TestSearchFindsTheNearest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, tt := range []struct{ peers, near, sample, dead int }{
		{1, 1, 0, 0}, {2, 2, 0, 1}, {10, 10, 0, 3}, {300, 32, 32, 0}, {300, 32, 32, 60}, {1500, 32, 32, 150},
	} {
		m := newModel(rng, tt.peers, tt.near, tt.sample)
		for _, i := range rng.Perm(tt.peers)[:tt.dead] {
			m.silent[m.ids[i]] = true
		}
		living := m.living()
		exact, asked := 0, 0
		const searches = 50
		for range searches {
			var target [sha256.Size]byte
			for i := range target {
				target[i] = byte(rng.UintN(256))
			}
			s := m.play(t, living[rng.IntN(len(living))], target, 5)
			var got []peer.ID
			for _, c := range s.found(5) {
				got = append(got, c.ID)
			}
			if slices.Equal(got, closest(living, target, 5)) {
				exact++
			}
			asked += s.asked
		}
		t.Logf("%+v: %d of %d exact, %.1f peers asked", tt, exact, searches, float64(asked)/searches)
		if exact < searches*98/100 {
			t.Errorf("%+v: only %d of %d searches were exact", tt, exact, searches)
		}
	}
}

func TestSlowPeersDoNotHoldASearchUp(t *testing.T) {
	s := newSearch([sha256.Size]byte{}, 1)
	for i := range 20 {
		s.hear(&swim.Claim{ID: peer.ID(fmt.Sprint(i)), Incarnation: 1})
	}
	now := time.UnixMilli(0)
	if n := len(s.next(now)); n != searchParallel {
		t.Errorf("%d peers are asked at first, want %d", n, searchParallel)
	}
	if n := len(s.next(now.Add(slowAnswer - 1))); n != 0 {
		t.Errorf("%d more are asked at once", n)
	}
	// Those that are slow stay among the nearest, so that the search waits for them in the end.
	if n, want := len(s.next(now.Add(slowAnswer))), min(searchParallel, searchWidth-searchParallel); n != want {
		t.Errorf("%d are asked in place of slow ones, want %d", n, want)
	}
}

func TestSearchIsBounded(t *testing.T) {
	var target [sha256.Size]byte
	s := newSearch(target, 1)
	var ids []peer.ID
	for i := range 100_000 {
		ids = append(ids, peer.ID(fmt.Sprint(i)))
	}
	ids = closest(ids, target, len(ids))
	slices.Reverse(ids) // each answer names a nearer peer, for ever
	s.hear(&swim.Claim{ID: ids[0], Incarnation: 1})
	for i, now := 1, time.UnixMilli(0); ; i++ {
		for _, c := range s.next(now) {
			c.state = answered
		}
		s.hear(&swim.Claim{ID: ids[i], Incarnation: 1})
		if done, complete := s.done(); done {
			if complete || s.asked != maxAsked {
				t.Errorf("the search ended after %d questions, complete: %v", s.asked, complete)
			}
			break
		}
	}
	for _, id := range ids {
		s.hear(&swim.Claim{ID: id, Incarnation: 1})
	}
	if len(s.contacts) != maxContacts || !slices.IsSortedFunc(s.contacts, func(a, b *contact) int { return bytes.Compare(a.distance[:], b.distance[:]) }) {
		t.Errorf("%d contacts are kept, want the nearest %d in order", len(s.contacts), maxContacts)
	}
}

func TestNewerClaimsOfContacts(t *testing.T) {
	s := newSearch([sha256.Size]byte{}, 1)
	c := s.hear(&swim.Claim{ID: "a", Incarnation: 5})
	for _, tt := range []struct {
		state       contactState
		incarnation uint64
		want        contactState
		taken       bool
	}{
		{heard, 4, heard, false}, {heard, 6, heard, true}, {failed, 6, failed, false}, {failed, 7, heard, true},
		{asking, 8, asking, false}, {answered, 8, answered, false},
	} {
		c.state = tt.state
		before := c.claim
		if s.wants("a", tt.incarnation) != tt.taken {
			t.Errorf("%+v: wanted is %v", tt, !tt.taken)
		}
		s.hear(&swim.Claim{ID: "a", Incarnation: tt.incarnation})
		if c.state != tt.want || (c.claim != before) != tt.taken {
			t.Errorf("%+v: the state is %d, the claim changed: %v", tt, c.state, c.claim != before)
		}
	}
}
