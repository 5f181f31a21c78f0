package records

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// compareTimeout bounds the comparison of digests with one peer, transferTimeout each step of what follows from it.
	compareTimeout  = 2 * time.Second
	transferTimeout = 5 * time.Second
	// batchBytes is about how many bytes of records travel in one message.
	batchBytes = 512 << 10
	// now, as the time of a comparison, takes in whatever there is.
	asOfNow = math.MaxUint64
)

// errShort marks a peer that did not answer as it was asked to.
var errShort = fault.New(fault.Invalid, "answered less than it was asked for")

// A comparison is the work of comparing shards with one other peer, and of moving what one of them lacks.
type comparison struct {
	s    *Store
	peer *routing.Member
	// pull says that what the other has and this peer lacks is fetched, push that what the other lacks is brought to it.
	pull, push bool
	// vouched are the shards in which the other said that it has everything.
	vouched shardSet
	// unshown are versions that the other has listed and did not show.
	unshown []version
	// asOf is the time of the digests that shards are reconciled for, and listed what the other has listed of them.
	asOf   uint64
	listed map[disk.Shard]contents
}

// digests asks the other peer how it stands in the shards of a set. With a summary it answers nothing but equal when it has the same in all of them.
func (c *comparison) digests(ctx context.Context, set *shardSet, asOf uint64, summary bool) (equal bool, theirs, ours []report, err error) {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	ours = c.s.holder.reports(set, asOf)
	req := request{op: opCompare, repair: &repairRequest{asOf: asOf, set: *set, summary: summary}}
	if summary {
		req.repair.sum = sumOfReports(ours)
	}
	encoded := req.marshal()
	resp, err := c.s.call(ctx, c.peer, opCompare, encoded)
	if err != nil {
		return false, nil, nil, fmt.Errorf("compare with %s: %w", c.peer.ID, err)
	}
	c.s.metrics.compared(len(encoded))
	if resp.repair.equal && summary {
		return true, nil, ours, nil
	}
	if len(resp.repair.reports) != len(ours) {
		return false, nil, nil, fmt.Errorf("compare with %s: %w", c.peer.ID, errShort)
	}
	return false, resp.repair.reports, ours, nil
}

func same(a, b *report) bool { return a.known && b.known && a.sum == b.sum }

// reconcile goes through the records of shards, which ascend, and moves those that one of the two lacks.
func (c *comparison) reconcile(ctx context.Context, shards []disk.Shard) error {
	for batch := range slices.Chunk(shards, maxHeadShards) {
		var after disk.Hash
		for more := true; more; {
			page, err := c.heads(ctx, batch, after)
			if err != nil {
				return err
			}
			upTo := lastHash
			if more = page.more; more {
				upTo = page.versions[len(page.versions)-1].hash
			}
			ours, err := c.items(batch, after, upTo)
			if err != nil {
				return err
			}
			if err := c.exchange(ctx, page.versions, ours); err != nil {
				return err
			}
			after = upTo
		}
	}
	return c.examine(ctx)
}

var lastHash = func() (h disk.Hash) {
	for i := range h {
		h[i] = 0xff
	}
	return h
}()

func (c *comparison) heads(ctx context.Context, shards []disk.Shard, after disk.Hash) (*repairResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	req := request{op: opHeads, repair: &repairRequest{shards: shards, after: after}}
	resp, err := c.s.call(ctx, c.peer, opHeads, req.marshal())
	if err != nil {
		return nil, fmt.Errorf("list what %s has: %w", c.peer.ID, err)
	}
	for _, v := range resp.repair.versions {
		if _, wanted := slices.BinarySearch(shards, disk.ShardOf(v.hash)); !wanted || compareHashes(v.hash, after) <= 0 {
			return nil, fmt.Errorf("list what %s has: %w", c.peer.ID, errShort)
		}
	}
	c.note(resp.repair.versions)
	return resp.repair, nil
}

// items returns this peer's records in shards, those after one hash and up to another.
func (c *comparison) items(shards []disk.Shard, after, upTo disk.Hash) (items []disk.Item, err error) {
	for _, s := range shards {
		if s < disk.ShardOf(after) || s > disk.ShardOf(upTo) {
			continue
		}
		from := disk.Hash{}
		if s == disk.ShardOf(after) {
			from = after
		}
		for more := true; more; {
			var part []disk.Item
			if part, more, err = c.s.holder.disk.Heads(s, from, maxVersions); err != nil {
				return nil, err
			}
			for _, item := range part {
				if compareHashes(item.Hash, upTo) > 0 {
					return items, nil
				}
				items = append(items, item)
			}
			if more = more && len(part) > 0; more {
				from = part[len(part)-1].Hash
			}
		}
	}
	return items, nil
}

// exchange moves what differs between two sorted lists.
func (c *comparison) exchange(ctx context.Context, theirs []version, ours []disk.Item) error {
	all := theirs
	var fetch []version
	var give []disk.Item
	for len(theirs) > 0 || len(ours) > 0 {
		order := 0
		switch {
		case len(theirs) == 0:
			order = 1
		case len(ours) == 0:
			order = -1
		default:
			order = compareHashes(theirs[0].hash, ours[0].Hash)
		}
		switch {
		case order < 0:
			fetch = append(fetch, theirs[0])
		case order > 0:
			give = append(give, ours[0])
		case theirs[0].rank.Compare(ours[0].Head.Rank) > 0:
			fetch = append(fetch, theirs[0])
		case theirs[0].rank.Compare(ours[0].Head.Rank) < 0:
			give = append(give, ours[0])
		}
		if order <= 0 {
			theirs = theirs[1:]
		}
		if order >= 0 {
			ours = ours[1:]
		}
	}
	if c.pull {
		if err := c.fetch(ctx, fetch); err != nil {
			return err
		}
	}
	if !c.push {
		return nil
	}
	give, forgotten := c.s.forgotten(give, all)
	if _, err := c.s.holder.disk.Remove(ctx, forgotten); err != nil {
		return fmt.Errorf("remove what everybody has forgotten: %w", err)
	}
	return c.give(ctx, give)
}

