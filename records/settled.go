package records

import (
	"math"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// seenWithin is the time, after a peer met the first of the others, in which all of them have seen that it is back: what they write later they write to it too.
const seenWithin = 3 * time.Second

// Settlement says how far the shards that this peer holds have come since it started.
type Settlement struct {
	// Held is how many shards this peer holds, Unsynced in how many of them it is not certain to have everything.
	Held, Unsynced int
	// Open is how many of the others were not at full count yet: not all copies wanted were there, and alike in what was written before all knew that this peer runs. What was written since
	// keeps no shard open, and none is opened again.
	Open int
	// Spared is how many of the open ones lack nothing but copies of holders that don't answer, and have so many others that one more may stop.
	Spared int
	// Below is how many records there are in shards that are not in sync, or open.
	Below int64
}

// Settled reports whether the peer has seen all that it holds in sync and at full count. With leniency, holders that don't answer are not waited for where they can be spared.
func (s *Settlement) Settled(lenient bool) bool {
	return s.Unsynced == 0 && (s.Open == 0 || lenient && s.Open == s.Spared)
}

// Settlement says how far the shards that this peer holds have come.
func (s *Store) Settlement() (Settlement, error) {
	if err := s.enter(); err != nil {
		return Settlement{}, err
	}
	defer s.tasks.Done()
	return s.table.settlement(s.holder.disk.Records), nil
}

func (t *table) settlement(records func(disk.Shard) int) (sum Settlement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.topology == nil {
		return sum
	}
	var stored int64
	for s := range disk.Shard(disk.Shards) {
		stored += int64(records(s))
	}
	fresh := t.fresh
	switch {
	case !t.joined:
		fresh = math.MaxUint64
	case stored == 0:
		fresh = 0 // in a network without records nothing was written to others alone
	}
	for i := range disk.Shards {
		s := disk.Shard(i)
		state := t.shards[s]
		if state == nil || state.level == LevelNone || state.level == LevelLeaving {
			continue
		}
		sum.Held++
		full, spared := t.fullSince(s, state, fresh)
		switch {
		case state.level != LevelSynced:
			sum.Unsynced++
		case full:
			continue
		default:
			sum.Open++
			if spared {
				sum.Spared++
			}
		}
		sum.Below += int64(records(s))
	}
	return sum
}

// fullSince reports whether a shard was seen at full count since this peer started, and otherwise whether only holders are missing that can be spared.
func (t *table) fullSince(s disk.Shard, state *shardState, fresh Timestamp) (full, spared bool) {
	if state.settled || state.level != LevelSynced {
		return state.settled, false
	}
	p := t.topology.place(s)
	full, spared = len(p.holders) == p.wanted, true
	alive := 0
	for _, i := range p.holders {
		r := &p.members[i]
		agreed := r.id == t.self || slices.ContainsFunc(state.agreed, func(a agreement) bool { return a.peer == r.id && a.asOf >= fresh })
		if r.state == routing.Alive {
			alive++
			spared = spared && agreed
		}
		full = full && agreed
	}
	return full, spared && alive > p.quorum
}

// expectFresh tells the table when all others knew that this peer runs: with agreements as of then, shards count as settled.
func (t *table) expectFresh(from Timestamp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh = from
}

// reopen opens the pairs of holders once more as soon as they can agree on what was written by then.
func (t *table) reopen(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh != 0 && !t.reopened && timestampOf(now.Add(-settledAgo)) >= t.fresh {
		t.reopened = true
		t.changes++
	}
}

// isOpen reports whether it is to be found out if another holder has the same as this one.
func (t *table) isOpen(state *shardState, with peer.ID) bool {
	return !slices.ContainsFunc(state.agreed, func(a agreement) bool { return a.peer == with && (!t.reopened || a.asOf >= t.fresh) }) ||
		slices.ContainsFunc(state.doubts, func(d doubt) bool { return d.peer == with })
}
