package state

import (
	"encoding/binary"
	"sync"

	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// idsEach is how many ids a filter holds, and idBits how many bits it has for each: of those that are not in it, one in 1,700 seems to be.
	idsEach = 1 << 18
	idBits  = 16
	// maxFilters bounds the memory for ids, to 32 MiB: as many as there are in an hour of 4,600 transactions a second.
	maxFilters = 64
)

// recentIDs tells of most transactions that they are in no block, without a look at the disk, where each such question costs the read of some block. It holds those of the last blocks, since the store was opened, and no more than
// may still be asked for. It may be used by many goroutines.
type recentIDs struct {
	each, most int // how many ids a filter holds, and how many filters there are at most

	mu      sync.RWMutex
	tip     Tip         // guarded by mu; the last block of which it holds ids
	since   int64       // guarded by mu; the ids of all blocks up to tip that are later than this are in filters
	filters []*idFilter // guarded by mu, oldest first
}

// idFilter is a Bloom filter. An id is a hash already, whose parts say which bits are set.
type idFilter struct {
	bits  []uint64
	count int
	last  int64 // the time of the last block of which it holds ids
}

func newRecentIDs(each, most int) *recentIDs { return &recentIDs{each: each, most: most} }

// reset makes it one that knows nothing of the blocks up to a tip, nor of those before.
func (r *recentIDs) reset(tip Tip) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resetLocked(tip)
}

func (r *recentIDs) resetLocked(tip Tip) {
	r.since = max(r.since, r.tip.Time, tip.Time) // there may be views of what was the tip
	r.tip, r.filters = tip, nil
}

// absent reports whether a transaction that no block before a time may hold is certainly in none up to a tip.
func (r *recentIDs) absent(tip Tip, id *ledger.TransactionID, from int64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if from <= r.since || tip.Height > r.tip.Height {
		return false
	}
	for i := len(r.filters) - 1; i >= 0 && r.filters[i].last >= from; i-- {
		if r.filters[i].has(id) {
			return false
		}
	}
	return true
}

// advance takes in the ids of the block after another one, and forgets those that nobody may ask for any more. It comes before there is a view of that block.
func (r *recentIDs) advance(before, tip Tip, results []ledger.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tip != before {
		r.resetLocked(before)
	}
	r.tip = tip
	for i := range results {
		r.open(tip.Time).set(&results[i].ID)
	}
	for len(r.filters) > 0 && r.filters[0].last < tip.Time-ledger.MaxWindow.Milliseconds() {
		r.forget()
	}
}

// open returns the filter that has room, while mu is held.
func (r *recentIDs) open(time int64) *idFilter {
	if n := len(r.filters); n == 0 || r.filters[n-1].count == r.each {
		if n == r.most {
			r.forget()
		}
		r.filters = append(r.filters, &idFilter{bits: make([]uint64, (r.each*idBits+63)/64)})
	}
	f := r.filters[len(r.filters)-1]
	f.last = time
	return f
}

// forget drops the oldest filter, while mu is held.
func (r *recentIDs) forget() {
	r.since = max(r.since, r.filters[0].last)
	r.filters = append(r.filters[:0:0], r.filters[1:]...)
}

func (f *idFilter) set(id *ledger.TransactionID) {
	for i := 0; i < len(id); i += 4 {
		word, bit := f.place(id[i:])
		f.bits[word] |= bit
	}
	f.count++
}

func (f *idFilter) has(id *ledger.TransactionID) bool {
	for i := 0; i < len(id); i += 4 {
		if word, bit := f.place(id[i:]); f.bits[word]&bit == 0 {
			return false
		}
	}
	return true
}

// place returns the bit that a part of an id stands for, and the word that it is in.
func (f *idFilter) place(part []byte) (word int, bit uint64) {
	at := binary.LittleEndian.Uint32(part)
	return int(at>>6) % len(f.bits), 1 << (at & 63)
}
