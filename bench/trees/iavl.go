package main

import (
	"errors"

	corestore "cosmossdk.io/core/store"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cosmos/iavl"
	dbm "github.com/cosmos/iavl/db"
)

// iavlCache is how many nodes IAVL keeps in memory.
const iavlCache = 500_000

// cosmos is cosmos/iavl without its index of the latest values ("fast storage"). It has values in its leaves, and keeps every version: pruning costs extra.
type cosmos struct{ tree *iavl.MutableTree }

func newIAVL(db *store, _ config) subject {
	return &cosmos{iavl.NewMutableTree(iavlStore{db}, iavlCache, true, iavl.NewNopLogger(), iavl.SyncOption(true))}
}

func (c *cosmos) fill(pairs func(yield func(pair) bool)) error { return inBlocks(pairs, c.update) }

func (c *cosmos) update(changes []pair) error {
	for _, p := range changes {
		if _, err := c.tree.Set(p.key, p.value); err != nil {
			return err
		}
	}
	_, _, err := c.tree.SaveVersion()
	return err
}

func (c *cosmos) prove(p pair) (int, func() error, error) {
	proof, err := c.tree.GetMembershipProof(p.key)
	if err != nil {
		return 0, nil, err
	}
	return proof.Size(), func() error {
		if ok, err := c.tree.VerifyMembership(proof, p.key); !ok || err != nil {
			return errors.Join(errProof, err)
		}
		return nil
	}, nil
}

// An iavlStore is a store as IAVL wants it.
type iavlStore struct{ db *store }

// Get returns the value under key, nil where there is none.
func (s iavlStore) Get(key []byte) ([]byte, error) { return s.db.fetch(key) }

// Has reports whether there is a value under key.
func (s iavlStore) Has(key []byte) (bool, error) {
	value, err := s.db.fetch(key)
	return value != nil, err
}

// Iterator goes through the keys from start up to end.
func (s iavlStore) Iterator(start, end []byte) (corestore.Iterator, error) {
	return s.iterate(start, end, (*pebble.Iterator).First, (*pebble.Iterator).Next)
}

// ReverseIterator goes through the keys below end down to start.
func (s iavlStore) ReverseIterator(start, end []byte) (corestore.Iterator, error) {
	return s.iterate(start, end, (*pebble.Iterator).Last, (*pebble.Iterator).Prev)
}

func (s iavlStore) iterate(start, end []byte, first, next func(*pebble.Iterator) bool) (corestore.Iterator, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return nil, err
	}
	first(it)
	return &iavlIterator{Iterator: it, start: start, end: end, next: next}, nil
}

// Close leaves the store open: it is not the tree's.
func (s iavlStore) Close() error { return nil }

// NewBatch returns an empty batch.
func (s iavlStore) NewBatch() corestore.Batch { return &iavlBatch{s.db.NewBatch(), s.db} }

// NewBatchWithSize returns an empty batch.
func (s iavlStore) NewBatchWithSize(int) corestore.Batch { return s.NewBatch() }

type iavlIterator struct {
	*pebble.Iterator
	start, end []byte
	next       func(*pebble.Iterator) bool
}

// Domain returns the bounds.
func (i *iavlIterator) Domain() (start, end []byte) { return i.start, i.end }

// Next goes on.
func (i *iavlIterator) Next() { i.next(i.Iterator) }

type iavlBatch struct {
	batch *pebble.Batch
	db    *store
}

// Set puts a value into the batch.
func (b *iavlBatch) Set(key, value []byte) error { return b.batch.Set(key, value, nil) }

// Delete puts a deletion into the batch.
func (b *iavlBatch) Delete(key []byte) error { return b.batch.Delete(key, nil) }

// Write commits the batch, after which it takes no more.
func (b *iavlBatch) Write() error {
	batch := b.batch
	b.batch = nil
	return b.db.commit(batch)
}

// WriteSync is Write.
func (b *iavlBatch) WriteSync() error { return b.Write() }

// GetByteSize returns the size of the batch.
func (b *iavlBatch) GetByteSize() (int, error) {
	if b.batch == nil {
		return 0, errors.New("the batch was written")
	}
	return b.batch.Len(), nil
}

// Close drops what was not written.
func (b *iavlBatch) Close() error {
	if b.batch == nil {
		return nil
	}
	return b.batch.Close()
}

var _ dbm.DB = iavlStore{}
