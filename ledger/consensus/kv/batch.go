package kv

import "github.com/cockroachdb/pebble/v2"

// batch is a group of writes. Like those of cometbft-db it is one goroutine's.
type batch struct {
	space *space
	b     *pebble.Batch // nil once written or closed
}

// Set adds a write.
func (b *batch) Set(k, v []byte) error {
	switch {
	case len(k) == 0:
		return errKeyEmpty
	case v == nil:
		return errValueNil
	case b.b == nil:
		return errBatchClosed
	}
	return b.b.Set(b.space.key(k), v, nil)
}

// Delete adds a deletion.
func (b *batch) Delete(k []byte) error {
	switch {
	case len(k) == 0:
		return errKeyEmpty
	case b.b == nil:
		return errBatchClosed
	}
	return b.b.Delete(b.space.key(k), nil)
}

// Write writes the batch, which may get lost with the power, as a whole.
func (b *batch) Write() error { return b.commit(pebble.NoSync) }

// WriteSync writes the batch to the disk.
func (b *batch) WriteSync() error { return b.commit(pebble.Sync) }

func (b *batch) commit(o *pebble.WriteOptions) error {
	if b.b == nil {
		return errBatchClosed
	}
	own := b.b
	left, err := b.space.store.write(func() error { return own.Commit(o) })
	if left {
		b.b = nil
	}
	if err != nil {
		return err
	}
	return b.Close()
}

// Close gives up the batch; it may be called again.
func (b *batch) Close() error {
	if b.b == nil {
		return nil
	}
	own := b.b
	b.b = nil
	return own.Close()
}
