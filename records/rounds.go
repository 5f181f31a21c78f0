package records

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// roundsDue reports whether pairs of holders are to be looked at.
func (r *repairer) roundsDue(now time.Time) bool {
	for _, at := range r.rounds {
		if !now.Before(at) {
			return true
		}
	}
	changes, unmet := r.s.table.state()
	return unmet || r.s.table.reviewDue(now) || changes != r.seen && now.Sub(r.lookedAt) >= pairsEvery
}

// nextRound returns when this peer compares itself with another in any case: of the two, the one with the smaller id begins.
func (r *repairer) nextRound(id peer.ID, now time.Time) time.Time {
	if r.s.self < id {
		return now.Add(jitter(roundEvery))
	}
	return now.Add(jitter(otherEvery))
}

// startRounds compares pairs of holders: those with a member that came, those of which it is not known that they agree, and now and then all.
func (r *repairer) startRounds(ctx context.Context, t *topology, now time.Time, skip func(peer.ID) bool, room *int) {
	pairs, changes := r.s.table.pairs(now)
	left := false
	for id, both := range pairs {
		m, known := t.view.Member(id)
		at, set := r.rounds[id]
		round := set && !now.Before(at)
		if !set {
			r.rounds[id] = r.nextRound(id, now)
		}
		called := both.open != (shardSet{}) || both.unmet
		if !known || !round && !called {
			continue
		}
		if skip(id) || *room == 0 {
			left = true // a round that is due stays so: the next turn may be minutes away
			continue
		}
		if round {
			r.rounds[id] = r.nextRound(id, now)
		}
		*room--
		shards := &both.shared
		if !round && !both.unmet {
			shards = &both.open
		}
		r.start(ctx, id, nil, func(ctx context.Context) (bool, error) { return r.round(ctx, &m, shards, called) })
	}
	for id, at := range r.rounds {
		if pairs[id] == nil && !now.Before(at) { // it shares nothing with this peer any more, or is not there
			delete(r.rounds, id)
		}
	}
	r.lookedAt = now
	if r.seen = changes; left {
		r.seen--
	}
}

// round compares shards that this peer holds together with another: as of a time when writes had settled, or all there is where something called for it.
func (r *repairer) round(ctx context.Context, m *routing.Member, set *shardSet, called bool) (idle bool, err error) {
	start := r.s.cfg.Now()
	upTo := timestampOf(start.Add(-settledAgo))
	asOf := uint64(upTo)
	if called {
		upTo, asOf = timestampOf(start), asOfNow
	}
	c := comparison{s: r.s, peer: m, pull: true, push: true, asOf: asOf, listed: map[disk.Shard]contents{}}
	equal, theirs, ours, err := c.digests(ctx, set, asOf, true)
	if err != nil {
		return false, err
	}
	var differ, agreed, met []disk.Shard
	said := map[disk.Shard]report{}
	i := 0
	for s := range set.all() {
		switch {
		case equal || same(&theirs[i], &ours[i]) && theirs[i].level.counts():
			agreed = append(agreed, s)
		case theirs[i].level.counts():
			differ = append(differ, s)
			if said[s] = theirs[i]; theirs[i].vouches() {
				c.vouched.add(s)
			}
		default:
			met, idle = append(met, s), true // it catches up by itself
		}
		i++
	}
	if err := c.reconcile(ctx, differ); err != nil {
		return false, err
	}
	if err := c.crossCheck(ctx, differ, said); err != nil {
		return false, err
	}
	now := r.s.cfg.Now()
	for _, s := range append(agreed, differ...) {
		r.s.table.compared(s, m.ID, upTo, now)
		r.s.table.met(s, m.ID, now)
	}
	for _, s := range met {
		r.s.table.met(s, m.ID, now)
	}
	return idle, nil
}

// jitter returns a time between three and five quarters of d.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d/2)))
}
