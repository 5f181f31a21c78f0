package frames

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink is a stream that takes up to limit bytes and then fails, and that waits for its gate before each write.
type sink struct {
	gate chan struct{} // nil: always open

	mu       sync.Mutex
	taken    []byte    // guarded by mu
	writes   int       // guarded by mu
	limit    int       // guarded by mu; 0: none
	deadline time.Time // guarded by mu
}

var (
	errFull = errors.New("full")
	errEnd  = errors.New("the end")
)

// header is what a protocol may put before a payload.
func header[T int | uint64](id T) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

func (s *sink) Write(b []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !time.Now().Before(s.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	s.writes++
	n := len(b)
	if s.limit > 0 {
		n = min(n, s.limit-len(s.taken))
	}
	s.taken = append(s.taken, b[:n]...)
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func (s *sink) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

// account counts reserved memory.
type account struct {
	mu    sync.Mutex
	used  int // guarded by mu
	limit int
}

func (a *account) ReserveMemory(size int, _ uint8) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used+size > a.limit {
		return errFull
	}
	a.used += size
	return nil
}

func (a *account) ReleaseMemory(size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used -= size
}

func TestWaitingFramesGoOutTogether(t *testing.T) {
	out := &sink{}
	w := NewWriter(out, &account{})
	var want []byte
	for id := range uint64(100) {
		if _, err := w.Send(t.Context(), header(id), []byte("payload")); err != nil {
			t.Fatal(err)
		}
		want = append(append(want, header(id)...), "payload"...)
	}
	if err := w.Flush(); err != nil || out.writes != 1 || !bytes.Equal(out.taken, want) {
		t.Errorf("%d writes of %d bytes, %v; want 1 of %d", out.writes, len(out.taken), err, len(want))
	}
}

// Which frames were taken decides whether a call may be made again.
func TestWroteTellsWhichFramesWereTaken(t *testing.T) {
	const size = 8 + 7
	out := &sink{limit: 2*size + 3}
	w := NewWriter(out, &account{})
	var ends []uint64
	for id := range uint64(3) {
		end, err := w.Send(t.Context(), header(id), []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Fatalf("error %v", err)
	}
	for i, want := range []bool{true, true, false} {
		if got := w.Wrote(ends[i]); got != want {
			t.Errorf("frame %d written: %t, want %t", i, got, want)
		}
	}
}

func TestSendWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWriter(&sink{}, &account{limit: 1 << 30})
		if _, err := w.Send(t.Context(), header(1), make([]byte, maxQueued)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Send(ctx, header(2), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a full queue: error %v", err)
		}
		var wg sync.WaitGroup
		for id := range uint64(3) {
			wg.Go(func() {
				if _, err := w.Send(t.Context(), header(id), nil); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := w.Flush(); err != nil {
			t.Error(err)
		}
		wg.Wait()

		if _, err := w.Send(t.Context(), header(3), make([]byte, maxQueued)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := w.Send(t.Context(), header(4), nil); !errors.Is(err, errEnd) {
				t.Errorf("after stop: error %v", err)
			}
		})
		synctest.Wait()
		w.Stop(errEnd)
		wg.Wait()
	})
}

func TestMemoryIsAccountedUntilItIsWritten(t *testing.T) {
	const large = TrustedSize + 1
	a := &account{limit: 2 * large}
	w := NewWriter(&sink{}, a)
	for id := range uint64(2) {
		if _, err := w.Send(t.Context(), header(id), make([]byte, large)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Send(t.Context(), header(2), make([]byte, large)); !errors.Is(err, errFull) {
		t.Errorf("over the limit: error %v", err)
	}
	if _, err := w.Send(t.Context(), header(3), make([]byte, TrustedSize)); err != nil {
		t.Errorf("small ones are not accounted for: %v", err)
	}
	if a.used != 2*large {
		t.Errorf("%d bytes are reserved, want %d", a.used, 2*large)
	}
	if err := w.Flush(); err != nil || a.used != 0 {
		t.Errorf("%d bytes are still reserved, %v", a.used, err)
	}
}

func TestWritesHaveADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{gate: make(chan struct{})}
		w := NewWriter(out, &account{})
		w.Send(t.Context(), header(1), nil)
		go func() { // the peer reads again too late
			time.Sleep(WriteTimeout + time.Second)
			close(out.gate)
		}()
		if err := w.Flush(); !errors.Is(err, ErrStalled) {
			t.Errorf("error %v, want %v", err, ErrStalled)
		}
	})
	synctest.Test(t, func(t *testing.T) { // each write has most of WriteTimeout, however long ago the last was
		out := &sink{}
		w := NewWriter(out, &account{})
		for id := range uint64(30) {
			w.Send(t.Context(), header(id), nil)
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if left := time.Until(out.deadline); left < WriteTimeout*3/4 {
				t.Errorf("write %d had %s", id, left)
			}
			time.Sleep(time.Duration(id) * time.Second)
		}
	})
}
