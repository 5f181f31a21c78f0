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
	// newsSync is how soon after a newcomer in a large network claims are exchanged: there may be others.
	newsSync = 2 * time.Second
	// maxVouchers is the most candidates that others are asked about at once.
	maxVouchers = 64
)

// candidate is a peer that this node has heard of or been connected to by, and that has not answered it yet.
type candidate struct {
	place
	id peer.ID
	// claim is nil until one is heard: it came by itself.
	claim *Claim
	// source is the peer that told of it; the candidate itself when it came by itself.
	source peer.ID
	since  time.Time
	// connected is set once the candidate came by itself: to probe it takes no new connection.
	connected bool
	tries     int
	// denials is how often others had no proof that it runs.
	denials int
	next    time.Time
	probing bool
}

// candidates is a bounded list: those that came by themselves, and then the others, each in the order of arrival.
type candidates struct {
	list []*candidate
	byID map[peer.ID]*candidate
	// told is how many of them each source told of.
	told map[peer.ID]int
	// window is how many may be probed directly at once.
	window window
}

func newCandidates() candidates {
	return candidates{byID: make(map[peer.ID]*candidate), told: make(map[peer.ID]int), window: newWindow()}
}

func (cs *candidates) find(id peer.ID) *candidate { return cs.byID[id] }

// met adds or revives a candidate that is connected to this node.
func (cs *candidates) met(now time.Time, id peer.ID, p place) {
	c := cs.find(id)
	if c == nil {
		cs.giveWay()
		c = cs.add(now, id, id, p)
	}
	if c == nil {
		return
	}
	if !c.connected {
		c.connected = true
		cs.prefer(c)
	}
	if !c.probing {
		c.next = now
	}
}

// prefer puts one that came by itself before all that have not: who makes peers up, which never answer, must not make it wait for each of them.
func (cs *candidates) prefer(c *candidate) {
	cs.list = slices.DeleteFunc(cs.list, func(other *candidate) bool { return other == c })
	i := slices.IndexFunc(cs.list, func(other *candidate) bool { return !other.connected })
	if i < 0 {
		i = len(cs.list)
	}
	cs.list = slices.Insert(cs.list, i, c)
}

// giveWay makes room in a full list for one that came by itself: of those that others told of, the last that the most talkative one did goes. Whoever makes peers up keeps nobody else out.
func (cs *candidates) giveWay() {
	if len(cs.list) < MaxCandidates {
		return
	}
	told, most := make(map[peer.ID]int), 0
	for _, c := range cs.list {
		if !c.connected && !c.probing {
			told[c.source]++
			most = max(most, told[c.source])
		}
	}
	for _, c := range slices.Backward(cs.list) {
		if !c.connected && !c.probing && told[c.source] == most {
			cs.remove(c.id)
			return
		}
	}
}

// heard adds or updates a candidate that source told of. A new one is probed after pause.
func (cs *candidates) heard(now time.Time, claim *Claim, source peer.ID, p place, pause time.Duration) {
	c := cs.find(claim.ID)
	if c == nil {
		if claim.Away > 0 {
			return
		}
		if c = cs.add(now, claim.ID, source, p); c == nil {
			return
		}
		c.next = now.Add(pause)
	}
	if c.claim == nil || c.claim.Incarnation < claim.Incarnation {
		c.claim = claim
	}
}

// add returns a new candidate, or nil when there is no room for one from source.
func (cs *candidates) add(now time.Time, id, source peer.ID, p place) *candidate {
	if len(cs.list) >= MaxCandidates {
		return nil
	}
	if cs.told[source] >= MaxPerSource {
		return nil
	}
	c := &candidate{place: p, id: id, source: source, since: now}
	cs.list, cs.byID[id] = append(cs.list, c), c
	cs.told[source]++
	return c
}

func (cs *candidates) remove(id peer.ID) {
	if gone := cs.byID[id]; gone != nil {
		cs.drop(func(c *candidate) bool { return c == gone })
	}
}

// drop removes those of whom gone says so.
func (cs *candidates) drop(gone func(*candidate) bool) {
	cs.list = slices.DeleteFunc(cs.list, func(c *candidate) bool {
		if !gone(c) {
			return false
		}
		delete(cs.byID, c.id)
		if cs.told[c.source]--; cs.told[c.source] == 0 {
			delete(cs.told, c.source)
		}
		return true
	})
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
	m.candidates.drop(func(c *candidate) bool {
		return !c.probing && !m.now.Before(c.next) && !m.wants(&c.place)
	})
	room, vouchers, probes := m.candidates.window.size(), maxVouchers, maxProbes-m.waiting()
	for _, p := range m.probes {
		switch {
		case p.kind == probeVouched:
			vouchers--
		case p.kind == probeCandidate && !p.judged:
			room--
		}
	}
	for _, c := range m.candidates.list {
		if probes <= 0 || room <= 0 && vouchers <= 0 {
			return
		}
		if c.probing || m.now.Before(c.next) {
			continue
		}
		switch {
		case m.vouchable(c):
			if vouchers > 0 && m.askVoucher(c) {
				vouchers--
				probes--
			}
		case room > 0:
			room--
			probes--
			c.probing = true
			m.begin(&probe{kind: probeCandidate, target: c.id}, m.late.candidate(m.t.CandidateTimeout), c.claim)
		}
	}
}

// admit makes a candidate that answered a member.
func (m *Machine) admit(id peer.ID, rtt time.Duration) {
	if mem := m.enterCandidate(id); mem != nil {
		mem.lastSeen = m.now
		mem.sample(rtt)
		m.wantSync = id
		m.sync()
	}
	m.probeCandidates()
}

// enterCandidate makes a candidate that has proven that it runs a member, or returns nil.
func (m *Machine) enterCandidate(id peer.ID) *member {
	c := m.candidates.find(id)
	if c == nil {
		return nil
	}
	if !m.wants(&c.place) {
		m.candidates.remove(id)
		return nil
	}
	if c.claim == nil || len(m.roster) >= MaxMembers {
		m.candidates.failed(m.now, &m.t, id)
		return nil
	}
	m.candidates.remove(id)
	state := Alive
	if c.claim.Away > 0 {
		state = Away
	}
	mem := m.enter(c.claim, state)
	mem.proven = m.now
	if state == Away {
		mem.awayUntil = m.now.Add(min(c.claim.Away, MaxAbsence))
	}
	m.gossip.claim(c.claim)
	if m.large() { // not all newcomers come by themselves, and gossip leaves some out
		m.nextSync = earlier(m.nextSync, m.now.Add(newsSync))
	}
	m.trim()
	if m.members[id] == nil {
		return nil
	}
	return mem
}
