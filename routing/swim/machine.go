package swim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds on what a Machine holds and does.
const (
	// MaxMembers is the most members; further candidates are refused.
	MaxMembers = 4096
	// MaxAbsence is the longest absence that a peer can announce; longer ones are cut.
	MaxAbsence = time.Hour
	// maxProbes is the most probes that wait for an answer at once. Suspects are probed again only while half of them is free, so that many
	// suspects don't keep the others from being probed.
	maxProbes = 256
	// maxSuspectProbes is the most of them that are of the same suspect: it is probed again before the last probe has ended.
	maxSuspectProbes = 3
	// hintBurst and hintRate (per second) bound the probes that outside events cause, sourceBurst and sourceRate the part of
	// them that one member's words cause.
	hintBurst   = 128
	hintRate    = 32
	sourceBurst = 64
	sourceRate  = 4
)

// Config configures a Machine.
type Config struct {
	// Self is the node's first claim.
	Self *Claim
	// Remembered are peers known from an earlier run. They enter as Dead and are probed at once.
	Remembered []*Claim
	// MaxView is the most members that are present; 0 means MaxMembers.
	MaxView int
	Timing  Timing
	// Rand is the source of all the machine's randomness.
	Rand *rand.Rand
}

// Validate reports the first thing that is wrong with c.
func (c *Config) Validate() error {
	switch {
	case c.Self == nil || c.Self.ID == "" || c.Self.Incarnation == 0:
		return errors.New("swim: Self needs an ID and an incarnation")
	case c.MaxView < 0 || c.MaxView == 1 || c.MaxView > MaxMembers:
		return fmt.Errorf("swim: MaxView is %d, want 2 to %d, or 0", c.MaxView, MaxMembers)
	case c.Rand == nil:
		return errors.New("swim: Rand is nil")
	}
	return c.Timing.Validate()
}

// Machine is the failure detector of one node. It is not safe for concurrent use. Times handed in must not decrease.
type Machine struct {
	t    Timing
	rand *rand.Rand
	now  time.Time
	// lastTick is when the machine last had reason to believe that it runs without pause.
	lastTick time.Time

	self         *Claim
	selfKey      key // SHA-256 of its ID
	nextRefuteAt time.Time

	members map[peer.ID]*member
	roster  []*member // the members, sorted by ID
	counts  [numStates]int
	cut     cut

	live, distant, absent rotation // distant are those present that are no neighbours
	turns                 int      // of live and distant together
	nextLive, nextAbsent  time.Time
	urgent                []*member // members to probe as soon as the bounds allow
	hints                 bucket    // for probes that outside events cause

	probes []*probe // in the order in which they began
	lastID ProbeID

	candidates candidates
	departures departures
	gossip     queue
	health     health
	late       lateness
	// strainedUntil is until when this node counts as short of processor time.
	strainedUntil time.Time

	nextSync, syncAllowed time.Time
	nextSpread            time.Time
	wantSync              peer.ID

	actions []Action
}

// New returns a machine that starts at now.
func New(cfg Config, now time.Time) (*Machine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &Machine{
		t: cfg.Timing, rand: cfg.Rand, now: now, lastTick: now, self: cfg.Self, selfKey: sha256.Sum256([]byte(cfg.Self.ID)),
		members: make(map[peer.ID]*member), departures: departures{byID: make(map[peer.ID]departure)}, hints: newBucket(hintBurst, hintRate, now),
		candidates: newCandidates(), gossip: newQueue(), late: lateness{seen: now},
		nextLive: now, nextAbsent: now.Add(cfg.Timing.Absent), nextSync: now.Add(cfg.Timing.Sync),
	}
	if m.cut.limit = cfg.MaxView; m.cut.limit == 0 {
		m.cut.limit = MaxMembers
	}
	for _, c := range cfg.Remembered {
		if c.ID == m.self.ID || m.members[c.ID] != nil || len(m.roster) >= MaxMembers {
			continue
		}
		m.hint(m.enter(c, Dead), false)
	}
	m.pump()
	return m, nil
}

// Actions returns what the machine asks for since the last call, in order.
func (m *Machine) Actions() []Action {
	a := m.actions
	m.actions = nil
	return a
}

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

