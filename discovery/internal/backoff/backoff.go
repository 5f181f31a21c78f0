// Package backoff spaces repeated attempts: growing, bounded and jittered delays, so that many nodes that fail at the
// same moment don't try again at the same moment.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Delay returns how long to wait after the given number of earlier delays in a row: base doubled that many times, at
// most limit, and then stretched by up to a half as random, in [0, 1), says. The result is in [base, 1.5*limit).
func Delay(base, limit time.Duration, earlier int, random float64) time.Duration {
	d := base
	for range earlier {
		if d >= limit {
			break
		}
		d *= 2
	}
	d = min(d, limit)
	return d + time.Duration(random*float64(d)/2)
}

// A Backoff hands out delays that grow from Base to Limit. It is for one goroutine.
type Backoff struct {
	Base, Limit time.Duration
	earlier     int
}

// Next returns the next delay.
func (b *Backoff) Next() time.Duration {
	d := Delay(b.Base, b.Limit, b.earlier, rand.Float64())
	b.earlier++
	return d
}

// Reset makes the next delay the first again.
func (b *Backoff) Reset() { b.earlier = 0 }

// Jitter returns d stretched by up to a quarter.
func Jitter(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*float64(d)/4)
}

// Sleep waits for d and returns whether it passed before ctx ended.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
