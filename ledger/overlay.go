package ledger

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// View is a state that does not change while it is read.
type View interface {
	// Get returns the value under a key, nil where there is none. The caller does not change it.
	Get(key []byte) ([]byte, error)
	// Ascend calls f for the entries whose keys begin with prefix, in the order of keys, until it returns false. Key and value are good during the call.
	Ascend(prefix []byte, f func(key, value []byte) bool) error
}

// Many is a View that reads many entries at once for less than one after the other.
type Many interface {
	// GetMany calls f with the value under each key, by its index, nil where there is none, in any order. Keys are sorted, each once. Nobody changes the values.
	GetMany(keys [][]byte, f func(i int, value []byte)) error
}

// Change is what a block does to an entry. A nil Value removes it.
type Change struct{ Key, Value []byte }

// overlay is a view with the changes of a block over it, and over these the changes of the transaction that is being applied.
type overlay struct {
	view        View
	read        map[string][]byte // what view answered: many transactions of a block read the same
	block       map[string][]byte // nil: removed
	transaction map[string][]byte // nil: removed
}

func newOverlay(view View) *overlay {
	return &overlay{view: view, read: make(map[string][]byte), block: make(map[string][]byte), transaction: make(map[string][]byte)}
}

func (o *overlay) get(key []byte) ([]byte, error) {
	if v, ok := o.transaction[string(key)]; ok {
		return v, nil
	}
	if v, ok := o.block[string(key)]; ok {
		return v, nil
	}
	if v, ok := o.read[string(key)]; ok {
		return v, nil
	}
	v, err := o.view.Get(key)
	if err == nil {
		o.read[string(key)] = v
	}
	return v, err
}

// expect reads what is going to be asked for, where that is cheaper at once.
func (o *overlay) expect(keys [][]byte) error {
	many, ok := o.view.(Many)
	if !ok {
		return nil
	}
	slices.SortFunc(keys, bytes.Compare)
	keys = slices.CompactFunc(keys, bytes.Equal)
	return many.GetMany(keys, func(i int, value []byte) { o.read[string(keys[i])] = value })
}

// set sets the value under a key in the present transaction; nil removes it.
func (o *overlay) set(key, value []byte) { o.transaction[string(key)] = value }

// keep makes the changes of the present transaction changes of the block.
func (o *overlay) keep() {
	maps.Copy(o.block, o.transaction)
	clear(o.transaction)
}

// undo drops them.
func (o *overlay) undo() { clear(o.transaction) }

// list returns the entries whose keys begin with prefix, in the order of keys. There must be few of them.
func (o *overlay) list(prefix []byte) ([]Change, error) {
	found := make(map[string][]byte)
	err := o.view.Ascend(prefix, func(key, value []byte) bool {
		found[string(key)] = bytes.Clone(value)
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, changes := range []map[string][]byte{o.block, o.transaction} {
		for key, value := range changes {
			if !strings.HasPrefix(key, string(prefix)) {
				continue
			}
			if value == nil {
				delete(found, key)
			} else {
				found[key] = value
			}
		}
	}
	return sorted(found), nil
}

// changes returns what the block changes, in the order of keys.
func (o *overlay) changes() []Change { return sorted(o.block) }

func sorted(entries map[string][]byte) []Change {
	list := make([]Change, 0, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		list = append(list, Change{[]byte(key), entries[key]})
	}
	return list
}
