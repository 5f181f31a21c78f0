package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/swarm/frames"
)

var (
	// errFinished ends a stream that the client has closed.
	errFinished = errors.New("closed by the client")
	// errBusy says that no request ended for busyTimeout.
	errBusy = errors.New("too many requests that do not end")
)

// serverStream serves one stream: the goroutine that calls serve reads, one writes, and workers answer requests.
type serverStream struct {
	cfg    *ServerConfig
	work   *workers
	stream network.Stream
	from   peer.ID
	in     *frameReader
	out    *frames.Writer
	slots  chan struct{}       // one element for each request at work
	large  *semaphore.Weighted // bytes of large requests at work

	// ctx ends when the stream does; its cause says why. finish ends it.
	ctx    context.Context
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup // the writer and the requests
}

func newServerStream(cfg *ServerConfig, work *workers, stream network.Stream) *serverStream {
	c := &serverStream{
		cfg:    cfg,
		work:   work,
		stream: stream,
		from:   stream.Conn().RemotePeer(),
		in:     newFrameReader(stream, kindRequest, cfg.MaxMessage),
		out:    frames.NewWriter(stream, stream.Scope()),
		slots:  make(chan struct{}, cfg.MaxInFlight),
		large:  semaphore.NewWeighted(int64(max(maxLargeBytes, cfg.MaxMessage+tracing.ParentSize))),
	}
	c.in.traced = isTraced(stream)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// serve returns when the stream has ended and nothing of it is left.
func (c *serverStream) serve() {
	c.tasks.Go(c.write)
	cause := c.read()
	if errors.Is(cause, errViolation) && c.cfg.Violated != nil {
		c.cfg.Violated(c.from)
	}
	c.finish(cause)
	c.tasks.Wait()
}

// finish ends the stream for the given reason; only the first call counts.
func (c *serverStream) finish(cause error) {
	c.cancel(cause)
	c.out.Stop(context.Cause(c.ctx))
}

// read takes in requests until the stream ends, and says why it did.
func (c *serverStream) read() error {
	for {
		h, err := c.in.header()
		if errors.Is(err, io.EOF) {
			return errFinished
		}
		if err != nil {
			return err
		}
		if err := c.takeSlot(); err != nil {
			return err
		}
		if err := c.takeRequest(h); err != nil {
			<-c.slots
			return err
		}
	}
}

// takeSlot waits until fewer than MaxInFlight requests are at work.
func (c *serverStream) takeSlot() error {
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	limit := time.NewTimer(busyTimeout)
	defer limit.Stop()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-limit.C:
		return errBusy
	}
}

// takeRequest reads a request and has it answered.
func (c *serverStream) takeRequest(h header) error {
	if err := c.takeMemory(h.size); err != nil {
		return err
	}
	request, err := c.in.payload(h)
	if err != nil {
		return err // the end of the stream frees the memory
	}
	j := job{stream: c, id: h.id, size: h.size, request: request}
	if h.kind == kindTraced {
		parent, request, err := cutParent(request)
		if err != nil {
			return err
		}
		j.parent, j.request = &parent, request
	}
	c.tasks.Add(1)
	c.work.do(j)
	return nil
}

// handle answers a request and makes room for the next one.
func (c *serverStream) handle(j job) {
	defer c.tasks.Done()
	defer func() { <-c.slots }()
	ctx := c.ctx
	if j.parent != nil {
		ctx = trace.ContextWithRemoteSpanContext(ctx, *j.parent)
	}
	c.answer(ctx, j.id, j.request)
	c.freeMemory(j.size)
}

// takeMemory waits until the request fits in with the others at work, and accounts for it.
func (c *serverStream) takeMemory(size int) error {
	if size <= frames.TrustedSize {
		return nil
	}
	if !c.large.TryAcquire(int64(size)) {
		ctx, cancel := context.WithTimeoutCause(c.ctx, busyTimeout, errBusy)
		defer cancel()
		if err := c.large.Acquire(ctx, int64(size)); err != nil {
			return context.Cause(ctx)
		}
	}
	if err := c.stream.Scope().ReserveMemory(size, network.ReservationPriorityMedium); err != nil {
		return fmt.Errorf("reserve memory for a request of %d bytes: %w", size, err)
	}
	return nil
}

func (c *serverStream) freeMemory(size int) {
	if size <= frames.TrustedSize {
		return
	}
	c.stream.Scope().ReleaseMemory(size)
	c.large.Release(int64(size))
}

func (c *serverStream) answer(ctx context.Context, id uint64, request []byte) {
	response, err := c.cfg.Handler(ctx, c.from, request)
	switch {
	case c.ctx.Err() != nil:
		return
	case err != nil:
		c.finish(fmt.Errorf("%w: %w", errViolation, err))
		return
	case len(response) > c.cfg.MaxMessage:
		c.cfg.Logger.Error("response over the message limit", "protocol", c.cfg.Protocol,
			"bytes", len(response), "limit", c.cfg.MaxMessage)
		c.finish(ErrTooLarge)
		return
	}
	if _, err := send(c.ctx, c.out, id, kindResponse, response); err != nil {
		c.finish(err)
	}
}

// write writes responses until the stream ends, and then disposes of it, which interrupts read.
func (c *serverStream) write() {
	for c.ctx.Err() == nil {
		select {
		case <-c.out.Wake():
			if err := c.out.Flush(); err != nil {
				c.finish(err)
			}
		case <-c.ctx.Done():
		}
	}
	cause := context.Cause(c.ctx)
	if errors.Is(cause, errFinished) {
		c.stream.Close()
		return
	}
	c.cfg.Logger.Debug("stream reset", "peer", c.from, "protocol", c.cfg.Protocol, "error", cause)
	c.stream.ResetWithError(resetCode(cause))
}

// resetCode tells the peer why its stream is reset.
func resetCode(cause error) network.StreamErrorCode {
	switch {
	case errors.Is(cause, errViolation):
		return network.StreamProtocolViolation
	case errors.Is(cause, errClosing):
		return network.StreamShutdown
	case errors.Is(cause, errBusy):
		return network.StreamRateLimited
	case errors.Is(cause, network.ErrResourceLimitExceeded):
		return network.StreamResourceLimitExceeded
	}
	return network.StreamNoError
}
