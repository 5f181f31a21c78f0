package swim

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds on candidates.
const (
	// MaxCandidates is the most peers that are heard of but not yet members, MaxPerSource the most of them that one peer told of.
	MaxCandidates = 1024
	MaxPerSource  = 512
	// maxCandidateProbes is the most candidates that are probed at once, candidateTries how often one is probed before it is dropped.
	maxCandidateProbes = 16
	candidateTries     = 8
)

// candidate is a peer that this node has heard of or been connected to by, and that has not answered it yet.
type candidate struct {
	place
	id peer.ID
	// claim is nil until one is heard: it came by itself.
	claim *Claim
	// source is the peer that told of it; the candidate itself when it came by itself.
	source  peer.ID
	tries   int
	next    time.Time
	probing bool
}

// candidates is a bounded list in the order of arrival.
type candidates struct {
	list []*candidate
}

func (cs *candidates) find(id peer.ID) *candidate {
	for _, c := range cs.list {
		if c.id == id {
			return c
		}
	}
	return nil
}

// met adds or revives a candidate that is connected to this node.
func (cs *candidates) met(now time.Time, id peer.ID, p place) {
	c := cs.find(id)
	if c == nil {
		c = cs.add(id, id, p)
	}
	if c != nil && !c.probing {
		c.next = now
	}
}

// heard adds or updates a candidate that source told of.
func (cs *candidates) heard(now time.Time, claim *Claim, source peer.ID, p place) {
	c := cs.find(claim.ID)
	if c == nil {
		if claim.Away > 0 {
			return
		}
		if c = cs.add(claim.ID, source, p); c == nil {
			return
		}
		c.next = now
	}
	if c.claim == nil || c.claim.Incarnation < claim.Incarnation {
		c.claim = claim
	}
}

// add returns a new candidate, or nil when there is no room for one from source.
func (cs *candidates) add(id, source peer.ID, p place) *candidate {
	if len(cs.list) >= MaxCandidates {
		return nil
	}
	n := 0
	for _, c := range cs.list {
		if c.source == source {
			n++
		}
	}
	if n >= MaxPerSource {
		return nil
	}
	c := &candidate{place: p, id: id, source: source}
	cs.list = append(cs.list, c)
	return c
}

func (cs *candidates) remove(id peer.ID) {
	cs.list = slices.DeleteFunc(cs.list, func(c *candidate) bool { return c.id == id })
}

// failed puts a candidate's next try off, or drops it after the last.
func (cs *candidates) failed(now time.Time, t *Timing, id peer.ID) {
	c := cs.find(id)
	if c == nil {
		return
	}
	c.probing = false
	if c.tries++; c.tries >= candidateTries {
		cs.remove(id)
		return
	}
	c.next = now.Add(min(t.CandidateBackoff<<(c.tries-1), t.CandidateBackoffMax))
}

// probeCandidates probes those whose time has come, first come first served, and drops those that there is no room for any more.
func (m *Machine) probeCandidates() {
	m.candidates.list = slices.DeleteFunc(m.candidates.list, func(c *candidate) bool {
		return !c.probing && !m.now.Before(c.next) && !m.wants(&c.place)
	})
	room := maxCandidateProbes
	for _, c := range m.candidates.list {
		if c.probing {
			room--
		}
	}
	for _, c := range m.candidates.list {
		if room <= 0 || m.waiting() >= maxProbes {
			return
		}
		if c.probing || m.now.Before(c.next) {
			continue
		}
		c.probing = true
		room--
		m.begin(&probe{kind: probeCandidate, target: c.id}, m.t.CandidateTimeout, c.claim)
	}
}

// admit makes a candidate that answered a member.
func (m *Machine) admit(id peer.ID, rtt time.Duration) {
	c := m.candidates.find(id)
	if c == nil {
		return
	}
	if !m.wants(&c.place) {
		m.candidates.remove(id)
		return
	}
	if c.claim == nil || len(m.roster) >= MaxMembers {
		m.candidates.failed(m.now, &m.t, id)
		return
	}
	m.candidates.remove(id)
	state := Alive
	if c.claim.Away > 0 {
		state = Away
	}
	mem := m.enter(c.claim, state)
	mem.lastSeen = m.now
	mem.sample(rtt)
	if state == Away {
		mem.awayUntil = m.now.Add(min(c.claim.Away, MaxAbsence))
	}
	m.gossip.claim(c.claim)
	m.wantSync = id
	m.trim()
	m.sync()
	m.probeCandidates()
}
