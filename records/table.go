package records

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// maxWalk bounds the members that are asked about one shard.
	maxWalk = 64
	// settleTime is how long no member has come before a peer concludes that nobody else knows more of a shard.
	settleTime = 2 * time.Second
	// askAgain is how long after its answer a member that did not count is asked once more, and then again; after askSoon times that time doubles from one to the next, up to askAgainLimit.
	askAgain      = 3 * time.Second
	askSoon       = 3
	askAgainLimit = time.Minute
)

// A table is what this peer knows of its shards: a state machine that is told of views and comparisons, and says what to do next. It does no I/O and has no clock. Its methods may be
// called from many goroutines.
type table struct {
	self   peer.ID
	levels [disk.Shards]atomic.Uint32 // standpoint.byte of each shard, for those who only read

	mu       sync.Mutex
	topology *topology                // guarded by mu
	fresh    Timestamp                // guarded by mu; when all others knew that this peer runs; 0: they always did
	reopened bool                     // guarded by mu; what was written by then can be compared
	gained   time.Time                // guarded by mu; when a member came last
	review   time.Time                // guarded by mu; the earliest review of a shard; zero: none
	joined   bool                     // guarded by mu; the peer has met others, or is certain to be alone
	shards   [disk.Shards]*shardState // guarded by mu; nil: none, and nothing known
	undone   shardSet                 // guarded by mu; the shards that have a state and are not synced
	waits    map[peer.ID]wait         // guarded by mu; members that did not count and were asked again since the members changed
	unmet    int                      // guarded by mu; shards with strangers
	changes  int                      // guarded by mu; counts what may have opened or closed a pair of holders

	// located returns the holders of a shard that were looked up lately; nil: none ever are.
	located func(disk.Shard) (placement, bool)
	// shunned reports whether a member is cut off: what it knows is not waited for. Nil: nobody is.
	shunned func(peer.ID) bool
}

// A wait is how long a member is not asked once more.
type wait struct {
	times int // that it was asked again
	until time.Time
}

// next returns the wait after one more question.
func (w wait) next(now time.Time) wait {
	d := askAgain << min(max(w.times-askSoon, 0), 8)
	return wait{w.times + 1, now.Add(jitter(min(d, askAgainLimit)))}
}

type shardState struct {
	standpoint
	// evidence is what the members said that the shard was compared with since it began to catch up, sorted by peer, and walked how far all of them were asked.
	evidence []evidence
	walked   walked
	// strangers are the other holders that came, or came back, since this peer has the shard, and were not compared with yet.
	strangers []peer.ID
	// agreed are the other holders that had the same as this one, and as of when.
	agreed []agreement
	// doubts are the other holders to compare with once more.
	doubts []doubt
	// review is when the shard is compared with all of them once more; zero: it was, or needs not be.
	review time.Time
	// handed are the holders that have all of a shard that is handed over, and up to which of this disk's changes.
	handed []handing
	// since is when the shard got its level.
	since time.Time
	busy  bool // being compared
	// settled says that the shard was seen at full count since this peer started.
	settled bool
}

type evidence struct {
	peer peer.ID
	standpoint
	at time.Time
}

type handing struct {
	peer peer.ID
	upTo uint64
}

type agreement struct {
	peer peer.ID
	asOf Timestamp
}

// levelAt returns this peer's standpoint in a shard.
func (t *table) levelAt(s disk.Shard) standpoint {
	p, _ := standpointOf(byte(t.levels[s].Load()))
	return p
}

// set gives a shard a level.
func (t *table) set(s disk.Shard, state *shardState, level Level, now time.Time) {
	if state.level != level {
		if level == LevelSynced || level == LevelPartial {
			t.planReview(state, now)
		}
		state.level, state.since = level, now
		t.changes++
	}
	if level != LevelUnsynced && level != LevelPartial {
		state.resumed = false
	}
	if level != LevelSynced && level != LevelPartial {
		state.strangers = nil
	}
	if level == LevelSynced {
		state.evidence, state.walked = nil, walked{} // it has served
	}
	if unmet := len(state.strangers) > 0; unmet != state.unmet {
		state.unmet = unmet
		t.unmet += map[bool]int{true: 1, false: -1}[unmet]
	}
	t.levels[s].Store(uint32(state.byte()))
	if level == LevelNone {
		t.shards[s] = nil
	}
	if level == LevelNone || level == LevelSynced {
		t.undone.remove(s)
	} else {
		t.undone.add(s)
	}
}

// holdersOf returns who holds a shard; ok is false where that must be looked up first.
func (t *table) holdersOf(s disk.Shard) (p placement, ok bool) {
	if p := t.topology.place(s); !p.vague || t.located == nil {
		return p, true
	}
	return t.located(s)
}

// resume sets what the peer was synced in before it stopped: for good if others waited for it, else to be compared.
func (t *table) resume(synced *shardSet, waited bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range synced.all() {
		state := &shardState{standpoint: standpoint{level: LevelUnsynced, resumed: true}, since: now}
		t.shards[s] = state
		level := LevelUnsynced
		if waited {
			level = LevelSynced
		}
		t.set(s, state, level, now)
		state.review = time.Time{} // the others have known all the time that it holds the shard
	}
}