// Tick lets time pass. It is to be called at Next, or earlier.
func (m *Machine) Tick(now time.Time) {
	due := m.Next()
	m.advance(now)
	m.lastTick = now
	m.late.observe(now, now.Sub(due))
	if now.Sub(due) > m.t.LateTick {
		m.health.worse(1)
		m.strainedUntil = now.Add(m.t.Strained)
	}
	m.expireProbes()
	if !now.Before(m.nextLive) {
		interval := m.late.pause(m.t.liveInterval(m.counts[Alive] + m.counts[Suspect]))
		m.nextLive = later(m.nextLive.Add(interval), now)
		if mem := m.nextPresent(); mem != nil && !m.saturated() {
			m.probe(mem)
		}
	}
	if !now.Before(m.nextAbsent) {
		interval := m.late.pause(m.t.absentInterval(m.counts[Away] + m.counts[Dead]))
		if m.strained() {
			interval *= strainSlowdown
		}
		m.nextAbsent = later(m.nextAbsent.Add(interval), now)
		if mem := m.absent.next(m, func(mem *member) bool { return !mem.state.present() }); mem != nil {
			m.probe(mem)
		}
	}
	m.sweep()
	m.departures.expire(m.now)
	m.probeCandidates()
	m.sync()
	m.pump()
}

// distantEvery is how rarely it is a distant member's turn to be probed: that mostly takes a connection. Others keep theirs to it and notice at once when it
// falls silent; that it can be reached from here too is what remains to be seen.
const distantEvery = 8

// nextPresent returns the next present member to probe, or nil.
func (m *Machine) nextPresent() *member {
	m.recut()
	if m.turns++; m.large() && m.turns%distantEvery == 0 {
		return m.distant.next(m, func(mem *member) bool { return mem.state.present() && !mem.neighbour })
	}
	return m.live.next(m, func(mem *member) bool { return mem.state.present() && mem.neighbour })
}

// Next returns when Tick is wanted next, given what is known now.
func (m *Machine) Next() time.Time {
	next := earlier(m.nextLive, m.nextAbsent)
	for _, p := range m.probes {
		next = earlier(next, p.deadline)
	}
	return next
}

// advance sets the clock, and notices when it made a leap.
func (m *Machine) advance(now time.Time) {
	if now.After(m.now) {
		m.now = now
	}
	if gap := m.now.Sub(m.lastTick); gap > m.t.Stall {
		m.lastTick = m.now
		m.awake(gap)
	}
}

// awake corrects for a gap in which this node itself stood still: answers may wait unread, so that no probe
// then under way says anything, and no suspicion may have run out meanwhile.
func (m *Machine) awake(gap time.Duration) {
	m.health.worst()
	for _, p := range m.probes {
		if p.kind == probePresent {
			p.judged, p.counted = true, true
		}
		p.deadline = m.now.Add(m.late.probe(m.t.Patience))
	}
	for _, mem := range m.roster {
		if mem.state == Suspect {
			mem.suspicion.since = mem.suspicion.since.Add(gap)
			mem.suspicion.nextProbe = m.now
		}
	}
}

// saturated reports whether this node has begun as many probes as it can use while it is short of processor time.
func (m *Machine) saturated() bool { return m.strained() && m.waiting() >= strainedProbes }

// strained reports whether this node is short of processor time.
func (m *Machine) strained() bool { return m.now.Before(m.strainedUntil) }

// strainSlowdown is how many times rarer a strained node probes those that are away or dead, which mostly takes a dial.
const strainSlowdown = 4

// sweep looks after the members whose state runs out, and probes suspects again.
func (m *Machine) sweep() {
	var forgotten []*member
	for _, mem := range m.roster {
		switch mem.state {
		case Suspect:
			switch {
			case !m.now.Before(mem.suspicion.deadline(&m.t, m.health, &m.late)):
				m.transition(mem, Dead)
			case !m.now.Before(mem.suspicion.nextProbe) && m.underWay(mem) < maxSuspectProbes && m.waiting() < maxProbes/2 && !m.saturated():
				m.probe(mem)
			}
		case Away:
			if !m.now.Before(mem.awayUntil) {
				m.transition(mem, Dead)
			}
		case Dead:
			if !m.now.Before(mem.lastKnown().Add(m.t.Forget)) {
				forgotten = append(forgotten, mem)
			}
		}
	}
	for _, mem := range forgotten {
		m.forget(mem)
	}
}

