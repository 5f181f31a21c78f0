package swim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// rttWeight is the share that a new sample has in the smoothed round-trip time, as 1 in rttWeight (RFC 6298's alpha).
const rttWeight = 8

// member is what the machine keeps of one peer.
type member struct {
	place
	claim           *Claim
	state           State
	since, lastSeen time.Time
	rtt             time.Duration

	// aliveUntil is when the member was last in Alive.
	aliveUntil time.Time
	// neighbour is set while connections to the member are kept. Valid after Machine.recut.
	neighbour bool
	// entered is when it became a member, elder whether it is kept for that. elder is valid after Machine.recut of a view that is full.
	entered time.Time
	elder   bool
	// acked is the newest incarnation of this node that the peer is known to know.
	acked uint64
	// awayUntil is when an absence ends. Valid in Away.
	awayUntil time.Time
	// suspicion is valid in Suspect.
	suspicion suspicion
	// accusers are peers that said, lately, that they suspect this one by their own probes. Valid in Alive.
	accusers accusers
	// proven is when the member last proved to run, in whatever way. Probes that began before say nothing by failing.
	proven time.Time
	// failures is the number of probes in a row that the member did not answer itself, whatever others say of it.
	failures int
	// queued is true while the member waits in Machine.urgent; hasty makes the probe it waits for a hasty one.
	queued, hasty bool
	// heardOf is when hearsay last caused a probe of the member; words bounds what hearsay from the member causes.
	heardOf time.Time
	words   bucket
}

func (mem *member) id() peer.ID { return mem.claim.ID }

func (mem *member) export() Member {
	return Member{Claim: mem.claim, State: mem.state, Since: mem.since, LastSeen: mem.lastSeen, RTT: mem.rtt}
}

// lastKnown is when a dead member was last alive or, if it never was, entered. It may have been alive for long without a probe of this node.
func (mem *member) lastKnown() time.Time {
	if known := later(mem.aliveUntil, mem.lastSeen); !known.IsZero() {
		return known
	}
	return mem.since
}

func (mem *member) sample(rtt time.Duration) {
	switch {
	case rtt <= 0:
	case mem.rtt == 0:
		mem.rtt = rtt
	default:
		mem.rtt += (rtt - mem.rtt) / rttWeight
	}
}

func compareID(mem *member, id peer.ID) int { return strings.Compare(string(mem.claim.ID), string(id)) }

// enter adds a member.
func (m *Machine) enter(c *Claim, s State) *member {
	mem := &member{place: m.placeOf(c.ID), claim: c, state: s, since: m.now, entered: m.now, words: newBucket(sourceBurst, sourceRate, m.now)}
	m.members[c.ID] = mem
	i, _ := slices.BinarySearchFunc(m.roster, c.ID, compareID)
	m.roster = slices.Insert(m.roster, i, mem)
	m.counts[s]++
	m.cut.valid = false
	m.do(Changed{Member: mem.export()})
	return mem
}

func (m *Machine) forget(mem *member) {
	delete(m.members, mem.id())
	i, _ := slices.BinarySearchFunc(m.roster, mem.id(), compareID)
	m.roster = slices.Delete(m.roster, i, i+1)
	m.counts[mem.state]--
	m.cut.valid = false
	m.gossip.forget(mem.id())
	m.urgent = slices.DeleteFunc(m.urgent, func(u *member) bool { return u == mem })
	m.do(Forgotten{ID: mem.id()})
}

// transition moves mem to state s and tells others what they may want to check themselves.
func (m *Machine) transition(mem *member, s State) {
	from := mem.state
	m.counts[from]--
	m.counts[s]++
	mem.state, mem.since = s, m.now
	if from == Alive {
		mem.aliveUntil = m.now
	}
	if from.present() != s.present() {
		m.cut.valid = false
	}
	switch s {
	case Alive:
		mem.accusers = accusers{}
	case Suspect:
		mem.suspicion = suspicion{since: m.now, nextProbe: m.now, confirmed: slices.Clone(mem.accusers.fresh(m.now))}
	case Away:
		mem.awayUntil = m.now.Add(min(mem.claim.Away, MaxAbsence))
	}
	if s != Away {
		m.gossip.rumour(Rumour{Subject: mem.id(), Incarnation: mem.claim.Incarnation, Verdict: s, Own: true})
	}
	m.do(Changed{Member: mem.export(), From: from})
	if from == Alive && s == Suspect {
		m.spread()
	}
}

// runs records proof that mem runs. A member that announced its absence stays away until it announces its return.
func (m *Machine) runs(mem *member) {
	mem.proven = m.now
	if mem.state == Alive || mem.claim.Away > 0 {
		return
	}
	if !mem.state.present() {
		m.wantSync = mem.id()
	}
	m.transition(mem, Alive)
	m.trim()
}

// rotation hands out members in a random order that visits each once per round (SWIM, section 4.3).
type rotation struct {
	round []peer.ID
}

// next returns the next member that fits and that no probe is under way to, or nil.
func (r *rotation) next(m *Machine, fits func(*member) bool) *member {
	for range 2 {
		for len(r.round) > 0 {
			id := r.round[0]
			r.round = r.round[1:]
			if mem := m.members[id]; mem != nil && fits(mem) && m.underWay(mem) == 0 {
				return mem
			}
		}
		r.refill(m.roster, fits, m.rand)
	}
	return nil
}

func (r *rotation) refill(roster []*member, fits func(*member) bool, rnd *rand.Rand) {
	r.round = r.round[:0]
	for _, mem := range roster {
		if fits(mem) {
			r.round = append(r.round, mem.id())
		}
	}
	rnd.Shuffle(len(r.round), func(i, j int) { r.round[i], r.round[j] = r.round[j], r.round[i] })
}
