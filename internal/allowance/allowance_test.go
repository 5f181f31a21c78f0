package allowance

import (
	"testing"
	"time"
)

// TestEach: a burst at once, then as much as comes back; a bound on how many are counted, which those make room for that have their whole allowance again, and no others.
func TestEach(t *testing.T) {
	now := time.Unix(0, 0)
	e := New[int](2, 4, 3)
	allowed := func(key, times int, at time.Time) (n int) {
		for range times {
			if e.Allow(key, at) {
				n++
			}
		}
		return n
	}
	if got := allowed(1, 10, now); got != 4 {
		t.Errorf("%d at once, want 4", got)
	}
	if got := allowed(1, 10, now.Add(time.Second)); got != 2 {
		t.Errorf("%d a second later, want 2", got)
	}
	now = now.Add(time.Second)
	if allowed(2, 1, now) != 1 || allowed(3, 1, now) != 1 || allowed(4, 1, now) != 0 {
		t.Error("want room for three")
	}
	if got := allowed(4, 1, now.Add(500*time.Millisecond)); got != 0 {
		t.Error("it looked again so soon")
	}
	now = now.Add(time.Second) // 2 and 3 have all of theirs again, 1 has not
	if got := allowed(4, 1, now); got != 1 || e.Len() != 2 {
		t.Errorf("allowed %d, and %d are counted, want 1 and 2", got, e.Len())
	}
	if e.Sweep(now.Add(time.Minute)); e.Len() != 0 {
		t.Errorf("%d are counted after a pause", e.Len())
	}
}
