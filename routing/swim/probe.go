package swim

import (
	"bytes"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// probe is one direct probe and, where it goes unanswered, the indirect ones that follow.
type probe struct {
	id     ProbeID
	target peer.ID
	began  time.Time
	// deadline ends the present phase: direct, indirect or, once judged, the wait for late answers.
	deadline time.Time
	kind     probeKind
	indirect bool
	judged   bool
	// hasty probes suspect as soon as the direct probe fails, because others found the same before.
	hasty bool
	// counted is set once the probe is among the member's failures.
	counted bool
	// failed is set once the direct probe can't be answered any more, refused when that was because the connection was refused.
	failed, refused bool
	// asked are the helpers, denied is how many said that they had no answer.
	asked, denied int
}

type probeKind uint8

const (
	probePresent probeKind = iota
	probeAbsent
	probeCandidate
	// probeVouched asks others for a candidate's proof, see voucher.go.
	probeVouched
)

// probe begins a probe of mem if the bounds allow.
func (m *Machine) probe(mem *member) bool {
	if m.waiting() >= maxProbes {
		return false
	}
	p := &probe{kind: probePresent, target: mem.id(), hasty: mem.hasty}
	timeout := m.late.probe(m.health.timeout(m.t.Direct))
	if !mem.state.present() {
		p.kind, timeout = probeAbsent, m.late.candidate(m.t.AbsentTimeout)
	}
	if mem.state == Suspect {
		mem.suspicion.nextProbe = m.now.Add(m.late.pause(m.t.suspectInterval(m.counts[Suspect])))
	}
	mem.hasty = false
	m.begin(p, timeout, nil)
	return true
}

func (m *Machine) begin(p *probe, timeout time.Duration, candidate *Claim) {
	m.lastID++
	p.id, p.began, p.deadline = m.lastID, m.now, m.now.Add(timeout)
	m.probes = append(m.probes, p)
	a := Probe{ID: p.id, Target: p.target, Timeout: timeout}
	if p.kind == probePresent {
		a.Timeout = m.patience()
	}
	if candidate != nil {
		a.Addrs = candidate.Addrs
	}
	m.do(a)
}

// waiting is the number of probes not judged yet.
func (m *Machine) waiting() int {
	n := 0
	for _, p := range m.probes {
		if !p.judged {
			n++
		}
	}
	return n
}

// underWay is the number of probes of mem not judged yet.
func (m *Machine) underWay(mem *member) int {
	n := 0
	for _, p := range m.probes {
		if !p.judged && p.target == mem.id() {
			n++
		}
	}
	return n
}

// Answered reports that the target of a direct probe answered, after rtt; 0 says
// that the time was not measured. What the answer carried is to be handed to Receive before.
func (m *Machine) Answered(now time.Time, id ProbeID, rtt time.Duration) {
	m.advance(now)
	p := m.take(id)
	if p == nil {
		return
	}
	if !p.judged {
		m.health.better()
	}
	if mem := m.members[p.target]; mem != nil {
		m.gossip.dropHearsay(p.target)
		mem.sample(rtt)
		mem.lastSeen = m.now
		mem.failures = 0
		// What was on its way when the connection was refused is older than the refusal.
		if mem.state != Suspect || !mem.suspicion.refused || !p.began.Before(mem.since) {
			m.runs(mem)
		}
	} else if p.kind == probeCandidate {
		m.candidates.window.answered()
		m.admit(p.target, rtt)
	}
	m.pump()
}

// Failed reports that a direct probe failed without having been answered; refused, that the target's machine refused the connection.
func (m *Machine) Failed(now time.Time, id ProbeID, refused bool) {
	m.advance(now)
	p := m.find(id)
	if p == nil || p.failed {
		return
	}
	p.failed, p.refused = true, refused
	mem := m.members[p.target]
	switch {
	case p.judged:
		m.take(id)
		m.unanswered(p)
	case refused && mem != nil && mem.state == Alive && p.began.Before(mem.proven):
		// It was refused, and there was proof of life meanwhile that may have been on its way for long. Another probe tells which of the two is the news.
		m.take(id)
		m.hint(mem, true)
	case p.kind != probePresent:
		m.judge(p)
	case !p.indirect:
		m.askHelpers(p)
	}
	m.pump()
}

// Vouched reports that a helper got an answer from the target, and has shown proof.
func (m *Machine) Vouched(now time.Time, id ProbeID) {
	m.advance(now)
	p := m.find(id)
	if p == nil {
		return
	}
	if p.kind == probeVouched {
		m.vouchedFor(p)
		m.pump()
		return
	}
	if mem := m.members[p.target]; mem != nil && mem.state.present() {
		m.runs(mem)
	}
	m.settle(p)
	m.pump()
}

// Denied reports that a helper got no answer from the target, or could not prove it.
func (m *Machine) Denied(now time.Time, id ProbeID) {
	m.advance(now)
	p := m.find(id)
	if p == nil || p.judged {
		return
	}
	if p.denied++; p.denied >= p.asked {
		m.judge(p)
	}
	m.pump()
}

// expireProbes ends the phases that have run out.
func (m *Machine) expireProbes() {
	for _, p := range slices.Clone(m.probes) {
		switch {
		case m.now.Before(p.deadline):
		case p.judged:
			m.take(p.id)
			m.unanswered(p)
		case p.kind == probePresent && !p.indirect:
			m.askHelpers(p)
		default:
			m.judge(p)
		}
	}
}

// askHelpers begins the indirect phase. The direct probe may still be answered in it.
func (m *Machine) askHelpers(p *probe) {
	mem := m.members[p.target]
	if mem == nil {
		m.take(p.id)
		return
	}
	if (p.hasty || p.refused) && mem.state == Alive && !p.began.Before(mem.proven) {
		m.transition(mem, Suspect)
		mem.suspicion.refused = p.refused
		mem.suspicion.nextProbe = m.now.Add(m.t.Period)
	}
	p.indirect = true
	timeout := m.late.probe(m.health.timeout(m.t.Indirect))
	p.deadline = m.now.Add(timeout)
	wanted := m.t.Helpers
	if m.strained() || m.counts[Suspect] > fewSuspects {
		wanted = min(wanted, 1)
	}
	helpers := m.chooseHelpers(mem, wanted)
	for _, h := range helpers {
		m.do(Ask{ID: p.id, Helper: h.id(), Target: p.target, Timeout: timeout})
	}
	if p.asked = len(helpers); p.failed && p.asked == 0 {
		m.judge(p)
	}
}

// chooseHelpers chooses up to n members that may reach mem: at random, or where views are partial those nearest to mem, which most probably know it.
func (m *Machine) chooseHelpers(mem *member, n int) []*member {
	m.recut()
	helpers := slices.DeleteFunc(slices.Clone(m.roster), func(h *member) bool { return h == mem || !m.handy(h) })
	if m.Partial() {
		slices.SortFunc(helpers, func(a, b *member) int {
			x, y := Distance(a.hash, mem.hash), Distance(b.hash, mem.hash)
			return bytes.Compare(x[:], y[:])
		})
	} else {
		m.rand.Shuffle(len(helpers), func(i, j int) { helpers[i], helpers[j] = helpers[j], helpers[i] })
	}
	return helpers[:min(n, len(helpers))]
}

// judge concludes that a probe failed.
func (m *Machine) judge(p *probe) {
	switch p.kind {
	case probeVouched:
		m.notVouchedFor(p)
		return
	case probeCandidate:
		m.take(p.id)
		if m.strained() && !p.refused && m.now.Sub(p.began) >= slowHandshake {
			m.candidates.window.ranOut(m.now, p.began)
		}
		m.candidates.failed(m.now, &m.t, p.target)
		return
	}
	m.settle(p)
	m.unanswered(p)
	mem := m.members[p.target]
	if mem == nil || p.began.Before(mem.proven) {
		return
	}
	if p.kind == probePresent {
		m.weighHealth(p)
	}
	switch mem.state {
	case Alive:
		if p.kind == probePresent {
			m.transition(mem, Suspect)
			mem.suspicion.refused = p.refused
		}
	case Suspect:
		mem.suspicion.own++
		mem.suspicion.refused = mem.suspicion.refused || p.refused
	}
}

// unanswered counts a probe that the member did not answer itself. That others reach it, or that it refutes, doesn't matter here: if it runs, all the more is something
// wrong with the connection, which may lead to where the member was before it moved.
func (m *Machine) unanswered(p *probe) {
	mem := m.members[p.target]
	if mem == nil || p.counted || p.began.Before(mem.lastSeen) {
		return
	}
	p.counted = true
	if mem.failures++; mem.failures%disconnectAfter == 0 && !m.strained() {
		m.do(Disconnect{Target: mem.id()})
	}
}

// disconnectAfter is the number of probes in a row without an answer after which the connections to a member are given up. A strained node keeps them: to
// make them anew would strain it more.
const disconnectAfter = 2

// weighHealth holds a failed probe against this node itself when the helpers' refusals, which should have come, are missing too (Lifeguard, section IV-A).
func (m *Machine) weighHealth(p *probe) {
	switch {
	case p.refused:
	case p.asked == 0:
		m.health.worse(1)
	default:
		m.health.worse(p.asked - p.denied)
	}
}

// settle marks a probe as judged. A direct answer may still come.
func (m *Machine) settle(p *probe) {
	if p.judged {
		return
	}
	if p.failed || p.kind != probePresent {
		m.take(p.id)
	}
	p.judged, p.deadline = true, p.began.Add(m.patience())
}

// patience is how long after a probe began an answer still counts.
func (m *Machine) patience() time.Duration { return m.late.probe(m.t.Patience) }

func (m *Machine) find(id ProbeID) *probe {
	for _, p := range m.probes {
		if p.id == id {
			return p
		}
	}
	return nil
}

// take removes a probe.
func (m *Machine) take(id ProbeID) *probe {
	i := slices.IndexFunc(m.probes, func(p *probe) bool { return p.id == id })
	if i < 0 {
		return nil
	}
	p := m.probes[i]
	m.probes = slices.Delete(m.probes, i, i+1)
	return p
}

// hint queues mem for a probe as soon as the bounds allow.
func (m *Machine) hint(mem *member, hasty bool) {
	if m.underWay(mem) > 0 {
		for _, p := range m.probes {
			if p.target == mem.id() && hasty {
				p.hasty = true
			}
		}
		return
	}
	mem.hasty = mem.hasty || hasty
	if !mem.queued {
		mem.queued = true
		m.urgent = append(m.urgent, mem)
	}
}

// pump begins the probes that were hinted at, as far as the bounds allow.
func (m *Machine) pump() {
	for len(m.urgent) > 0 && m.hints.has(m.now) && m.waiting() < maxProbes && !m.saturated() {
		mem := m.urgent[0]
		m.urgent = m.urgent[1:]
		mem.queued = false
		if m.underWay(mem) > 0 {
			continue
		}
		m.hints.take()
		m.probe(mem)
	}
}

// ConnectionLost reports that the last connection to a peer is gone, which a peer that stops can't help. A probe under way may
// have been lost with it, so another begins.
func (m *Machine) ConnectionLost(now time.Time, id peer.ID) {
	m.advance(now)
	mem := m.members[id]
	if mem == nil || !mem.state.present() || m.underWay(mem) >= maxSuspectProbes || !m.hints.has(m.now) {
		return
	}
	m.hints.take()
	mem.hasty = true
	m.probe(mem)
}

// Met reports that a peer connected, or sent a message though it is not alive here. It is probed, and that decides.
func (m *Machine) Met(now time.Time, id peer.ID) {
	m.advance(now)
	switch mem := m.members[id]; {
	case id == m.self.ID:
	case mem == nil && m.departures.byID[id].claim != nil:
		// It says goodbye, or it will say itself that it is back.
	case mem == nil:
		if p := m.placeOf(id); m.wants(&p) {
			m.candidates.met(m.now, id, p)
			m.probeCandidates()
		}
	case mem.state != Alive:
		m.retry(mem)
	}
	m.pump()
}

// retry probes a member anew of which there is a sign of life, in place of probes of an absent one that may still be dialling where it was. Their answers still count: two peers that hear of one another at
// the same time would else give up each other's probes just before they are answered, again and again.
func (m *Machine) retry(mem *member) {
	for _, p := range m.probes {
		if p.kind == probeAbsent && p.target == mem.id() {
			p.judged, p.counted = true, true // its silence says nothing any more
		}
	}
	m.hint(mem, false)
}
