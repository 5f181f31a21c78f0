package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	// maxQueued is how many bytes may wait to be written before those who add more have to wait.
	maxQueued = 256 << 10
	// keepQueue is the largest queue whose memory is kept for the next batch.
	keepQueue = 64 << 10
	// writeTimeout is how long a peer may leave what is written unread before the stream is given up. Up to a quarter less counts, so
	// that not every write has to set the deadline.
	writeTimeout = 10 * time.Second
)

// errStalled says that the peer did not read for writeTimeout.
var errStalled = errors.New("the peer does not read")

// outgoing is what a sender needs of a stream.
type outgoing interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// memoryScope accounts for memory; libp2p's stream scopes are such.
type memoryScope interface {
	ReserveMemory(size int, prio uint8) error
	ReleaseMemory(size int)
}

// sender gathers frames from many goroutines and writes them, as many at once as are there. Its owner runs a loop that calls flush whenever
// wake delivers, until stopped is closed.
type sender struct {
	stream  outgoing
	scope   memoryScope
	wake    chan struct{} // capacity 1: frames wait
	stopped chan struct{} // closed by stop

	mu       sync.Mutex
	queue    []byte        // guarded by mu; frames to be written
	reserved int           // guarded by mu; bytes of queue that scope accounts for
	room     chan struct{} // guarded by mu; closed when the queue is taken; nil when nobody waits
	queued   uint64        // guarded by mu; bytes ever queued
	written  uint64        // guarded by mu; bytes ever taken by the stream
	spare    []byte        // guarded by mu; empty, its memory serves the next batch
	deadline time.Time     // guarded by mu; the stream's write deadline
	err      error         // guarded by mu; why nothing is sent any more
}

func newSender(stream outgoing, scope memoryScope) *sender {
	return &sender{stream: stream, scope: scope, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// send queues a frame, waiting for room in the queue until ctx is over. It returns the frame's end as a position in the stream,
// for use with wrote. The payload is not used after send returned.
func (s *sender) send(ctx context.Context, id uint64, k kind, payload []byte) (end uint64, err error) {
	if err := s.lockWithRoom(ctx); err != nil {
		return 0, err
	}
	end, err = s.enqueue(id, k, payload)
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	select {
	case s.wake <- struct{}{}:
	default: // the owner has not taken the last signal yet
	}
	return end, nil
}

// enqueue appends a frame to the queue. mu is held.
func (s *sender) enqueue(id uint64, k kind, payload []byte) (end uint64, err error) {
	if len(payload) > trustedSize {
		if err := s.scope.ReserveMemory(len(payload), network.ReservationPriorityMedium); err != nil {
			return 0, fmt.Errorf("reserve memory for a message of %d bytes: %w", len(payload), err)
		}
		s.reserved += len(payload)
	}
	s.queue = appendFrame(s.queue, id, k, payload)
	s.queued += uint64(headerSize + len(payload))
	return s.queued, nil
}

// lockWithRoom locks mu at a moment when the queue is not full. On error mu is not locked.
func (s *sender) lockWithRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.err != nil {
			defer s.mu.Unlock()
			return s.err
		}
		if len(s.queue) < maxQueued {
			return nil
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// flush writes all that is queued. After an error the stream is of no more use.
func (s *sender) flush() error {
	runtime.Gosched() // goroutines that are about to send do so before, which makes fewer and larger writes
	for {
		batch, reserved := s.take()
		if len(batch) == 0 {
			return nil
		}
		err := s.write(batch)
		if reserved > 0 {
			s.scope.ReleaseMemory(reserved)
		}
		if err != nil {
			return err
		}
		s.reuse(batch)
	}
}

// take empties the queue and lets those in who wait for room.
func (s *sender) take() (batch []byte, reserved int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, reserved = s.queue, s.reserved
	s.queue, s.reserved, s.spare = s.spare, 0, nil
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	return batch, reserved
}

// reuse keeps the memory of a batch that has been written for the next one.
func (s *sender) reuse(batch []byte) {
	if cap(batch) > keepQueue {
		return
	}
	s.mu.Lock()
	s.spare = batch[:0]
	s.mu.Unlock()
}

func (s *sender) write(batch []byte) error {
	if err := s.pushDeadline(); err != nil {
		return err
	}
	n, err := s.stream.Write(batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += uint64(n)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && s.err == nil {
		return fmt.Errorf("%w: %w", errStalled, err)
	}
	return err
}

// pushDeadline gives the next write at least three quarters of writeTimeout.
func (s *sender) pushDeadline() error {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.deadline.Sub(now) >= writeTimeout*3/4 {
		return nil
	}
	s.deadline = now.Add(writeTimeout)
	return s.stream.SetWriteDeadline(s.deadline)
}

// wrote reports whether the stream took the frame that ends at the given position, so that the peer may have received it.
func (s *sender) wrote(end uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written >= end
}

// stop makes every send fail with err from now on, interrupts the write in progress and closes stopped. Only the first call counts.
func (s *sender) stop(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	close(s.stopped)
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	// A stream that doesn't take a deadline is broken already.
	_ = s.stream.SetWriteDeadline(time.Unix(1, 0))
}
