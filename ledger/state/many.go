package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/ledger"
)

// GetMany calls f with the value under each of many keys, by its index, nil where there is none, in any order. Keys are sorted, each once. Nobody changes the values. One way through the disk's tables in their order costs less than
// as many of Get's, which begin each from the start, and it asks the filters of the lowest level, too, which Get doesn't.
func (v *View) GetMany(keys [][]byte, f func(i int, value []byte)) error {
	missing := v.entries.getMany(v.Tip, keys, f)
	if len(missing) == 0 {
		return nil
	}
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixEntry}, UpperBound: []byte{prefixEntry + 1}, UseL6Filters: true})
	if err != nil {
		return fmt.Errorf("read the ledger's state: %w", err)
	}
	found := make([]ledger.Change, len(missing))
	var room []byte
	for n, i := range missing {
		room = entryKey(room, keys[i])
		value, seekErr := seek(it, room)
		if err = seekErr; err != nil {
			break
		}
		found[n] = ledger.Change{Key: keys[i], Value: value}
		f(i, value)
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return fmt.Errorf("read the ledger's state: %w", err)
	}
	v.entries.addMany(v.Tip, found)
	return nil
}

// seek returns a copy of the value of a key, nil where there is none.
func seek(it *pebble.Iterator, key []byte) ([]byte, error) {
	if !it.SeekPrefixGE(key) {
		return nil, it.Error()
	}
	value, err := it.ValueAndErr()
	return append(make([]byte, 0, len(value)), value...), err
}
