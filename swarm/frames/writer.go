package frames

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	// maxQueued is how many bytes may wait to be written before those who add more have to wait.
	maxQueued = 256 << 10
	// keepQueue is the largest queue whose memory is kept for the next batch.
	keepQueue = 64 << 10
	// TrustedSize is the largest payload that is not accounted for with libp2p's resource manager, and the most memory that Read sets aside before any of a payload has arrived.
	TrustedSize = 64 << 10
	// WriteTimeout is how long a peer may leave what is written unread before the stream is given up. Up to a quarter less counts, so
	// that not every write has to set the deadline.
	WriteTimeout = 10 * time.Second
)

var (
	// ErrStalled says that the peer did not read for WriteTimeout.
	ErrStalled = errors.New("the peer does not read")
	// ErrFinished says that a writer takes nothing more, though it writes what it has.
	ErrFinished = errors.New("the stream takes nothing more")
)

// outgoing is what a Writer needs of a stream.
type outgoing interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// memoryScope accounts for memory; libp2p's stream scopes are such.
type memoryScope interface {
	ReserveMemory(size int, prio uint8) error
	ReleaseMemory(size int)
}

// A Writer gathers frames from many goroutines and writes them, as many at once as are there. Its owner runs a loop that calls Flush whenever
// Wake delivers, until Stopped is closed.
type Writer struct {
	stream  outgoing
	scope   memoryScope
	wake    chan struct{} // capacity 1: frames wait
	stopped chan struct{} // closed by Stop

	mu       sync.Mutex
	queue    []byte        // guarded by mu; frames to be written
	reserved int           // guarded by mu; bytes of queue that scope accounts for
	room     chan struct{} // guarded by mu; closed when the queue is taken; nil when nobody waits
	queued   uint64        // guarded by mu; bytes ever queued
	written  uint64        // guarded by mu; bytes ever taken by the stream
	spare    []byte        // guarded by mu; empty, its memory serves the next batch
	deadline time.Time     // guarded by mu; the stream's write deadline
	finished bool          // guarded by mu; only what is queued is written
	err      error         // guarded by mu; why nothing is sent any more
}

// NewWriter returns a writer for a stream whose memory is accounted for with scope. At most maxQueued bytes wait in it, and one frame more.
func NewWriter(stream outgoing, scope memoryScope) *Writer {
	return &Writer{stream: stream, scope: scope, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// Wake delivers when frames wait for Flush.
func (w *Writer) Wake() <-chan struct{} { return w.wake }

// Stopped is closed by Stop.
func (w *Writer) Stopped() <-chan struct{} { return w.stopped }

// Send queues a frame, waiting for room in the queue until ctx is over. It returns the frame's end as a position in the stream,
// for use with Wrote. Neither part of the frame is used after Send returned.
func (w *Writer) Send(ctx context.Context, header, payload []byte) (end uint64, err error) {
	if err := w.lockWithRoom(ctx); err != nil {
		return 0, err
	}
	end, err = w.enqueue(header, payload)
	w.mu.Unlock()
	if err != nil {
		return 0, err
	}
	select {
	case w.wake <- struct{}{}:
	default: // the owner has not taken the last signal yet
	}
	return end, nil
}

// enqueue appends a frame to the queue. mu is held.
func (w *Writer) enqueue(header, payload []byte) (end uint64, err error) {
	if len(payload) > TrustedSize {
		if err := w.scope.ReserveMemory(len(payload), network.ReservationPriorityMedium); err != nil {
			return 0, fmt.Errorf("reserve memory for a message of %d bytes: %w", len(payload), err)
		}
		w.reserved += len(payload)
	}
	w.queue = append(append(slices.Grow(w.queue, len(header)+len(payload)), header...), payload...)
	w.queued += uint64(len(header) + len(payload))
	return w.queued, nil
}

// lockWithRoom locks mu at a moment when the queue is not full. On error mu is not locked.
func (w *Writer) lockWithRoom(ctx context.Context) error {
	for {
		w.mu.Lock()
		if w.err != nil {
			defer w.mu.Unlock()
			return w.err
		}
		if w.finished {
			defer w.mu.Unlock()
			return ErrFinished
		}
		if len(w.queue) < maxQueued {
			return nil
		}
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Flush writes all that is queued. After an error the stream is of no more use.
func (w *Writer) Flush() error {
	runtime.Gosched() // goroutines that are about to send do so before, which makes fewer and larger writes
	for {
		batch, reserved := w.take()
		if len(batch) == 0 {
			return nil
		}
		err := w.write(batch)
		if reserved > 0 {
			w.scope.ReleaseMemory(reserved)
		}
		if err != nil {
			return err
		}
		w.reuse(batch)
	}
}

// take empties the queue and lets those in who wait for room.
func (w *Writer) take() (batch []byte, reserved int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, reserved = w.queue, w.reserved
	w.queue, w.reserved, w.spare = w.spare, 0, nil
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	return batch, reserved
}

// reuse keeps the memory of a batch that has been written for the next one.
func (w *Writer) reuse(batch []byte) {
	if cap(batch) > keepQueue {
		return
	}
	w.mu.Lock()
	w.spare = batch[:0]
	w.mu.Unlock()
}

func (w *Writer) write(batch []byte) error {
	if err := w.pushDeadline(); err != nil {
		return err
	}
	n, err := w.stream.Write(batch)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written += uint64(n)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && w.err == nil {
		return fmt.Errorf("%w: %w", ErrStalled, err)
	}
	return err
}

// pushDeadline gives the next write at least three quarters of WriteTimeout.
func (w *Writer) pushDeadline() error {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if w.deadline.Sub(now) >= WriteTimeout*3/4 {
		return nil
	}
	w.deadline = now.Add(WriteTimeout)
	return w.stream.SetWriteDeadline(w.deadline)
}

// Wrote reports whether the stream took the frame that ends at the given position, so that the peer may have received it.
func (w *Writer) Wrote(end uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written >= end
}

// Err returns the error that Stop was called with, nil before.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Finish makes every Send fail with ErrFinished from now on. What is queued is still written by Flush, all of it by one that begins afterwards.
func (w *Writer) Finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished = true
}

// Stop makes every Send fail with err from now on, interrupts the write in progress and closes Stopped. Only the first call counts.
func (w *Writer) Stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = err
	close(w.stopped)
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	// A stream that doesn't take a deadline is broken already.
	_ = w.stream.SetWriteDeadline(time.Unix(1, 0))
}