// sync asks for an exchange of claims when one is due, or with a peer that has just been met. The one that is due comes first: else whoever gives a reason to ask for another all the time would be the only one whose claims are exchanged.
func (m *Machine) sync() {
	if m.now.Before(m.syncAllowed) {
		return
	}
	target := m.members[m.wantSync]
	if target == nil || target.state != Alive {
		target, m.wantSync = nil, ""
	}
	if !m.now.Before(m.nextSync) {
		if due := m.pick(m.handy); due != nil {
			target = due
			interval := m.t.Sync
			if m.Partial() {
				interval *= partialSyncSlowdown
			}
			m.nextSync = m.now.Add(interval)
		}
	}
	if target == nil {
		return
	}
	if target.id() == m.wantSync {
		m.wantSync = ""
	}
	m.syncAllowed = m.now.Add(m.t.SyncPause)
	m.do(Sync{Target: target.id()})
}

// partialSyncSlowdown is how many times rarer exchanges of claims are where views are partial: two sides never hold the same, so that summaries are always sent.
const partialSyncSlowdown = 3

// handy says whether a member is alive and costs no connection to talk to.
func (m *Machine) handy(mem *member) bool { return mem.state == Alive && mem.neighbour }

// pick returns a random member that fits, or nil.
func (m *Machine) pick(fits func(*member) bool) *member {
	m.recut()
	var chosen *member
	n := 0
	for _, mem := range m.roster {
		if fits(mem) {
			if n++; m.rand.IntN(n) == 0 {
				chosen = mem
			}
		}
	}
	return chosen
}

// Self returns the node's newest claim.
func (m *Machine) Self() *Claim { return m.self }

// Announce makes c, sealed by the caller with an incarnation above the last, what this node says of itself, and spreads it.
func (m *Machine) Announce(now time.Time, c *Claim) {
	m.advance(now)
	if c.ID == m.self.ID && c.Incarnation > m.self.Incarnation {
		m.self = c
		m.gossip.claim(c)
		m.spread()
	}
}

// Member returns what is known of a peer.
func (m *Machine) Member(id peer.ID) (Member, bool) {
	if mem := m.members[id]; mem != nil {
		return mem.export(), true
	}
	return Member{}, false
}

// Members appends all members, sorted by ID, to dst.
func (m *Machine) Members(dst []Member) []Member {
	dst = slices.Grow(dst, len(m.roster))
	for _, mem := range m.roster {
		dst = append(dst, mem.export())
	}
	return dst
}

// Len returns the number of members, this node not included.
func (m *Machine) Len() int { return len(m.roster) }

// Entries names the newest claims of this node and of every member that is not dead, sorted by ID: what Sync compares.
func (m *Machine) Entries() []Entry {
	entries := make([]Entry, 0, len(m.roster)+1)
	for _, mem := range m.roster {
		if mem.state != Dead && mem.claim.Sealed != nil {
			entries = append(entries, Entry{mem.id(), mem.claim.Incarnation})
		}
	}
	i, _ := slices.BinarySearchFunc(entries, m.self.ID, func(e Entry, id peer.ID) int { return strings.Compare(string(e.ID), string(id)) })
	return slices.Insert(entries, i, Entry{m.self.ID, m.self.Incarnation})
}

// Claim returns the newest claim of a member, of this node or of a peer that lately left for good, or nil.
func (m *Machine) Claim(id peer.ID) *Claim {
	if id == m.self.ID {
		return m.self
	}
	if mem := m.members[id]; mem != nil {
		return mem.claim
	}
	return m.departures.byID[id].claim
}

// bucket is a token bucket.
type bucket struct {
	tokens, burst, rate float64
	filled              time.Time
}

func newBucket(burst, rate float64, now time.Time) bucket {
	return bucket{tokens: burst, burst: burst, rate: rate, filled: now}
}

// has reports whether a token is there, and take takes it.
func (b *bucket) has(now time.Time) bool {
	if d := now.Sub(b.filled); d > 0 {
		b.tokens = min(b.burst, b.tokens+b.rate*d.Seconds())
		b.filled = now
	}
	return b.tokens >= 1
}

func (b *bucket) take() { b.tokens-- }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
