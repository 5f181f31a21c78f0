package bulk

import (
	"context"
	"sync"
)

// maxAhead is how many lines may be done beyond the oldest one that is not.
const maxAhead = 16 << 10

// Progress is how far an import has come: every line before At is dealt with.
type Progress struct {
	At      Position
	Records int64 // records stored
	Bytes   int64 // bytes of their keys and values
	Skipped int64 // bad lines left out
}

// window keeps the lines under way in order, to know up to where everything is done.
type window struct {
	room chan struct{} // a token for each line in pending

	mu      sync.Mutex
	pending []*slot  // guarded by mu; oldest first
	done    Progress // guarded by mu
}

// slot is a line under way.
type slot struct {
	at    Position // behind the line
	bytes int64
	state slotState // guarded by the window's mu
}

type slotState uint8

const (
	underWay slotState = iota
	stored
	skipped
)

func newWindow(from Progress) *window {
	return &window{room: make(chan struct{}, maxAhead), done: from}
}

// add opens a slot for a line, after waiting for room. It returns nil when ctx ends first.
func (w *window) add(ctx context.Context, at Position, bytes int64) *slot {
	select {
	case w.room <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	s := &slot{at: at, bytes: bytes}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, s)
	return s
}

// settle says what became of a slot.
func (w *window) settle(s *slot, state slotState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.state = state
	for len(w.pending) > 0 && w.pending[0].state != underWay {
		first := w.pending[0]
		w.pending = w.pending[1:]
		w.done.At = first.at
		if first.state == stored {
			w.done.Records++
			w.done.Bytes += first.bytes
		} else {
			w.done.Skipped++
		}
		<-w.room
	}
}

// progress returns how far everything is done.
func (w *window) progress() Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}
