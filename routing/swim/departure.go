package swim

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// MaxDepartures is the most peers that are remembered as having left for good. Beyond it the oldest are given up, which harms nobody: a peer that is
// gone doesn't answer, so that older claims don't make it a member again.
const MaxDepartures = 1024

// departure is a peer that left for good: its last claim, and until when it is remembered.
type departure struct {
	claim *Claim
	until time.Time
}

// departures keeps claims of peers that left from being taken in again while older ones still go round. They stay for Timing.Forget, as long
// as somebody who didn't hear of it may take such a peer for a member.
type departures struct {
	byID  map[peer.ID]departure
	order []peer.ID // by until
}

func (ds *departures) add(c *Claim, until time.Time) {
	ds.remove(c.ID)
	if len(ds.order) == MaxDepartures {
		ds.remove(ds.order[0])
	}
	ds.byID[c.ID] = departure{c, until}
	ds.order = append(ds.order, c.ID)
}

func (ds *departures) remove(id peer.ID) {
	if _, ok := ds.byID[id]; ok {
		delete(ds.byID, id)
		ds.order = slices.DeleteFunc(ds.order, func(o peer.ID) bool { return o == id })
	}
}

func (ds *departures) expire(now time.Time) {
	for len(ds.order) > 0 && !now.Before(ds.byID[ds.order[0]].until) {
		ds.remove(ds.order[0])
	}
}

// depart takes in a peer's word that it has left. Only who knew it passes that on, so that made-up peers don't travel.
func (m *Machine) depart(c *Claim) {
	if !m.Wants(c.ID, c.Incarnation) {
		return
	}
	m.departures.add(c, m.now.Add(m.t.Forget))
	m.candidates.remove(c.ID)
	if mem := m.members[c.ID]; mem != nil {
		m.forget(mem)
		m.gossip.claim(c)
		m.spread()
	}
}

// returns says whether a claim of a peer that is not a member may make it a candidate: it has not left since.
func (m *Machine) returns(c *Claim) bool {
	left := m.departures.byID[c.ID].claim
	if left == nil {
		return true
	}
	if c.Incarnation <= left.Incarnation {
		return false
	}
	m.departures.remove(c.ID)
	return true
}

// remind passes a departure on again when from speaks of the peer as if it had not heard of it.
func (m *Machine) remind(from peer.ID, r Rumour) {
	left, source := m.departures.byID[r.Subject].claim, m.members[from]
	if left == nil || r.Incarnation >= left.Incarnation || m.gossip.has(left) || source == nil || !source.words.has(m.now) {
		return
	}
	source.words.take()
	m.gossip.claim(left)
}

// Departed says whether a peer has left for good by a later claim than the one of the given incarnation.
func (m *Machine) Departed(id peer.ID, incarnation uint64) bool {
	left := m.departures.byID[id].claim
	return left != nil && incarnation < left.Incarnation
}
