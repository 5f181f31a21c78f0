// Package allowance bounds what each of many may cause: so much a second, and so much at once after a pause.
package allowance

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// sweepPause is the least time between two looks for those that need not be counted any more: what a look costs must not depend on how often strangers come.
const sweepPause = time.Second

// Each bounds what each of those that are told apart by a key may cause. Its methods may be called from many goroutines.
type Each[K comparable] struct {
	limit rate.Limit
	burst int
	most  int

	mu    sync.Mutex
	of    map[K]*rate.Limiter // guarded by mu
	swept time.Time           // guarded by mu
}

// New returns one that allows each a burst at once, and limit a second. It counts most keys apart; while that many are counted, others are refused.
func New[K comparable](limit rate.Limit, burst, most int) *Each[K] {
	return &Each[K]{limit: limit, burst: burst, most: most, of: make(map[K]*rate.Limiter)}
}

// Allow tells whether one more is within the allowance of a key now, and counts it.
func (e *Each[K]) Allow(key K, now time.Time) bool { return e.AllowN(key, now, 1) }

// AllowN is Allow for n at once: all or nothing.
func (e *Each[K]) AllowN(key K, now time.Time, n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.of[key]
	if l == nil {
		if len(e.of) >= e.most {
			e.sweep(now)
		}
		if len(e.of) >= e.most {
			return false
		}
		l = rate.NewLimiter(e.limit, e.burst)
		e.of[key] = l
	}
	return l.AllowN(now, n)
}

// Len returns how many are counted apart.
func (e *Each[K]) Len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.of)
}

// Sweep forgets those that have their whole allowance again, unless it did so a moment before. Allow does that by itself when there are too many.
func (e *Each[K]) Sweep(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(now)
}

func (e *Each[K]) sweep(now time.Time) {
	if now.Sub(e.swept) < sweepPause {
		return
	}
	e.swept = now
	for key, l := range e.of {
		if l.TokensAt(now) >= float64(e.burst) {
			delete(e.of, key)
		}
	}
}
