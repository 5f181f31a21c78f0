package replica

import (
	"context"
	"slices"
	"time"
)

// pause is a submission that came too early and waits for its next try.
type pause struct {
	until time.Time
	s     *Submission
}

// later has a submission tried again that came too early, at first at once, while r.mu is held.
func (r *Replica) later(s *Submission) {
	if s.early++; s.early == 1 {
		r.again(s)
		return
	}
	s.trail.enter(stagePause)
	r.pauses = append(r.pauses, pause{time.Now().Add(earlyPause << (s.early - 2)), s})
	select {
	case r.paused <- struct{}{}:
	default:
	}
}

// resume puts what has paused into the queue again, until ctx ends.
func (r *Replica) resume(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.paused:
		case <-timer.C:
		}
		if wait, any := r.resumeDue(); any {
			timer.Reset(wait)
		}
	}
}

// resumeDue puts back what has paused for long enough, and returns how long the next one pauses, if any does.
func (r *Replica) resumeDue() (wait time.Duration, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.pauses = slices.DeleteFunc(r.pauses, func(p pause) bool {
		left := p.until.Sub(now)
		switch {
		case !slices.Contains(r.pending[p.s.ID], p.s): // it is over meanwhile
			return true
		case left <= 0:
			r.again(p.s)
			return true
		case !any || left < wait:
			wait, any = left, true
		}
		return false
	})
	return wait, any
}