// apply takes over a new topology.
func (t *table) apply(topology *topology, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.topology != nil && t.topology.layout == topology.layout {
		t.topology = topology
		return
	}
	var came []peer.ID
	first := t.topology == nil
	gone := first
	if !first {
		came, gone = topology.changedSince(t.topology.layout)
	}
	if first || len(came) > 0 {
		t.gained = now
	}
	t.topology = topology
	t.changes++
	clear(t.waits)
	for i := range disk.Shards {
		t.applyShard(disk.Shard(i), came, gone, now)
	}
}

// changedSince returns who is here and was not, of those who are near, and whether somebody was here and is not.
func (l *layout) changedSince(before *layout) (came []peer.ID, gone bool) {
	was := before.members // sorted by id, like those of l
	for i := range l.members {
		r := &l.members[i]
		for len(was) > 0 && was[0].id < r.id {
			gone = gone || was[0].here()
			was = was[1:]
		}
		wasHere := false
		if len(was) > 0 && was[0].id == r.id {
			wasHere = was[0].here()
			was = was[1:]
		}
		switch {
		case r.here() && !wasHere && l.isNear(i):
			came = append(came, r.id)
		case !r.here() && wasHere:
			gone = true
		}
	}
	return came, gone || slices.ContainsFunc(was, func(r resident) bool { return r.here() })
}

// applyShard takes over who holds a shard now. came are those who came, and gone says that somebody is not here any more.
func (t *table) applyShard(s disk.Shard, came []peer.ID, gone bool, now time.Time) {
	state := t.shards[s]
	if state == nil && (!t.topology.knows(s) || !t.topology.mayHold(s)) {
		return // no holder
	}
	p := t.topology.place(s)
	if !p.holds(t.self) {
		if state != nil {
			t.displaced(s, state, &p, now)
		}
		return
	}
	switch {
	case state == nil:
		state = &shardState{since: now}
		t.shards[s] = state
		t.set(s, state, LevelUnsynced, now)
	case state.level == LevelLeaving || state.level == LevelNone: // others may have taken writes without this peer
		*state = shardState{standpoint: state.standpoint, busy: state.busy}
		t.set(s, state, LevelUnsynced, now)
	}
	state.agreed = slices.DeleteFunc(state.agreed, func(a agreement) bool { return !p.holds(a.peer) })
	state.doubts = slices.DeleteFunc(state.doubts, func(d doubt) bool { return !p.holds(d.peer) })
	if state.level.counts() {
		t.meet(s, state, &p, came, now)
	}
	if state.level == LevelSynced {
		return
	}
	if gone {
		state.evidence = slices.DeleteFunc(state.evidence, func(e evidence) bool { return !t.topology.isHere(e.peer) })
	}
	if state.level == LevelPartial && t.unasked(state, &p, nil) != "" {
		t.set(s, state, LevelUnsynced, now)
	}
}

// meet notes which other holders came.
func (t *table) meet(s disk.Shard, state *shardState, p *placement, came []peer.ID, now time.Time) {
	state.strangers = slices.DeleteFunc(state.strangers, func(id peer.ID) bool { return !p.holds(id) || !t.topology.isHere(id) })
	for _, id := range came {
		if id != t.self && p.holds(id) && !slices.Contains(state.strangers, id) {
			state.strangers = append(state.strangers, id)
		}
	}
	t.set(s, state, state.level, now)
}

// met notes that the shard was compared with another holder.
func (t *table) met(s disk.Shard, with peer.ID, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state := t.shards[s]; state != nil && len(state.strangers) > 0 {
		state.strangers = slices.DeleteFunc(state.strangers, func(id peer.ID) bool { return id == with })
		t.set(s, state, state.level, now)
	}
}

// displaced is what becomes of a shard that this peer does not hold any more.
func (t *table) displaced(s disk.Shard, state *shardState, p *placement, now time.Time) {
	switch {
	case state.level == LevelLeaving && p.vague: // hand looks at who the holders are
	case state.level == LevelLeaving:
		state.handed = slices.DeleteFunc(state.handed, func(h handing) bool { return !p.holds(h.peer) })
	case state.level.counts():
		state.evidence, state.walked, state.agreed, state.doubts, state.review = nil, walked{}, nil, nil, time.Time{}
		t.set(s, state, LevelLeaving, now)
	default:
		t.set(s, state, LevelNone, now)
	}
}

// leaves reports whether a member hands over all that it holds.
func (t *topology) leaves(id peer.ID) bool {
	m, known := t.view.Member(id)
	return known && m.Leaving
}

func (t *topology) isHere(id peer.ID) bool {
	m, known := t.view.Member(id)
	return known && m.State != routing.Dead
}

// learn notes that a shard was compared with a member: this peer has all that the member had. What somebody said who is not here any more is not counted.
func (t *table) learn(s disk.Shard, from peer.ID, said standpoint, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	state := t.shards[s]
	if state == nil || t.topology == nil || state.level == LevelSynced || state.level == LevelLeaving || !t.topology.isHere(from) {
		return
	}
	if i, known := state.find(from); known {
		state.evidence[i] = evidence{from, said, now}
	} else {
		state.evidence = slices.Insert(state.evidence, i, evidence{from, said, now})
	}
	if said.certain() {
		delete(t.waits, from)
	}
	t.judge(s, state, now)
}

