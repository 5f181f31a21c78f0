package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	dbm "github.com/cometbft/cometbft-db"
)

var (
	errKeyEmpty    = errors.New("key cannot be empty")
	errValueNil    = errors.New("value cannot be nil")
	errBatchClosed = errors.New("batch has been written or closed")
)

// space is a part of a store with CometBFT's interface.
type space struct {
	store  *Store
	prefix byte
}

var _ dbm.DB = (*space)(nil)

// key returns k as it is in the files.
func (s *space) key(k []byte) []byte {
	return append(append(make([]byte, 0, 1+len(k)), s.prefix), k...)
}

// Get returns a copy of the key's value, or nil if there is none.
func (s *space) Get(k []byte) ([]byte, error) {
	if len(k) == 0 {
		return nil, errKeyEmpty
	}
	if err := s.store.begin(); err != nil {
		return nil, err
	}
	defer s.store.end()
	v, closer, err := s.store.db.Get(s.key(k))
	return copied(v, closer, err)
}

// copied makes what pebble's Get returned the caller's own.
func copied(v []byte, closer io.Closer, err error) ([]byte, error) {
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	own := append(make([]byte, 0, len(v)), v...) // never nil, though it be empty
	return own, closer.Close()
}

// Has says whether the key is there.
func (s *space) Has(k []byte) (bool, error) {
	v, err := s.Get(k)
	return v != nil, err
}

// Set writes a value, which may get lost with the power.
func (s *space) Set(k, v []byte) error { return s.set(k, v, pebble.NoSync) }

// SetSync writes a value to the disk.
func (s *space) SetSync(k, v []byte) error { return s.set(k, v, pebble.Sync) }

func (s *space) set(k, v []byte, o *pebble.WriteOptions) error {
	if len(k) == 0 {
		return errKeyEmpty
	}
	if v == nil {
		return errValueNil
	}
	key, own := s.key(k), bytes.Clone(v) // the caller's may change while it waits for the disk
	return only(s.store.write(func() error { return s.store.db.Set(key, own, o) }))
}

// Delete removes a key, which may come back when the power is lost.
func (s *space) Delete(k []byte) error { return s.delete(k, pebble.NoSync) }

// DeleteSync removes a key from the disk.
func (s *space) DeleteSync(k []byte) error { return s.delete(k, pebble.Sync) }

func (s *space) delete(k []byte, o *pebble.WriteOptions) error {
	if len(k) == 0 {
		return errKeyEmpty
	}
	key := s.key(k)
	return only(s.store.write(func() error { return s.store.db.Delete(key, o) }))
}

// Iterator goes through the keys from start to before end, upwards; nil stands for the first and past the last.
func (s *space) Iterator(start, end []byte) (dbm.Iterator, error) {
	return s.iterate(start, end, false)
}

// ReverseIterator goes through the keys from before end down to start.
func (s *space) ReverseIterator(start, end []byte) (dbm.Iterator, error) {
	return s.iterate(start, end, true)
}

// bounds returns a range as it is in the files.
func (s *space) bounds(start, end []byte) (lower, upper []byte) {
	lower, upper = s.key(start), s.key(end)
	if end == nil {
		upper = nil
		if s.prefix < 0xff {
			upper = []byte{s.prefix + 1}
		}
	}
	return lower, upper
}

func (s *space) iterate(start, end []byte, reverse bool) (dbm.Iterator, error) {
	if start != nil && len(start) == 0 || end != nil && len(end) == 0 {
		return nil, errKeyEmpty
	}
	if err := s.store.begin(); err != nil {
		return nil, err
	}
	defer s.store.end()
	lower, upper := s.bounds(start, end)
	if upper != nil && slices.Compare(lower, upper) >= 0 {
		return &iterator{start: start, end: end, over: true}, nil
	}
	iter, err := s.store.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	it := &iterator{store: s.store, iter: iter, start: start, end: end, reverse: reverse}
	if reverse {
		it.valid = iter.Last()
	} else {
		it.valid = iter.First()
	}
	s.store.mu.Lock()
	s.store.open[it] = struct{}{}
	s.store.mu.Unlock()
	return it, nil
}

// Close does nothing: the store is closed as a whole.
func (s *space) Close() error { return nil }

// NewBatch returns an empty batch.
func (s *space) NewBatch() dbm.Batch { return &batch{space: s, b: s.store.db.NewBatch()} }

// Print is not offered: a library does not write to standard output.
func (s *space) Print() error { return errors.ErrUnsupported }

// Stats returns what pebble tells of itself.
func (s *space) Stats() map[string]string {
	if s.store.begin() != nil {
		return nil
	}
	defer s.store.end()
	m := s.store.db.Metrics()
	return map[string]string{"pebble.disk": fmt.Sprint(m.DiskSpaceUsage()), "pebble.metrics": m.String()}
}

// Compact gives back the room of deleted keys in a range.
func (s *space) Compact(start, end []byte) error {
	lower, upper := s.bounds(start, end)
	if upper == nil {
		upper = []byte{0xff, 0xff}
	}
	return only(s.store.write(func() error {
		if slices.Compare(lower, upper) >= 0 {
			return nil
		}
		return s.store.db.Compact(context.Background(), lower, upper, false)
	}))
}
