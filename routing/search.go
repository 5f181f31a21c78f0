package routing

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/routing/swim"
)

// Bounds on a search.
const (
	// searchParallel is how many peers are asked at once (Kademlia's alpha, there 3): reads of records wait for a search.
	searchParallel = 5
	// searchWidth is how many of the nearest peers must have answered before a search ends (Kademlia's k), when no more are wanted. Those beyond the ones that are wanted
	// make up for peers that don't know all of their neighbours.
	searchWidth = 8
	searchSpare = 3
	// maxAsked is the most peers that one search asks.
	maxAsked = 128
	// maxContacts is the most peers that one search keeps in mind: the nearest.
	maxContacts = 256
	// slowAnswer is after how long a peer that doesn't answer keeps no others from being asked.
	slowAnswer = 400 * time.Millisecond
)

// search is one iterative lookup (Maymounkov and Mazières, "Kademlia", IPTPS 2002, section 2.3) as a state machine without I/O and clock: it asks the nearest peers
// that it has heard of for still nearer ones, until the nearest of those that did not fail have all answered. Only who answered is alive, so dead
// peers that others tell of are never found.
type search struct {
	target   [sha256.Size]byte
	width    int
	contacts []*contact // nearest first
	asked    int
}

// contact is a peer that a search has heard of.
type contact struct {
	id       peer.ID
	distance [sha256.Size]byte
	claim    *swim.Claim
	state    contactState
	depth    uint8     // how many others passed its claim on, one after the other
	since    time.Time // valid in asking: when it was asked
}

type contactState uint8

const (
	heard contactState = iota
	asking
	answered
	failed
)

// newSearch returns a search for the n peers nearest to target.
func newSearch(target [sha256.Size]byte, n int) *search {
	return &search{target: target, width: max(searchWidth, n+searchSpare)}
}

// place returns where a peer is or would be in the order of contacts.
func (s *search) place(id peer.ID) (d [sha256.Size]byte, i int, found bool) {
	d = swim.Distance(sha256.Sum256([]byte(id)), s.target)
	i, found = slices.BinarySearchFunc(s.contacts, d, func(c *contact, d [sha256.Size]byte) int { return bytes.Compare(c.distance[:], d[:]) })
	return d, i, found
}

// wants says whether a claim of that incarnation could be of use: the caller need not verify one that isn't.
func (s *search) wants(id peer.ID, incarnation uint64) bool {
	_, i, found := s.place(id)
	if found {
		c := s.contacts[i]
		return incarnation > c.claim.Incarnation && (c.state == heard || c.state == failed)
	}
	return i < maxContacts && s.ahead(i) < s.width
}

// ahead counts the contacts before the i-th that have not failed.
func (s *search) ahead(i int) int {
	n := 0
	for _, c := range s.contacts[:i] {
		if c.state != failed {
			n++
		}
	}
	return n
}

// hear takes in a verified claim. A newer claim of a peer that did not answer has it asked again: it may have moved.
func (s *search) hear(claim *swim.Claim) *contact {
	d, i, found := s.place(claim.ID)
	if found {
		c := s.contacts[i]
		if claim.Incarnation > c.claim.Incarnation && (c.state == heard || c.state == failed) {
			c.claim, c.state = claim, heard
		}
		return c
	}
	c := &contact{id: claim.ID, distance: d, claim: claim}
	s.contacts = slices.Insert(s.contacts, i, c)
	s.contacts = s.contacts[:min(len(s.contacts), maxContacts)]
	return c
}

// next returns the contacts to ask now, which count as asked.
func (s *search) next(now time.Time) []*contact {
	free := searchParallel
	for _, c := range s.contacts {
		if c.state == asking && now.Sub(c.since) < slowAnswer {
			free--
		}
	}
	var ask []*contact
	for _, c := range s.nearest() {
		if c.state == heard && len(ask) < free && s.asked < maxAsked {
			c.state, c.since = asking, now
			s.asked++
			ask = append(ask, c)
		}
	}
	return ask
}

// nearest returns the nearest contacts that have not failed, width of them.
func (s *search) nearest() []*contact {
	best := make([]*contact, 0, s.width)
	for _, c := range s.contacts {
		if len(best) == s.width {
			break
		}
		if c.state != failed {
			best = append(best, c)
		}
	}
	return best
}

// done says whether the search has ended. complete is false when it did so because it asked as many peers as it may.
func (s *search) done() (done, complete bool) {
	open, under := false, false
	for _, c := range s.nearest() {
		open = open || c.state == heard
		under = under || c.state == asking
	}
	return !under && (!open || s.asked >= maxAsked), !open && !under
}

// keepAnswered returns the contacts that answered.
func (s *search) keepAnswered() []*contact {
	return slices.DeleteFunc(slices.Clone(s.contacts), func(c *contact) bool { return c.state != answered })
}

// hops returns over how many peers, one after the other, the nearest n that answered were found.
func (s *search) hops(n int) int {
	most := uint8(0)
	for _, c := range s.contacts {
		if n == 0 {
			break
		}
		if c.state == answered {
			most = max(most, c.depth)
			n--
		}
	}
	return int(most)
}

// found returns the nearest n that answered.
func (s *search) found(n int) []*swim.Claim {
	var claims []*swim.Claim
	for _, c := range s.contacts {
		if len(claims) >= n {
			break
		}
		if c.state == answered {
			claims = append(claims, c.claim)
		}
	}
	return claims
}

// answers counts the contacts that answered.
func (s *search) answers() int {
	n := 0
	for _, c := range s.contacts {
		if c.state == answered {
			n++
		}
	}
	return n
}
