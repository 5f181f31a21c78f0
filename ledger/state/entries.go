package state

import (
	"sync"

	"github.com/folkmoot/folkmoot/ledger"
)

// maxEntries bounds how many entries are remembered: those of some ten thousand accounts, of about 10 MB.
const maxEntries = 1 << 16

// entries remembers entries of the state after the last block that were read, since each transaction reads several on its way, and most concern accounts that others do, too. It may be used by many goroutines.
type entries struct {
	mu     sync.RWMutex
	tip    Tip               // the block, guarded by mu
	values map[string][]byte // as of tip, nil where there is none; guarded by mu
}

func newEntries(tip Tip) *entries { return &entries{tip: tip, values: make(map[string][]byte)} }

// get returns what is remembered of the state after a block.
func (e *entries) get(tip Tip, key []byte) (value []byte, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.tip != tip {
		return nil, false
	}
	value, ok = e.values[string(key)]
	return value, ok
}

// getMany calls f with what is remembered of the state after a block, and returns the indexes of the other keys.
func (e *entries) getMany(tip Tip, keys [][]byte, f func(i int, value []byte)) (missing []int) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for i, key := range keys {
		if value, ok := e.values[string(key)]; ok && e.tip == tip {
			f(i, value)
		} else {
			missing = append(missing, i)
		}
	}
	return missing
}

// add remembers what was read of the state after a block, unless there is another one by now.
func (e *entries) add(tip Tip, key, value []byte) {
	e.addMany(tip, []ledger.Change{{Key: key, Value: value}})
}

// addMany is add of several.
func (e *entries) addMany(tip Tip, list []ledger.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tip != tip {
		return
	}
	for i := range list {
		if len(e.values) >= maxEntries {
			for other := range e.values { // any
				delete(e.values, other)
				break
			}
		}
		e.values[string(list[i].Key)] = list[i].Value
	}
}

// advance goes on to the state after the next block, which changes some entries of the one before.
func (e *entries) advance(before, tip Tip, changes []ledger.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tip != before {
		clear(e.values)
	}
	e.tip = tip
	for _, c := range changes {
		if _, ok := e.values[string(c.Key)]; ok {
			e.values[string(c.Key)] = c.Value
		}
	}
}
