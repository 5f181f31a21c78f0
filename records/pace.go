package records

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/internal/pause"
)

const (
	// repairRate and repairBurst bound the bytes that a peer moves for repair, per second and at once.
	repairRate  = 64 << 20
	repairBurst = 4 << 20
	// yieldFactor times as long as a step of repair took it rests, where users wait for operations; at most maxYield.
	yieldFactor = 2
	maxYield    = 200 * time.Millisecond
	// lately is how long after a user's operation repair still makes room for the next.
	lately = 50 * time.Millisecond
)

// A pace keeps repair from being in the way of users.
type pace struct {
	limit  *rate.Limiter
	active atomic.Int32 // operations of users under way
	last   atomic.Int64 // Unix nanoseconds of the end of one
}

func newPace() *pace { return &pace{limit: rate.NewLimiter(repairRate, repairBurst)} }

// begin counts a user's operation in; what it returns counts it out.
func (p *pace) begin() func() {
	p.active.Add(1)
	return func() {
		p.last.Store(time.Now().UnixNano())
		p.active.Add(-1)
	}
}

// yield waits after a step of repair that moved bytes and began at start.
func (p *pace) yield(ctx context.Context, bytes int, start time.Time) error {
	if p.active.Load() > 0 || time.Since(time.Unix(0, p.last.Load())) < lately {
		if err := pause.For(ctx, min(yieldFactor*time.Since(start), maxYield)); err != nil {
			return err
		}
	}
	return p.limit.WaitN(ctx, min(bytes, repairBurst))
}
