package application

import (
	"sync"

	"github.com/folkmoot/folkmoot/ledger/state"
)

// maxReadings bounds how many entries are remembered.
const maxReadings = 4096

// readings remembers entries of the state after the last block, for transactions that are tried on it one by one: each reads the limits, the rules and its asset, as all others do. It may be used by many goroutines.
type readings struct {
	mu     sync.Mutex
	tip    state.Tip         // guarded by mu
	values map[string][]byte // as of tip, nil where there is none; guarded by mu
}

// get returns what is remembered of the state after a block.
func (r *readings) get(tip state.Tip, key []byte) (value []byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tip == tip {
		value, ok = r.values[string(key)]
	}
	return value, ok
}

// add remembers an entry, unless of a block before that of others.
func (r *readings) add(tip state.Tip, key, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case tip.Height < r.tip.Height:
		return
	case tip != r.tip || r.values == nil:
		r.tip, r.values = tip, make(map[string][]byte)
	}
	if len(r.values) < maxReadings {
		r.values[string(key)] = value
	}
}

// rememberedView is a view that reads each entry once.
type rememberedView struct {
	*state.View
	readings *readings
}

// Get returns the value under a key of the state, nil where there is none.
func (v rememberedView) Get(key []byte) ([]byte, error) {
	if value, ok := v.readings.get(v.Tip, key); ok {
		return value, nil
	}
	value, err := v.View.Get(key)
	if err == nil {
		v.readings.add(v.Tip, key, value)
	}
	return value, err
}
