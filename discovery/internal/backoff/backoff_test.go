package backoff

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelayGrowsToItsLimit(t *testing.T) {
	const base, limit = time.Second, 10 * time.Second
	almostOne := math.Nextafter(1, 0)
	for earlier, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		want *= time.Second
		if got := Delay(base, limit, earlier, 0); got != want {
			t.Errorf("delay %d without jitter is %v, want %v", earlier, got, want)
		}
		if got := Delay(base, limit, earlier, almostOne); got < want+want/3 || got > want+want/2 {
			t.Errorf("delay %d with full jitter is %v, want nearly %v", earlier, got, want+want/2)
		}
	}
	if got := Delay(base, limit, math.MaxInt, 0); got != limit {
		t.Errorf("after very many failures the delay is %v, want %v", got, limit)
	}
}

func TestBackoffStartsAgainAfterReset(t *testing.T) {
	b := Backoff{Base: time.Second, Limit: time.Hour}
	for range 5 {
		b.Next()
	}
	if d := b.Next(); d < 32*time.Second {
		t.Errorf("sixth delay is %v, want at least 32s", d)
	}
	b.Reset()
	if d := b.Next(); d >= 2*time.Second {
		t.Errorf("first delay after Reset is %v, want under 2s", d)
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if !Sleep(ctx, time.Second) {
			t.Error("Sleep did not wait though its context lived")
		}
		start := time.Now()
		if Sleep(ctx, time.Hour) {
			t.Error("Sleep outlived its context")
		}
		if d := time.Since(start); d != 59*time.Second {
			t.Errorf("Sleep returned after %v, want 59s", d)
		}
	})
}
