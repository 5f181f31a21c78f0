package swim

import (
	"math/bits"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// retransmit is SWIM's lambda: news is passed on retransmit * log2(members) times, after which everybody has it with high probability.
const retransmit = 3

// queue holds the news that this node passes on: at most one claim and one rumour for each peer.
type queue struct {
	claims  []*claimNews
	byID    map[peer.ID]*claimNews // the claims by whom they are of: there are as many as members while a network forms
	rumours []*rumourNews
}

func newQueue() queue { return queue{byID: make(map[peer.ID]*claimNews)} }

type claimNews struct {
	claim *Claim
	sent  int
}

type rumourNews struct {
	rumour Rumour
	sent   int
}

func (q *queue) claim(c *Claim) {
	q.dropClaim(c.ID)
	n := &claimNews{claim: c}
	q.claims, q.byID[c.ID] = append(q.claims, n), n
}

func (q *queue) dropClaim(id peer.ID) {
	if gone := q.byID[id]; gone != nil {
		q.claims = slices.DeleteFunc(q.claims, func(n *claimNews) bool { return n == gone })
		delete(q.byID, id)
	}
}

// tire counts that another peer passed the same claim on. Who hears often enough what it says itself concludes that everybody knows (Demers et al., "Epidemic
// Algorithms for Replicated Database Maintenance", PODC 1987, section 1.4: feedback and counter).
func (q *queue) tire(e Entry, limit int) {
	if n := q.byID[e.ID]; n != nil && n.claim.Incarnation == e.Incarnation {
		n.sent += (limit + tiredAfter - 1) / tiredAfter
	}
}

// tiredAfter is how often a claim must be heard again before it is passed on no more.
const tiredAfter = 4

// has says whether c waits to be passed on.
func (q *queue) has(c *Claim) bool {
	n := q.byID[c.ID]
	return n != nil && n.claim == c
}

func (q *queue) rumour(r Rumour) {
	q.rumours = slices.DeleteFunc(q.rumours, func(n *rumourNews) bool { return n.rumour.Subject == r.Subject })
	q.rumours = append(q.rumours, &rumourNews{rumour: r})
}

func (q *queue) forget(id peer.ID) {
	q.dropClaim(id)
	q.rumours = slices.DeleteFunc(q.rumours, func(n *rumourNews) bool { return n.rumour.Subject == id })
}

// dropHearsay takes back a rumour about id that is only passed on.
func (q *queue) dropHearsay(id peer.ID) {
	q.rumours = slices.DeleteFunc(q.rumours, func(n *rumourNews) bool { return n.rumour.Subject == id && !n.rumour.Own })
}

// takeClaims returns the least sent claims but those about to, and drops those that have been sent often enough.
func (q *queue) takeClaims(to peer.ID, limit int) []*Claim {
	slices.SortStableFunc(q.claims, func(a, b *claimNews) int { return a.sent - b.sent })
	var out []*Claim
	for _, n := range q.claims {
		if len(out) == MaxClaims {
			break
		}
		if n.claim.ID != to {
			n.sent++
			out = append(out, n.claim)
		}
	}
	q.claims = slices.DeleteFunc(q.claims, func(n *claimNews) bool {
		if n.sent < limit {
			return false
		}
		delete(q.byID, n.claim.ID)
		return true
	})
	return out
}

func (q *queue) takeRumours(limit int) []Rumour {
	slices.SortStableFunc(q.rumours, func(a, b *rumourNews) int { return a.sent - b.sent })
	var out []Rumour
	for _, n := range q.rumours {
		if len(out) == MaxRumours {
			break
		}
		n.sent++
		out = append(out, n.rumour)
	}
	q.rumours = slices.DeleteFunc(q.rumours, func(n *rumourNews) bool { return n.sent >= limit })
	return out
}

// Compose returns the message for a request or answer to a peer. News rides only to those who will probably hear it: sent to the silent it would
// use itself up.
func (m *Machine) Compose(to peer.ID) Message {
	msg := Message{Incarnation: m.self.Incarnation}
	acked := uint64(0)
	if mem := m.members[to]; mem != nil {
		msg.Known, acked = mem.claim.Incarnation, mem.acked
		switch mem.state {
		case Alive:
			limit := m.retransmissions()
			msg.Rumours, msg.Claims = m.gossip.takeRumours(limit), m.gossip.takeClaims(to, limit)
		case Suspect, Dead:
			// The accused hears of it, so that it can refute (Lifeguard, section IV-C).
			msg.Rumours = []Rumour{{Subject: to, Incarnation: mem.claim.Incarnation, Verdict: mem.state, Own: true}}
		}
	} else if c := m.candidates.find(to); c != nil && c.claim != nil {
		msg.Known = c.claim.Incarnation
	} else if left := m.departures.byID[to].claim; left != nil {
		// Should it be back with its clock behind, it learns which incarnation to surpass.
		msg.Known, msg.Claims = left.Incarnation, []*Claim{left}
	}
	if acked < m.self.Incarnation && !slices.Contains(msg.Claims, m.self) {
		msg.Claims = append(msg.Claims[:min(len(msg.Claims), MaxClaims-1)], m.self)
	}
	return msg
}

// retransmissions is how often news is passed on.
func (m *Machine) retransmissions() int { return retransmit * bits.Len(uint(len(m.roster)+1)) }

// Wants says whether a claim of that incarnation would be news; the caller need not verify one that isn't.
func (m *Machine) Wants(id peer.ID, incarnation uint64) bool {
	known := m.Claim(id)
	if known == nil {
		if c := m.candidates.find(id); c != nil {
			known = c.claim
		}
	}
	if known != nil {
		return known.Incarnation < incarnation
	}
	p := m.placeOf(id)
	return m.keeps(&p)
}

// Receive takes in a message from a peer whose identity its connection has proven. All claims must have been verified.
func (m *Machine) Receive(now time.Time, from peer.ID, msg Message) {
	m.advance(now)
	if from == m.self.ID {
		return
	}
	for _, c := range msg.Claims {
		m.hear(from, c)
	}
	for _, e := range msg.Stale[:min(len(msg.Stale), MaxClaims)] {
		m.gossip.tire(e, m.retransmissions())
	}
	if mem := m.members[from]; mem != nil && msg.Known <= m.self.Incarnation {
		mem.acked = msg.Known
	}
	for _, r := range msg.Rumours {
		m.heed(from, r)
	}
	if len(msg.Claims) > 0 {
		m.probeCandidates()
	}
	m.pump()
}

// Learn takes in what a Sync brought from a peer: claims that are news, and the members that the peer believes present. Of the latter
// those that are not alive here are probed.
func (m *Machine) Learn(now time.Time, from peer.ID, claims []*Claim, present []peer.ID) {
	m.advance(now)
	for _, c := range claims {
		m.hear(from, c)
	}
	for _, id := range present {
		switch mem := m.members[id]; {
		case mem == nil && id != m.self.ID && m.departures.byID[id].claim == nil:
			p := m.placeOf(id)
			m.wants(&p)
		case mem != nil && (mem.state == Suspect || mem.state == Dead):
			m.hearsay(from, mem, false)
		}
	}
	m.probeCandidates()
	m.pump()
}

// hear takes in one verified claim. The caller has candidates probed when it has taken in all.
func (m *Machine) hear(from peer.ID, c *Claim) {
	if c.ID == m.self.ID {
		if c.Incarnation > m.self.Incarnation {
			// Sealed by this identity in an earlier run, when the clock was ahead.
			m.refute(c.Incarnation)
		}
		return
	}
	if c.Departure == Left {
		m.depart(c)
		return
	}
	mem := m.members[c.ID]
	if mem == nil {
		if p := m.placeOf(c.ID); m.returns(c) && m.wants(&p) {
			m.candidates.heard(m.now, c, from, p, m.youngerPause(c))
		}
		return
	}
	if c.Incarnation <= mem.claim.Incarnation {
		return
	}
	mem.claim = c
	m.gossip.claim(c)
	m.gossip.dropHearsay(c.ID)
	switch {
	case c.Away > 0 && mem.state != Dead:
		m.transition(mem, Away)
		return
	case mem.state == Suspect && c.Away == 0:
		mem.proven = m.now
		m.transition(mem, Alive)
	default:
		m.do(Changed{Member: mem.export(), From: mem.state})
	}
	if mem.state != Alive {
		m.retry(mem)
	}
}

// youngerPause is how long a peer that is heard of is left to come by itself. Of two that hear of one another the one that began later, which has everybody to meet, connects; otherwise most pairs
// would make two connections at once when many begin.
func (m *Machine) youngerPause(c *Claim) time.Duration {
	if c.Incarnation > m.self.Incarnation {
		return m.t.YoungerPause
	}
	return 0
}

// heed takes in one rumour.
func (m *Machine) heed(from peer.ID, r Rumour) {
	if r.Subject == m.self.ID {
		if r.Verdict != Alive && r.Incarnation == m.self.Incarnation && !m.now.Before(m.nextRefuteAt) {
			m.health.worse(1)
			m.refute(m.self.Incarnation)
		}
		return
	}
	mem := m.members[r.Subject]
	if mem == nil {
		m.remind(from, r)
		return
	}
	if m.members[from] == nil || r.Subject == from || r.Incarnation < mem.claim.Incarnation {
		return
	}
	accused := r.Verdict == Suspect || r.Verdict == Dead
	switch {
	case accused && mem.state == Alive:
		if r.Own {
			mem.accusers.add(m.now, from)
		}
		if m.hearsay(from, mem, len(mem.accusers.fresh(m.now)) >= hastyAccusers) {
			m.gossip.rumour(Rumour{Subject: r.Subject, Incarnation: mem.claim.Incarnation, Verdict: r.Verdict})
			m.spread()
		}
	case accused && mem.state == Suspect && r.Own:
		mem.suspicion.confirm(from)
	case r.Verdict == Alive && mem.state != Alive:
		m.hearsay(from, mem, false)
	}
}

// spread probes a few members out of turn, so that news doesn't wait for the rotation. News passed on so takes a few round trips to reach
// everybody. The pause between two spreads bounds its cost, whatever the cause.
func (m *Machine) spread() {
	if m.strained() || m.now.Before(m.nextSpread) {
		return
	}
	m.nextSpread = m.now.Add(m.t.Period)
	for range m.t.MaxProbesPerPeriod {
		mem := m.pick(func(mem *member) bool { return m.handy(mem) && m.underWay(mem) == 0 })
		if mem == nil {
			return
		}
		m.probe(mem)
	}
}

// hastyAccusers is how many peers must say in their own name that they suspect a member before a failed direct probe is enough here.
const hastyAccusers = 2

// hearsay probes mem because of what from says, at most once per HearsayPause. It reports whether it did.
func (m *Machine) hearsay(from peer.ID, mem *member, hasty bool) bool {
	if hasty {
		for _, p := range m.probes {
			p.hasty = p.hasty || p.target == mem.id() && !p.judged
		}
	}
	if !mem.heardOf.IsZero() && m.now.Sub(mem.heardOf) < m.t.HearsayPause {
		return false
	}
	source := m.members[from]
	if source == nil || !source.words.has(m.now) {
		return false
	}
	source.words.take()
	mem.heardOf = m.now
	m.hint(mem, hasty)
	return true
}

// refute asks for a new claim, at most once per RefutePause.
func (m *Machine) refute(above uint64) {
	if m.now.Before(m.nextRefuteAt) {
		return
	}
	m.nextRefuteAt = m.now.Add(m.t.RefutePause)
	m.do(Refute{Above: above})
}
