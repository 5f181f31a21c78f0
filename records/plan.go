package records

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// pushAfter is how long a peer waits for the new holders of a shard to fetch what they lack before it brings it to them.
const pushAfter = 10 * time.Second

// A job is what is to be compared with one other peer.
type job struct {
	member *routing.Member // whom a look-up found; nil: one of the view
	ask    shardSet        // shards that this peer catches up in and that the other has not told its standpoint in
	pull   shardSet        // those of them that records are fetched for where the two differ
	hand   shardSet        // shards that this peer hands over
	push   shardSet        // those of hand whose records are brought though the other catches up itself
}

// A plan is what is to be done now.
type plan struct {
	jobs map[peer.ID]*job
	// waiting says that something is left that could not be planned.
	waiting bool
	// lost are shards to hand over whose holders must be looked up.
	lost []disk.Shard
}

func (p *plan) job(id peer.ID) *job {
	if p.jobs[id] == nil {
		p.jobs[id] = &job{}
	}
	return p.jobs[id]
}

// plan returns what is to be done now, by peer, for up to room of them, and marks it as being done; finish ends that. skip says who can't be asked at the moment. stored are the shards that this peer has records of.
func (t *table) plan(now time.Time, skip func(peer.ID) bool, stored *shardSet, room int) *plan {
	t.mu.Lock()
	defer t.mu.Unlock()
	todo := &plan{jobs: map[peer.ID]*job{}}
	if t.topology == nil {
		return todo
	}
	again := map[peer.ID]bool{}
	for s := range t.undone.all() {
		if state := t.shards[s]; state.level == LevelUnsynced || state.level == LevelPartial {
			t.planPull(s, state, now, skip, todo, again)
		} else if !stored.has(s) && !t.topology.knows(s) {
			t.set(s, state, LevelNone, now) // nothing to hand over, and nobody near asks how it stands
		} else {
			t.planHand(s, state, now, skip, todo)
		}
	}
	for s := range stored.all() {
		if t.shards[s] == nil {
			t.planHand(s, nil, now, skip, todo)
		}
	}
	for id, j := range todo.jobs {
		if len(todo.jobs) > room {
			t.unplan(j)
			delete(todo.jobs, id)
			todo.waiting = true
		}
	}
	for id := range again {
		if todo.jobs[id] == nil {
			continue
		}
		if t.waits == nil {
			t.waits = map[peer.ID]wait{}
		}
		t.waits[id] = t.waits[id].next(now)
	}
	t.planAsk(todo)
	return todo
}

// planAsk adds the shards that it is worth asking members about while they are asked anyway: a standpoint is enough where a member has nothing that this peer lacks.
func (t *table) planAsk(todo *plan) {
	for s := range t.undone.all() {
		state := t.shards[s]
		if state.level != LevelUnsynced && state.level != LevelPartial {
			continue
		}
		for id, j := range todo.jobs {
			if !state.asked(id) {
				j.ask.add(s)
			}
		}
	}
}

// planPull plans the next step of catching up in a shard. again takes who is asked once more.
func (t *table) planPull(s disk.Shard, state *shardState, now time.Time, skip func(peer.ID) bool, todo *plan, again map[peer.ID]bool) {
	if state.busy {
		return
	}
	p := t.topology.place(s)
	next := t.unasked(state, &p, skip)
	if next == "" {
		t.judge(s, state, now)
		if state.level == LevelSynced {
			return
		}
		if next = t.again(state, &p, now, skip); next == "" {
			todo.waiting = true
			return
		}
		again[next] = true
	}
	state.busy = true
	todo.job(next).pull.add(s)
}

func (t *table) planHand(s disk.Shard, state *shardState, now time.Time, skip func(peer.ID) bool, todo *plan) {
	p, ok := t.holdersOf(s)
	if !ok {
		todo.lost, todo.waiting = append(todo.lost, s), true
		return
	}
	if p.holds(t.self) {
		return // apply has not seen it yet, or it is none of those that this peer has in view
	}
	if state != nil {
		if all, _ := t.handedOver(state, &p); all { // those that were waited for are holders no more: whoever is compared with last finds that
			state.handed = nil
		}
	}
	for _, i := range p.holders {
		id := p.id(i)
		if state != nil && slices.ContainsFunc(state.handed, func(h handing) bool { return h.peer == id }) {
			continue
		}
		todo.waiting = true
		if skip(id) {
			continue
		}
		j := todo.job(id)
		j.hand.add(s)
		if p.places == nil {
			j.member = p.member(i)
		}
		if state == nil || state.level == LevelNone || now.Sub(state.since) >= pushAfter {
			j.push.add(s)
		}
	}
}

// finish ends the comparisons of a job.
func (t *table) finish(j *job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unplan(j)
}

// unplan takes back that a job is being done.
func (t *table) unplan(j *job) {
	for s := range j.pull.all() {
		if state := t.shards[s]; state != nil {
			state.busy = false
		}
	}
}

// A pair is what this peer holds together with another.
type pair struct {
	shared shardSet
	open   shardSet // those of which it is not known that the other has the same
	unmet  bool     // this peer is not certain of some before it was compared with the other
}

// pairs returns this peer's pairs with all other holders, and what changes counts.
func (t *table) pairs(now time.Time) (pairs map[peer.ID]*pair, changes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pairs = map[peer.ID]*pair{}
	if t.topology == nil {
		return pairs, t.changes
	}
	t.openReviews(now)
	for i := range disk.Shards {
		s := disk.Shard(i)
		state := t.shards[s]
		if state == nil || state.level != LevelSynced && state.level != LevelPartial {
			continue
		}
		p := t.topology.place(s)
		for _, i := range p.holders {
			r := &p.members[i]
			if r.id == t.self || r.state != routing.Alive {
				continue
			}
			both := pairs[r.id]
			if both == nil {
				both = &pair{}
				pairs[r.id] = both
			}
			both.shared.add(s)
			both.unmet = both.unmet || slices.Contains(state.strangers, r.id)
			if t.isOpen(state, r.id) {
				both.open.add(s)
			}
		}
	}
	return pairs, t.changes
}

// state returns a number that moves when pairs would return something else, and whether this peer is uncertain of some shards until it has met their other holders.
func (t *table) state() (changes int, unmet bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changes, t.unmet > 0
}

// synced returns the shards in which this peer is certain to have everything.
func (t *table) synced() (synced shardSet) {
	for i := range disk.Shards {
		if s := disk.Shard(i); t.levelAt(s).level == LevelSynced {
			synced.add(s)
		}
	}
	return synced
}

// held returns how many shards this peer holds, and in how many of them it is synced.
func (t *table) held() (held, synced int) {
	for i := range disk.Shards {
		switch t.levelAt(disk.Shard(i)).level {
		case LevelSynced:
			held, synced = held+1, synced+1
		case LevelUnsynced, LevelPartial:
			held++
		}
	}
	return held, synced
}

// counts are numbers of records by how they are kept.
type counts struct{ full, below, unreachable int64 }

// count sums up the records of the shards that this peer is the first live holder of.
func (t *table) count(records func(disk.Shard) int) (c counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.topology == nil {
		return c
	}
	for i := range disk.Shards {
		s := disk.Shard(i)
		if t.shards[s] == nil {
			continue
		}
		n := int64(records(s))
		if n == 0 {
			continue
		}
		p := t.topology.place(s)
		live, first := p.live()
		switch {
		case first != t.self:
		case live < p.quorum:
			c.unreachable += n
		case t.agreedAll(s) != 0:
			c.full += n
		default:
			c.below += n
		}
	}
	return c
}
