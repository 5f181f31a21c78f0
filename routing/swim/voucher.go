package swim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// In a network too large for a full mesh a node has no connection to most members, and to make one only to see that a peer runs costs both sides a thousand times what an
// exchange costs: newcomers to a network of n would make n handshakes each, and give nearly all of the connections up again. So a candidate that is not to be a neighbour is asked
// for a signed proof through one of this node's neighbours that probably is its neighbour too. The proof answers this node's own nonce: the helper can withhold it, not forge it.

const (
	// voucherPause is how long after a failed attempt another helper is sought.
	voucherPause = 500 * time.Millisecond
	// voucherPatience is how long a candidate waits for a helper before it is probed directly, maxDenials how many helpers may have no proof before that.
	voucherPatience = 10 * time.Second
	maxDenials      = 3
	// neighbourMargin is how much more of the ranks than MaxNeighbours of all are taken for neighbours', as each side knows others.
	neighbourMargin = 1.25
)

// vouchable says whether a candidate's proof is to be sought through others.
func (m *Machine) vouchable(c *candidate) bool {
	return c.claim != nil && !c.connected && c.denials < maxDenials && m.now.Sub(c.since) < m.late.candidate(voucherPatience) &&
		m.expected() > m.t.LargeNetwork && m.counts[Alive] > 0 && !m.closeRank(&c.rank, neighbourMargin)
}

// expected is how many members there would be if all candidates became some.
func (m *Machine) expected() int {
	return m.counts[Alive] + m.counts[Suspect] + len(m.candidates.list)
}

// closeRank says whether the rank of a pair, which is uniformly distributed, is that of neighbours in a network of the expected size.
func (m *Machine) closeRank(rank *key, margin float64) bool {
	return float64(binary.BigEndian.Uint64(rank[:])) < margin*MaxNeighbours/float64(m.expected())*math.MaxUint64
}

// askVoucher asks a helper for a candidate's proof and reports whether there was one to ask.
func (m *Machine) askVoucher(c *candidate) bool {
	h := m.voucherOf(c)
	if h == nil {
		c.next = m.now.Add(voucherPause)
		return false
	}
	c.probing = true
	m.lastID++
	timeout := m.late.probe(m.t.Direct + m.t.Indirect)
	p := &probe{id: m.lastID, kind: probeVouched, target: c.id, began: m.now, deadline: m.now.Add(timeout), indirect: true, asked: 1}
	m.probes = append(m.probes, p)
	m.do(Ask{ID: p.id, Helper: h.id(), Target: c.id, Timeout: timeout})
	return true
}

// voucherOf returns the neighbour that is most probably the candidate's neighbour too, or nil when none is likely to be. Another one is chosen after each denial.
func (m *Machine) voucherOf(c *candidate) *member {
	m.recut()
	var best *member
	var lowest, floor key
	for n := 0; n <= c.denials; n++ {
		best = nil
		for _, mem := range m.roster {
			if !m.handy(mem) {
				continue
			}
			rank := pairRank(mem.id(), c.id)
			if bytes.Compare(rank[:], floor[:]) > 0 && (best == nil || bytes.Compare(rank[:], lowest[:]) < 0) {
				best, lowest = mem, rank
			}
		}
		floor = lowest
	}
	if best == nil || !m.closeRank(&lowest, neighbourMargin) {
		return nil
	}
	return best
}

// vouchedFor makes a candidate a member whose proof was shown.
func (m *Machine) vouchedFor(p *probe) {
	m.take(p.id)
	if c := m.candidates.find(p.target); c != nil {
		c.probing = false
	}
	m.enterCandidate(p.target)
	m.probeCandidates()
}

// notVouchedFor has another helper asked, or the candidate probed. On a node that is short of processor time the silence of a helper says nothing.
func (m *Machine) notVouchedFor(p *probe) {
	m.take(p.id)
	if c := m.candidates.find(p.target); c != nil {
		c.probing = false
		if p.denied > 0 || !m.strained() {
			c.denials++
		}
		c.next = m.now.Add(m.late.pause(voucherPause))
	}
}

// Sought reports that a peer asked, through another, for this node's proof. Who is not known here is a newcomer, whom the other knows.
func (m *Machine) Sought(now time.Time, by, through peer.ID) {
	m.advance(now)
	if by == m.self.ID || m.members[by] != nil || m.candidates.find(by) != nil || m.departures.byID[by].claim != nil {
		return
	}
	if mem := m.members[through]; mem != nil && mem.state == Alive {
		m.wantSync = through
		m.sync()
	}
}

// pairRank orders pairs of peers at random. Everybody computes the same.
func pairRank(a, b peer.ID) key {
	var pair [2 * usualIDSize]byte // where longer ids do not fit, append makes room
	return sha256.Sum256(append(append(pair[:0], min(a, b)...), max(a, b)...))
}

// usualIDSize is the size in bytes of the id of a peer whose key is an Ed25519 one.
const usualIDSize = 38
