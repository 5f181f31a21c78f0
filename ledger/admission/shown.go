package admission

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/internal/allowance"
)

const (
	// shownRate and shownBurst bound the bytes of receipts that one peer is shown, a second and at once, allShownRate and allShownBurst those that all are: a receipt may take megabytes, and the question for one some bytes.
	shownRate     = 1 << 20
	shownBurst    = 2 * MaxReceipt
	allShownRate  = 8 << 20
	allShownBurst = 8 * MaxReceipt
	// maxShown is the most peers that are counted apart.
	maxShown = 4096
	// doubtTime is how long nothing is taken of a member whose receipt proved nothing, and maxDoubted how many such are remembered: after that many, the oldest are forgotten.
	doubtTime  = 10 * time.Minute
	maxDoubted = 256
)

// shown bounds the receipts that others are shown.
type shown struct {
	each *allowance.Each[peer.ID]
	all  *rate.Limiter
}

func newShown() *shown {
	return &shown{each: allowance.New[peer.ID](shownRate, shownBurst, maxShown), all: rate.NewLimiter(allShownRate, allShownBurst)}
}

// allow tells whether a peer may be shown so many bytes now, and counts them.
func (s *shown) allow(p peer.ID, bytes int) bool {
	now := time.Now()
	return s.each.AllowN(p, now, bytes) && s.all.AllowN(now, bytes)
}

// doubts are the members whose receipts proved nothing. The zero value is none.
type doubts struct {
	mu    sync.Mutex
	since map[peer.ID]time.Time // guarded by mu
}

// add remembers one.
func (d *doubts) add(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since == nil {
		d.since = make(map[peer.ID]time.Time)
	}
	d.since[p] = time.Now()
	if len(d.since) <= maxDoubted {
		return
	}
	oldest := p
	for q, t := range d.since {
		if t.Before(d.since[oldest]) {
			oldest = q
		}
	}
	delete(d.since, oldest)
}

// about tells whether nothing is to be taken of a member now.
func (d *doubts) about(p peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.since[p]
	if ok && time.Since(t) > doubtTime {
		delete(d.since, p)
		ok = false
	}
	return ok
}