// judge raises the level of a shard as far as the evidence allows.
func (t *table) judge(s disk.Shard, state *shardState, now time.Time) {
	p := t.topology.place(s)
	certain, able := 0, 0
	for _, e := range state.evidence {
		if e.level.certain() {
			certain++
		}
		if e.level.certain() || e.resumed {
			able++
		}
	}
	if state.resumed {
		able++
	}
	settled := now.Sub(t.gained) >= settleTime
	switch {
	case certain >= p.quorum:
		t.set(s, state, LevelSynced, now)
	case t.unasked(state, &p, nil) != "" || !t.joined:
		return
	case able >= p.quorum && (certain == 0 || settled): // all of them stopped at once, or enough did; if others went on they have come by now
		t.set(s, state, LevelSynced, now)
	case !p.shadowed && settled:
		t.set(s, state, LevelSynced, now)
	case state.level == LevelUnsynced:
		t.set(s, state, LevelPartial, now)
	}
}

// agree notes that another holder had the same as this one as of a time.
func (t *table) agree(s disk.Shard, with peer.ID, asOf Timestamp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	state := t.shards[s]
	if state == nil || t.topology == nil {
		return
	}
	if p := t.topology.place(s); !p.holds(with) {
		return
	}
	if i := slices.IndexFunc(state.agreed, func(a agreement) bool { return a.peer == with }); i >= 0 {
		state.agreed[i].asOf = max(state.agreed[i].asOf, asOf)
	} else {
		state.agreed = append(state.agreed, agreement{with, asOf})
	}
	if t.joined {
		state.settled, _ = t.fullSince(s, state, t.fresh)
	}
}

// doubt makes a shard catch up again, or stop vouching for what it hands over: something in it could not be read.
func (t *table) doubt(s disk.Shard, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	state := t.shards[s]
	if state == nil || state.level == LevelNone {
		return
	}
	if state.level == LevelLeaving {
		t.set(s, state, LevelNone, now)
		return
	}
	t.set(s, state, LevelUnsynced, now) // forgets strangers
	*state = shardState{standpoint: state.standpoint, since: now, busy: state.busy}
	state.resumed = false
	t.set(s, state, LevelUnsynced, now)
}

// hand notes that a holder has everything of a shard that this peer does not hold any more, up to one of this disk's changes. It reports whether all holders wanted have,
// and up to which change: that much is to be removed here.
func (t *table) hand(s disk.Shard, to peer.ID, upTo uint64) (all bool, least uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.topology == nil {
		return false, 0
	}
	p, ok := t.holdersOf(s)
	state := t.shards[s]
	if !ok || p.holds(t.self) || !p.holds(to) {
		return false, 0
	}
	if state == nil { // copies that came though this peer is no holder
		state = &shardState{}
		t.shards[s] = state
		t.undone.add(s)
	}
	state.handed = slices.DeleteFunc(state.handed, func(h handing) bool { return h.peer == to })
	state.handed = append(state.handed, handing{to, upTo})
	return t.handedOver(state, &p)
}

// handedOver reports whether all holders wanted have everything of a shard up to one of this disk's changes. A peer that leaves for good does not wait for holders that are dead, as long as there is
// a quorum without them.
func (t *table) handedOver(state *shardState, p *placement) (all bool, least uint64) {
	least = math.MaxUint64
	have := 0
	for _, h := range state.handed {
		if p.holds(h.peer) {
			least = min(least, h.upTo)
			have++
		}
	}
	enough := p.wanted
	if t.topology.leaves(t.self) {
		enough = p.quorum
	}
	return have == len(p.holders) && have >= enough && have > 0, least
}

// stray forgets who has everything of a shard, because this peer has taken more.
func (t *table) stray(s disk.Shard) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state := t.shards[s]; state != nil {
		state.handed = nil
	}
}

// release ends the hand-over of a shard.
func (t *table) release(s disk.Shard, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state := t.shards[s]; state != nil && (state.level == LevelLeaving || state.level == LevelNone) {
		t.set(s, state, LevelNone, now)
	}
}

// agreedUpTo returns the time up to which all holders wanted had the same as this one, or 0.
func (t *table) agreedUpTo(s disk.Shard) Timestamp {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.agreedAll(s)
}

func (t *table) agreedAll(s disk.Shard) Timestamp {
	state := t.shards[s]
	if state == nil || t.topology == nil || state.level != LevelSynced {
		return 0
	}
	p := t.topology.place(s)
	if len(p.holders) < p.wanted || len(state.agreed) < len(p.holders)-1 {
		return 0
	}
	upTo := ^Timestamp(0)
	for _, a := range state.agreed {
		upTo = min(upTo, a.asOf)
	}
	return upTo
}

// join lets the table conclude that nobody else knows more.
func (t *table) join() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joined = true
}
