package machine

import (
	"context"
	"runtime/debug"
	"testing"
	"testing/synctest"
)

func TestNextPercent(t *testing.T) {
	const gib = 1 << 30
	for name, tt := range map[string]struct {
		percent      int
		cycles, live uint64
		want         int
	}{
		"idle":                          {usualPercent, 0, gib / 100, usualPercent},
		"between":                       {usualPercent, 1, gib / 100, usualPercent},
		"becomes busy":                  {usualPercent, 2, gib / 100, busyPercent},
		"stays busy with a third":       {busyPercent, 1, gib / 100, busyPercent},
		"becomes quiet":                 {busyPercent, 0, gib / 100, usualPercent},
		"busy, and too large":           {usualPercent, 50, gib / 30, usualPercent},
		"has become too large":          {busyPercent, 5, gib / 30, usualPercent},
		"as large as it may be to grow": {usualPercent, 5, gib / 33, busyPercent},
	} {
		if got := nextPercent(tt.percent, tt.cycles, tt.live, gib); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

// TestTuneCollector: the collector is as before when the tuning ends.
func TestTuneCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := debug.SetGCPercent(77)
		defer debug.SetGCPercent(before)
		ctx, cancel := context.WithTimeout(t.Context(), 5*tuneInterval)
		defer cancel()
		TuneCollector(ctx, 0)
		if got := debug.SetGCPercent(77); got != 77 {
			t.Errorf("got %d, want 77", got)
		}
	})
}
