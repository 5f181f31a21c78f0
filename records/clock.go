package records

import (
	"context"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// maxAhead is how far ahead of the wall clock a version may be.
	maxAhead = 30 * time.Second
	// ceilingAhead is how far ahead of the clock its ceiling is stored, so that it is stored rarely. A node that crashed stamps up to this
	// much ahead of its wall clock for a moment, which is well below maxAhead.
	ceilingAhead = 5 * time.Second
)

// A clock is a hybrid logical clock that does not go back, whatever the wall clock does and though the node is restarted: no stamp is given out that is not below
// a ceiling which the disk has.
type clock struct {
	now   func() time.Time
	store func(context.Context, Timestamp) error

	mu      sync.Mutex
	last    Timestamp // guarded by mu; the greatest stamp given out or seen
	ceiling Timestamp // guarded by mu; what is stored
}

func newClock(now func() time.Time, ceiling Timestamp, store func(context.Context, Timestamp) error) *clock {
	return &clock{now: now, store: store, last: ceiling, ceiling: ceiling}
}

// next returns a stamp greater than every one given out or seen before. It is fault.Unavailable when that is so far ahead of the wall clock that other peers would put it
// off.
func (c *clock) next(ctx context.Context) (Timestamp, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.now()
	stamp := max(c.last+1, timestampOf(wall))
	if err := checkAhead(stamp, wall); err != nil {
		return 0, err
	}
	if stamp >= c.ceiling {
		ceiling := stamp + Timestamp(ceilingAhead.Milliseconds())<<counterBits
		if err := c.store(ctx, ceiling); err != nil {
			return 0, err
		}
		c.ceiling = ceiling
	}
	c.last = stamp
	return stamp, nil
}

// observe merges a stamp from elsewhere. One that is too far ahead of the wall clock is refused with fault.Unavailable.
func (c *clock) observe(t Timestamp) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t <= c.last {
		return nil
	}
	if err := checkAhead(t, c.now()); err != nil {
		return err
	}
	c.last = t
	return nil
}

func checkAhead(t Timestamp, wall time.Time) error {
	if ahead := t.Time().Sub(wall); ahead > maxAhead {
		return fault.New(fault.Unavailable,
			"put off: the version is %s ahead of the clock, at most %s is allowed; compare the clocks of both peers", ahead.Round(time.Second), maxAhead)
	}
	return nil
}

// rest stores the exact time reached, so that a clean restart goes on from there.
func (c *clock) rest(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ceiling <= c.last+1 {
		return nil
	}
	if err := c.store(ctx, c.last+1); err != nil {
		return err
	}
	c.ceiling = c.last + 1
	return nil
}

// behind returns by how much the wall clock is behind the newest stamp given out or seen.
func (c *clock) behind() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last.Time().Sub(c.now())
}
