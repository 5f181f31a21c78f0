package records

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
)

// viewsDiffer is how long after a peer has come to hold a shard others may write who don't know that yet.
const viewsDiffer = 5 * time.Second

// A doubt is that another holder and this one may not have the same of what was written up to a time.
type doubt struct {
	peer peer.ID
	upTo Timestamp
}

// differ notes that another holder lacks something that was written up to now.
func (t *table) differ(s disk.Shard, from peer.ID, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state := t.shards[s]; state != nil {
		t.changes++
		state.agreed = slices.DeleteFunc(state.agreed, func(a agreement) bool { return a.peer == from })
		state.doubt(from, timestampOf(now))
	}
}

func (state *shardState) doubt(other peer.ID, upTo Timestamp) {
	for i := range state.doubts {
		if d := &state.doubts[i]; d.peer == other {
			d.upTo = max(d.upTo, upTo)
			return
		}
	}
	state.doubts = append(state.doubts, doubt{other, upTo})
}

// compared notes that this peer and another holder had the same of what had arrived when it was written up to asOf. Whatever was written shortly before now may still arrive, and is not agreed on.
func (t *table) compared(s disk.Shard, with peer.ID, asOf Timestamp, now time.Time) {
	t.resolve(s, with, asOf)
	t.agree(s, with, min(asOf, timestampOf(now.Add(-settledAgo))))
}

// resolve ends a doubt that a comparison as of a time has answered.
func (t *table) resolve(s disk.Shard, with peer.ID, asOf Timestamp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state := t.shards[s]; state != nil {
		state.doubts = slices.DeleteFunc(state.doubts, func(d doubt) bool { return d.peer == with && d.upTo <= asOf })
	}
}

// planReview has a shard that this peer has caught up in compared once more with the other holders: now, as it may have got from one what another lacks, and when everybody knows that it
// holds the shard.
func (t *table) planReview(state *shardState, at time.Time) {
	state.review = at
	if t.review.IsZero() || at.Before(t.review) {
		t.review = at
	}
}

// reviewDue reports whether shards are to be compared once more.
func (t *table) reviewDue(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.review.IsZero() && !now.Before(t.review)
}

// openReviews doubts the pairs of the shards whose review is due. mu is held.
func (t *table) openReviews(now time.Time) {
	if t.review.IsZero() || now.Before(t.review) {
		return
	}
	t.review = time.Time{}
	for i, state := range t.shards {
		if state == nil || state.review.IsZero() {
			continue
		}
		if !now.Before(state.review) {
			t.openReview(disk.Shard(i), state)
		}
		if !state.review.IsZero() {
			t.planReview(state, state.review)
		}
	}
}

func (t *table) openReview(s disk.Shard, state *shardState) {
	p := t.topology.place(s)
	for _, h := range p.holders {
		if id := p.id(h); id != t.self {
			state.doubt(id, timestampOf(state.review))
		}
	}
	if last := state.since.Add(viewsDiffer); state.review.Before(last) {
		state.review = last
	} else {
		state.review = time.Time{}
	}
}
