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

// add remembers what was read of the state after a block, unless there is another one by now.
func (e *entries) add(tip Tip, key, value []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tip != tip {
		return
	}
	if len(e.values) >= maxEntries {
		for other := range e.values { // any
			delete(e.values, other)
			break
		}
	}
	e.values[string(key)] = value
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
