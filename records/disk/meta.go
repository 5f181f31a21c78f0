package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// get returns a copy of what is under key, or nil when there is nothing.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	value = bytes.Clone(value)
	return value, closer.Close()
}

func (d *Disk) meta(name string) ([]byte, error) {
	value, err := get(d.db, metaKey(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return value, nil
}

// metaUint64 returns 0 when there is no value.
func (d *Disk) metaUint64(name string) (uint64, error) {
	value, err := d.meta(name)
	if err != nil || value == nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("damaged %s", name)
	}
	return binary.BigEndian.Uint64(value), nil
}

// Clock returns what SetClock stored last, or 0.
func (d *Disk) Clock() (uint64, error) { return d.metaUint64(metaClock) }

// SetClock keeps the time that the node's clock must not fall behind after a restart.
func (d *Disk) SetClock(ctx context.Context, t uint64) error {
	return d.update(ctx, func(tx *tx) error {
		return tx.batch.Set(metaKey(metaClock), binary.BigEndian.AppendUint64(nil, t), nil)
	})
}

// SetProvided notes that this node provides key.
func (d *Disk) SetProvided(ctx context.Context, key string) error {
	return d.update(ctx, func(tx *tx) error { return tx.batch.Set(providedKey(key), nil, nil) })
}

// Provided returns up to limit keys after the given one that this node provides, in order.
func (d *Disk) Provided(after string, limit int) ([]string, error) {
	it, err := d.iterate([]byte{spaceProvided})
	if err != nil {
		return nil, fmt.Errorf("list the provided keys: %w", err)
	}
	var keys []string
	for ok := it.SeekGE(append(providedKey(after), 0)); ok && len(keys) < limit; ok = it.Next() {
		keys = append(keys, string(it.Key()[1:]))
	}
	return keys, it.Close()
}

// iterate walks the keys that start with prefix.
func (d *Disk) iterate(prefix []byte) (*pebble.Iterator, error) {
	return d.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
}
