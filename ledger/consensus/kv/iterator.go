package kv

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// iterator goes through a range of a space as it was when the iterator was made. It is one goroutine's; closing the store makes it invalid.
type iterator struct {
	store      *Store // nil where the range is empty
	iter       *pebble.Iterator
	start, end []byte
	reverse    bool
	valid      bool
	over       bool  // closed, by its owner or with the store; guarded by store.use, which closing the store holds for writing
	err        error // what closing found
}

// Domain returns the range that was asked for.
func (it *iterator) Domain() (start, end []byte) { return it.start, it.end }

// Valid says whether the iterator is at a key.
func (it *iterator) Valid() bool {
	if it.store == nil || it.store.begin() != nil {
		return false
	}
	defer it.store.end()
	return it.at()
}

// at is Valid with the store in use.
func (it *iterator) at() bool { return !it.over && it.valid }

// use calls f with the iterator at a key. As all iterators of cometbft-db, this one panics when it is at none.
func (it *iterator) use(f func()) {
	if it.store != nil && it.store.begin() == nil {
		defer it.store.end()
		if it.at() {
			f()
			return
		}
	}
	panic("iterator is invalid")
}

// Next goes to the next key.
func (it *iterator) Next() {
	it.use(func() {
		if it.reverse {
			it.valid = it.iter.Prev()
		} else {
			it.valid = it.iter.Next()
		}
	})
}

// Key returns a copy of the key.
func (it *iterator) Key() (key []byte) {
	it.use(func() { key = bytes.Clone(it.iter.Key()[1:]) })
	return key
}

// Value returns a copy of the value.
func (it *iterator) Value() (value []byte) {
	it.use(func() {
		v := it.iter.Value()
		value = append(make([]byte, 0, len(v)), v...)
	})
	return value
}

// Error returns what went wrong, if anything; an iterator that meets an error is invalid from then on.
func (it *iterator) Error() error {
	if it.store == nil {
		return nil
	}
	if err := it.store.begin(); err != nil {
		return err
	}
	defer it.store.end()
	if it.over {
		return it.err
	}
	return it.iter.Error()
}

// Close gives up the iterator; it may be called again.
func (it *iterator) Close() error {
	if it.store == nil || it.store.begin() != nil {
		return nil // there is nothing left to close
	}
	defer it.store.end()
	if it.over {
		return nil
	}
	it.over = true
	it.store.mu.Lock()
	delete(it.store.open, it)
	it.store.mu.Unlock()
	it.err = it.iter.Close()
	return it.err
}
