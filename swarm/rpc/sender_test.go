package rpc

import (
	"bytes"
	"context"
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

var errFull = errors.New("full")

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
	s := newSender(out, &account{})
	var want []byte
	for id := range uint64(100) {
		if _, err := s.send(t.Context(), id, kindRequest, []byte("payload")); err != nil {
			t.Fatal(err)
		}
		want = appendFrame(want, id, kindRequest, []byte("payload"))
	}
	if err := s.flush(); err != nil || out.writes != 1 || !bytes.Equal(out.taken, want) {
		t.Errorf("%d writes of %d bytes, %v; want 1 of %d", out.writes, len(out.taken), err, len(want))
	}
}

// Which frames were taken decides whether a call may be made again.
func TestWroteTellsWhichFramesWereTaken(t *testing.T) {
	const size = headerSize + 7
	out := &sink{limit: 2*size + 3}
	s := newSender(out, &account{})
	var ends []uint64
	for id := range uint64(3) {
		end, err := s.send(t.Context(), id, kindRequest, []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	if err := s.flush(); !errors.Is(err, errFull) {
		t.Fatalf("error %v", err)
	}
	for i, want := range []bool{true, true, false} {
		if got := s.wrote(ends[i]); got != want {
			t.Errorf("frame %d written: %t, want %t", i, got, want)
		}
	}
}

func TestSendWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSender(&sink{}, &account{limit: 1 << 30})
		if _, err := s.send(t.Context(), 1, kindRequest, make([]byte, maxQueued)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.send(ctx, 2, kindRequest, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a full queue: error %v", err)
		}
		var wg sync.WaitGroup
		for id := range uint64(3) {
			wg.Go(func() {
				if _, err := s.send(t.Context(), id, kindRequest, nil); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := s.flush(); err != nil {
			t.Error(err)
		}
		wg.Wait()

		if _, err := s.send(t.Context(), 3, kindRequest, make([]byte, maxQueued)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := s.send(t.Context(), 4, kindRequest, nil); !errors.Is(err, errIdle) {
				t.Errorf("after stop: error %v", err)
			}
		})
		synctest.Wait()
		s.stop(errIdle)
		wg.Wait()
	})
}

func TestMemoryIsAccountedUntilItIsWritten(t *testing.T) {
	const large = trustedSize + 1
	a := &account{limit: 2 * large}
	s := newSender(&sink{}, a)
	for id := range uint64(2) {
		if _, err := s.send(t.Context(), id, kindRequest, make([]byte, large)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.send(t.Context(), 2, kindRequest, make([]byte, large)); !errors.Is(err, errFull) {
		t.Errorf("over the limit: error %v", err)
	}
	if _, err := s.send(t.Context(), 3, kindRequest, make([]byte, trustedSize)); err != nil {
		t.Errorf("small ones are not accounted for: %v", err)
	}
	if a.used != 2*large {
		t.Errorf("%d bytes are reserved, want %d", a.used, 2*large)
	}
	if err := s.flush(); err != nil || a.used != 0 {
		t.Errorf("%d bytes are still reserved, %v", a.used, err)
	}
}

func TestWritesHaveADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{gate: make(chan struct{})}
		s := newSender(out, &account{})
		s.send(t.Context(), 1, kindRequest, nil)
		go func() { // the peer reads again too late
			time.Sleep(writeTimeout + time.Second)
			close(out.gate)
		}()
		if err := s.flush(); !errors.Is(err, errStalled) {
			t.Errorf("error %v, want %v", err, errStalled)
		}
	})
	synctest.Test(t, func(t *testing.T) { // each write has most of writeTimeout, however long ago the last was
		out := &sink{}
		s := newSender(out, &account{})
		for id := range uint64(30) {
			s.send(t.Context(), id, kindRequest, nil)
			if err := s.flush(); err != nil {
				t.Fatal(err)
			}
			if left := time.Until(out.deadline); left < writeTimeout*3/4 {
				t.Errorf("write %d had %s", id, left)
			}
			time.Sleep(time.Duration(id) * time.Second)
		}
	})
}
