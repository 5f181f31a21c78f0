package records

import (
	"context"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// maxExamined bounds the versions that a peer is asked for once more in one comparison.
	maxExamined = 4
	// sweepMargin is how far from the full hour others may sweep.
	sweepMargin = 5 * time.Minute
)

// What a peer says in a comparison is examined where it does not fit together. An honest peer's store may have changed from one message to the next; so it is asked once more, and only
// answers that no store could have given convict it.

// contents sum up what a peer has listed of a shard.
type contents struct {
	sum    disk.Digest
	newest uint64 // time of the newest version
}

// note sums up what the other peer lists.
func (c *comparison) note(versions []version) {
	if c.listed == nil {
		return
	}
	for _, v := range versions {
		s := disk.ShardOf(v.hash)
		l := c.listed[s]
		l.sum.Add(v.hash, v.rank)
		l.newest = max(l.newest, v.rank.Time())
		c.listed[s] = l
	}
}

// vouches reports whether a peer says that it holds a shard and has all of it. It removes nothing then but what has expired.
func (r *report) vouches() bool { return r.level == LevelSynced || r.level == LevelPartial }

// examine asks the other peer again for what it listed and did not show. It convicts it where it shows nothing again, and still says that it has everything.
func (c *comparison) examine(ctx context.Context) error {
	unshown := slices.DeleteFunc(c.unshown, func(v version) bool { return !c.vouched.has(disk.ShardOf(v.hash)) || c.s.sweptNow(v.rank) })
	c.unshown = nil
	for _, v := range unshown[:min(len(unshown), maxExamined)] {
		envelopes, err := c.fetchBatch(ctx, &request{op: opFetch, repair: &repairRequest{hashes: []disk.Hash{v.hash}}})
		if err != nil {
			return err
		}
		var set shardSet
		set.add(disk.ShardOf(v.hash))
		_, theirs, _, err := c.digests(ctx, &set, asOfNow, false)
		if err != nil {
			return err
		}
		if len(envelopes[0]) == 0 && theirs[0].vouches() {
			return c.convict()
		}
	}
	return nil
}

func (c *comparison) convict() error {
	c.s.conduct.blame(c.peer.ID, convicted)
	return errLiar
}

// sweptNow reports whether a version may just have been swept out: one that is old, around the full hour.
func (s *Store) sweptNow(rank disk.Rank) bool {
	now := s.cfg.Now()
	old := versionOf(rank).Time < timestampOf(now.Add(sweepEvery-keepExpired))
	return old && now.Sub(now.Round(sweepEvery)).Abs() < sweepMargin
}

// crossCheck compares what the other peer has listed of shards with the digests that it gave. Where all that it listed had been written by the time of the digests, the two say the same, unless something came in between;
// a digest that is the same again afterwards shows that nothing did.
func (c *comparison) crossCheck(ctx context.Context, shards []disk.Shard, said map[disk.Shard]report) error {
	var set shardSet
	for _, s := range shards {
		r, l := said[s], c.listed[s]
		if r.known && r.vouches() && l.newest <= c.asOf && [sumSize]byte(l.sum[:sumSize]) != r.sum {
			set.add(s)
		}
	}
	if set == (shardSet{}) {
		return nil
	}
	_, theirs, _, err := c.digests(ctx, &set, c.asOf, false)
	if err != nil {
		return err
	}
	i := 0
	for s := range set.all() {
		r, again := said[s], theirs[i]
		i++
		if again.known && again.vouches() && again.sum == r.sum {
			return c.convict()
		}
	}
	return nil
}
