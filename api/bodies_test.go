package api

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"
)

func TestBodiesFollowTheMemory(t *testing.T) {
	for memory, want := range map[int64]int64{0: 64 << 20, 64 << 20: 8 << 20, 1 << 30: 64 << 20, 64 << 30: 256 << 20} {
		b := newBodies(memory)
		if !b.room.TryAcquire(want) || b.room.TryAcquire(1) {
			t.Errorf("with %d bytes of memory the room is not %d", memory, want)
		}
	}
}

// A body waits for others to end, as long as its request may.
func TestBodiesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bodies{semaphore.NewWeighted(maxBody + 1)}
		request := func(size int64, patience time.Duration) *http.Request {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			return (&http.Request{ContentLength: size}).WithContext(ctx)
		}
		leave, p := b.enter(request(-1, time.Second)) // of unknown size
		if p != nil {
			t.Fatal(p)
		}
		small, p := b.enter(request(1, time.Second))
		if p != nil {
			t.Fatal(p)
		}
		none, p := b.enter(request(0, time.Second)) // needs no room
		if p != nil {
			t.Fatal(p)
		}
		none()
		began := time.Now()
		if _, p := b.enter(request(2, time.Second)); p == nil || p.Status != http.StatusServiceUnavailable || time.Since(began) != time.Second {
			t.Errorf("after %s: %v", time.Since(began), p)
		}
		time.AfterFunc(time.Second, leave)
		if leave, p = b.enter(request(2, time.Minute)); p != nil || time.Since(began) != 2*time.Second {
			t.Errorf("after %s: %v", time.Since(began), p)
		}
		leave()
		small()
	})
}
