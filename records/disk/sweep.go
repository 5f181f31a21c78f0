package disk

import (
	"context"
	"errors"
	"fmt"
)

// sweepChunk is how many expired records are removed by one write, so that a sweep holds up other writes only briefly.
const sweepChunk = 128

// Sweep removes the records and deletions that expired before the given time, and provider records that expired before now, both in milliseconds
// since the Unix epoch. It returns how many it removed.
func (d *Disk) Sweep(ctx context.Context, before, now uint64) (removed int, err error) {
	expiredHead := func(key, value []byte) bool {
		head, err := unmarshalHead(value)
		if err != nil {
			d.damaged("sweep", fmt.Sprintf("%x", key[1:]), err)
			return false
		}
		return head.Expires != 0 && head.Expires < before
	}
	records, err := d.sweep(ctx, spaceHead, expiredHead, func(tx *tx, key []byte) error {
		return dropRecord(tx, Hash(key[1:]), before)
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
	return keys, next, it.Close()
}

// dropRecord removes a record unless it was replaced by one that has not expired.
func dropRecord(tx *tx, hash Hash, before uint64) error {
	head, found, err := readHead(tx.batch, hash)
	if err != nil || !found || head.Expires == 0 || head.Expires >= before {
		return err
	}
	tx.live -= live(&head)
	return errors.Join(
		tx.batch.Delete(headKey(hash), nil),
		tx.batch.Delete(envelopeKey(hash), nil),
		tx.batch.Delete(nameKey(head.Key), nil))
}
