package disk

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// removeChunk is how many records are removed by one write, so that removing many holds up other writes only briefly.
const removeChunk = 128

// An Item is a record's place and head.
type Item struct {
	Hash Hash
	Head Head
}

// Heads returns the heads of up to limit records of a shard, deleted and expired ones included, by hash and after the given one; the zero hash is before all. More says
// that it stopped before the end. What is damaged is ErrDamaged until it is mended, which takes moments.
func (d *Disk) Heads(s Shard, after Hash, limit int) (items []Item, more bool, err error) {
	start, end := s.bounds(spaceHead)
	if from := append(headKey(after), 0); bytes.Compare(from, start) > 0 && after != (Hash{}) {
		start = from
	}
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return nil, false, fmt.Errorf("list a shard: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if len(items) == limit {
			more = true
			break
		}
		head, err := unmarshalHead(it.Value())
		if err != nil || len(it.Key()) != 1+len(Hash{}) {
			continue
		}
		items = append(items, Item{Hash(it.Key()[1:]), head})
	}
	if err := d.end(it, span{start, end}); err != nil {
		return nil, false, fmt.Errorf("list a shard: %w", err)
	}
	return items, more, nil
}

// Remove removes records, each only if it still has the given rank, and returns how many it removed. What was removed counts for Digest at no time.
func (d *Disk) Remove(ctx context.Context, items []Item) (removed int, err error) {
	for len(items) > 0 {
		chunk := items[:min(len(items), removeChunk)]
		items = items[len(chunk):]
		n := new(int) // read only after update says that the committer is done with it
		err := d.update(ctx, func(tx *tx) error {
			for i := range chunk {
				gone, err := tx.remove(chunk[i].Hash, func(h *Head) bool { return h.Rank == chunk[i].Head.Rank })
				if err != nil {
					return err
				}
				if gone {
					*n++
				}
			}
			return nil
		})
		if err != nil {
			return removed, fmt.Errorf("remove records: %w", err)
		}
		removed += *n
	}
	return removed, nil
}
