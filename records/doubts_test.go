package records

import (
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/records/disk"
)

// openShards counts the shards of pairs that are open now.
func (w *tableWorld) openShards() (n int) {
	pairs, _ := w.pairs(w.now)
	for _, both := range pairs {
		n += both.open.len()
	}
	return n
}

// compareOpen has this peer and the others find that they have the same in all shards that are open.
func (w *tableWorld) compareOpen(upTo Timestamp) {
	pairs, _ := w.pairs(w.now)
	for id, both := range pairs {
		for s := range both.open.all() {
			w.compared(s, id, upTo, w.now)
		}
	}
}

// TestNewHolderIsComparedAgain: once when it has caught up with a quorum, and once when everybody knows that it is a holder.
func TestNewHolderIsComparedAgain(t *testing.T) {
	const peers = 5
	w := newTableWorld(newRNG(t), peers)
	w.show(w.peers, nil)
	w.compareAll(at(LevelSynced))
	for s := range disk.Shard(disk.Shards) {
		for _, id := range w.peers[1:] { // as they were one after the other when it caught up
			w.agree(s, id, timestampOf(w.now))
		}
	}
	const all = (peers - 1) * disk.Shards
	for _, after := range []time.Duration{0, viewsDiffer} {
		w.wait(after)
		if !w.reviewDue(w.now) {
			t.Fatalf("nothing is reviewed %s after the peer caught up", after)
		}
		if n := w.openShards(); n != all {
			t.Errorf("%s after the peer caught up %d pairs of shards are open, want %d", after, n, all)
		}
		w.compareOpen(timestampOf(w.now.Add(-time.Millisecond)))
		if n := w.openShards(); n != all {
			t.Errorf("%d pairs of shards are open, want %d: they agreed on what was before", n, all)
		}
		w.compareOpen(timestampOf(w.now))
		if n := w.openShards(); n != 0 || w.reviewDue(w.now) {
			t.Errorf("%d pairs of shards are open though all were compared", n)
		}
	}
	w.wait(time.Hour)
	if n := w.openShards(); n != 0 || w.reviewDue(w.now) {
		t.Errorf("%d pairs of shards are open an hour later", n)
	}
}

// TestDoubtIsResolvedByALaterComparison: an agreement on what was there before a write failed says nothing about that write.
func TestDoubtIsResolvedByALaterComparison(t *testing.T) {
	w := newTableWorld(newRNG(t), 3)
	w.show(w.peers, nil)
	w.compareAll(at(LevelSynced))
	for w.openShards() > 0 || !w.review.IsZero() {
		w.compareOpen(timestampOf(w.now))
		w.wait(time.Second)
	}
	s, other := w.shard(t, true), w.peers[1]
	w.differ(s, other, w.now)
	w.wait(time.Second)
	w.compared(s, other, timestampOf(w.now.Add(-settledAgo)), w.now)
	pairs, _ := w.pairs(w.now)
	if both := pairs[other]; !both.open.has(s) || both.open.len() != 1 {
		t.Errorf("%d shards are open, want the one in doubt", both.open.len())
	}
	w.compared(s, other, timestampOf(w.now), w.now)
	if n := w.openShards(); n != 0 {
		t.Errorf("%d pairs of shards are open, want none", n)
	}
	// What was written shortly before may still be under way: deletions are not forgotten for it.
	if upTo := w.agreedUpTo(s); upTo > timestampOf(w.now.Add(-settledAgo)) {
		t.Errorf("agreed up to %v at %v", upTo.Time(), w.now)
	}
}