// forgotten takes out of items those that everybody else has forgotten while this peer was away for longer than deletions are kept. They may have been deleted.
func (s *Store) forgotten(items []disk.Item, theirs []version) (rest, forgotten []disk.Item) {
	if s.lapsed == 0 {
		return items, nil
	}
	for _, item := range items {
		_, known := slices.BinarySearchFunc(theirs, item.Hash, func(v version, h disk.Hash) int { return compareHashes(v.hash, h) })
		if !known && versionOf(item.Head.Rank).Time < s.lapsed {
			forgotten = append(forgotten, item)
		} else {
			rest = append(rest, item)
		}
	}
	return rest, forgotten
}

// fetch gets records from the other peer, checks them and stores them.
func (c *comparison) fetch(ctx context.Context, wanted []version) error {
	for len(wanted) > 0 {
		start := time.Now()
		batch := wanted[:min(len(wanted), maxBatch)]
		req := request{op: opFetch, repair: &repairRequest{}}
		for i := range batch {
			req.repair.hashes = append(req.repair.hashes, batch[i].hash)
		}
		envelopes, err := c.fetchBatch(ctx, &req)
		if err != nil {
			return fmt.Errorf("fetch records from %s: %w", c.peer.ID, err)
		}
		bytes, err := c.take(ctx, batch[:len(envelopes)], envelopes)
		if err != nil {
			return fmt.Errorf("fetch records from %s: %w", c.peer.ID, err)
		}
		wanted = wanted[len(envelopes):]
		if err := c.s.pace.yield(ctx, bytes, start); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) fetchBatch(ctx context.Context, req *request) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	resp, err := c.s.call(ctx, c.peer, opFetch, req.marshal())
	if err != nil {
		return nil, err
	}
	if n := len(resp.repair.envelopes); n == 0 || n > len(req.repair.hashes) {
		return nil, errShort
	}
	return resp.repair.envelopes, nil
}

// take stores fetched records, and returns how many bytes they have. A record that is gone, or too old to be taken, is passed over; one that is not what was promised is a lie.
func (c *comparison) take(ctx context.Context, wanted []version, envelopes [][]byte) (bytes int, err error) {
	var updates []disk.Update
	for i, envelope := range envelopes {
		bytes += len(envelope)
		if len(envelope) == 0 {
			c.unshown = append(c.unshown, wanted[i])
			continue
		}
		rec, err := c.s.holder.records.open(envelope, false)
		if err != nil {
			c.s.conduct.blame(c.peer.ID, forged)
			return bytes, err
		}
		hash := rec.key.hash()
		if hash != wanted[i].hash || rec.head.Rank.Compare(wanted[i].rank) < 0 {
			c.s.conduct.blame(c.peer.ID, lied)
			return bytes, errLiar
		}
		if c.s.stale(&rec.head) || c.s.holder.acceptable(&rec) != nil {
			continue
		}
		updates = append(updates, disk.Update{Hash: hash, Head: rec.head, Envelope: envelope})
	}
	if _, err := c.s.holder.putMany(ctx, updates); err != nil {
		return bytes, fmt.Errorf("store: %w", err)
	}
	c.s.metrics.repaired("in", len(updates), bytes)
	return bytes, nil
}

// give brings records to the other peer.
func (c *comparison) give(ctx context.Context, items []disk.Item) error {
	req := request{op: opStore, repair: &repairRequest{}}
	size := 0
	flush := func() error {
		if len(req.repair.envelopes) == 0 {
			return nil
		}
		start := time.Now()
		err := c.giveBatch(ctx, &req)
		bytes := size
		req.repair.envelopes, size = nil, 0
		return errors.Join(err, c.s.pace.yield(ctx, bytes, start))
	}
	for i := range items {
		if c.s.stale(&items[i].Head) {
			continue
		}
		envelope, err := c.s.holder.disk.Envelope(items[i].Hash)
		if err != nil || envelope == nil {
			continue // damaged or gone: others have it
		}
		if size+len(envelope) > batchBytes || len(req.repair.envelopes) == maxBatch {
			if err := flush(); err != nil {
				return fmt.Errorf("bring records to %s: %w", c.peer.ID, err)
			}
		}
		req.repair.envelopes = append(req.repair.envelopes, envelope)
		size += len(envelope)
	}
	if err := flush(); err != nil {
		return fmt.Errorf("bring records to %s: %w", c.peer.ID, err)
	}
	return nil
}

func (c *comparison) giveBatch(ctx context.Context, req *request) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	encoded := req.marshal()
	resp, err := c.s.call(ctx, c.peer, opStore, encoded)
	if err != nil {
		return err
	}
	if len(resp.repair.outcomes) != len(req.repair.envelopes) {
		return errShort
	}
	c.s.metrics.repaired("out", len(req.repair.envelopes), len(encoded))
	for _, o := range resp.repair.outcomes {
		if o.status == statusRefused {
			return fault.New(o.kind, "a record was refused")
		}
	}
	return nil
}

// stale reports whether a record is so old that it is not passed on any more: it is about to be swept everywhere.
func (s *Store) stale(h *disk.Head) bool {
	limit := s.cfg.Now().Add(-keepExpired)
	return h.Deleted && versionOf(h.Rank).Time < timestampOf(limit) || expired(h, millis(limit))
}
