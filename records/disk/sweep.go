package disk

import (
	"context"
	"errors"
	"fmt"
)

// sweepChunk is how many expired records are removed by one write, so that a sweep holds up other writes only briefly.
const sweepChunk = 128

// Sweep removes the records that expired before the given time; the tombstones that were written before it, and before the hybrid time up to which, as confirmed says,
// all holders of their shard agree; and the provider records that expired before now. before and now are in milliseconds since the Unix epoch. A nil confirmed keeps all
// tombstones. It returns how many it removed.
func (d *Disk) Sweep(ctx context.Context, before, now uint64, confirmed func(Shard) uint64) (removed int, err error) {
	due := func(hash Hash, head *Head) bool {
		if !head.Deleted {
			return head.Expires != 0 && head.Expires < before
		}
		return confirmed != nil && head.Rank.Time()>>counterBits < before && head.Rank.Time() < confirmed(ShardOf(hash))
	}
	dueHead := func(key, value []byte) bool {
		head, err := unmarshalHead(value)
		if err != nil {
			d.damaged("sweep", fmt.Sprintf("%x", key[1:]), err)
			return false
		}
		return due(Hash(key[1:]), &head)
	}
	records, err := d.sweep(ctx, spaceHead, dueHead, func(tx *tx, key []byte) error {
		hash := Hash(key[1:])
		_, err := tx.remove(hash, func(h *Head) bool { return due(hash, h) })
		return err
	})
	if err != nil {
		return records, fmt.Errorf("sweep expired records: %w", err)
	}
	expiredProvider := func(_, value []byte) bool {
		p, err := unmarshalProvider(value)
		return err != nil || p.Expires < now
	}
	providers, err := d.sweep(ctx, spaceProvider, expiredProvider, func(tx *tx, key []byte) error {
		p, found, err := readProvider(tx.batch, key)
		if found && p.Expires >= now {
			return nil
		}
		return errors.Join(ignoreDamage(err), tx.batch.Delete(key, nil))
	})
	if err != nil {
		return records + providers, fmt.Errorf("sweep expired provider records: %w", err)
	}
	return records + providers, nil
}

func ignoreDamage(err error) error {
	if errors.Is(err, errProvider) {
		return nil
	}
	return err
}

// sweep drops what is due in a space, chunk by chunk.
func (d *Disk) sweep(ctx context.Context, space byte, due func(key, value []byte) bool, drop func(*tx, []byte) error) (int, error) {
	removed := 0
	from := []byte{space}
	for from != nil {
		keys, next, err := d.collect(ctx, space, from, due)
		if err != nil {
			return removed, err
		}
		from = next
		if len(keys) == 0 {
			continue
		}
		err = d.update(ctx, func(tx *tx) error {
			for _, key := range keys {
				if err := drop(tx, key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		removed += len(keys)
	}
	return removed, nil
}

// collect returns up to sweepChunk keys that are due, and where to go on, which is nil at the end.
func (d *Disk) collect(ctx context.Context, space byte, from []byte, due func(key, value []byte) bool) (keys [][]byte, next []byte, err error) {
	it, err := d.iterate([]byte{space})
	if err != nil {
		return nil, nil, err
	}
	for ok := it.SeekGE(from); ok && next == nil; ok = it.Next() {
		switch {
		case ctx.Err() != nil:
			return nil, nil, errors.Join(ctx.Err(), it.Close())
		case len(keys) == sweepChunk:
			next = append([]byte(nil), it.Key()...)
		case due(it.Key(), it.Value()):
			keys = append(keys, append([]byte(nil), it.Key()...))
		}
	}
	return keys, next, d.end(it, span{[]byte{space}, []byte{space + 1}})
}
