package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/frames"
)

// errIdle ends a stream that was not used for the idle timeout.
var errIdle = errors.New("idle")

// link is a client's stream to a peer with the calls on it. One goroutine reads and one writes; both end when the link fails.
type link struct {
	client *Client
	remote *remote
	stream network.Stream
	traced bool // the server takes traced requests
	out    *frames.Writer

	mu       sync.Mutex
	pending  map[uint64]chan result // guarded by mu; calls without response, by id
	lastID   uint64                 // guarded by mu
	answered bool                   // guarded by mu; the peer has sent something
	lastUse  time.Time              // guarded by mu; when pending last became empty
	draining bool                   // guarded by mu; another link has taken its place
	drained  chan struct{}          // has room for one; gets one when it is draining and no call is pending
	err      error                  // guarded by mu; why the link failed
}

// result ends a call.
type result struct {
	response []byte
	err      error
}

// newLink starts to use a stream. The client is not closed, and its mu is held.
func newLink(c *Client, r *remote, stream network.Stream) *link {
	l := &link{
		client:  c,
		remote:  r,
		stream:  stream,
		traced:  isTraced(stream),
		out:     frames.NewWriter(stream, stream.Scope()),
		pending: make(map[uint64]chan result),
		drained: make(chan struct{}, 1),
		lastUse: time.Now(),
	}
	c.tasks.Go(l.write)
	c.tasks.Go(l.read)
	return l
}

// call sends a request and waits for its response. sent says whether the peer may have got the request.
func (l *link) call(ctx context.Context, request []byte) (response []byte, sent bool, err error) {
	done, ok := l.client.results.Get().(chan result)
	if !ok {
		done = make(chan result, 1)
	}
	defer l.client.results.Put(done)
	id, err := l.register(done)
	if err != nil {
		return nil, false, l.lost(err)
	}
	end, err := l.send(ctx, id, request)
	if err != nil {
		if !l.forget(id) {
			<-done // the link failed meanwhile
		}
		if ctx.Err() != nil {
			return nil, false, abandoned(l.remote.id, ctx.Err())
		}
		return nil, false, l.lost(err)
	}
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		if l.forget(id) {
			return nil, true, abandoned(l.remote.id, ctx.Err())
		}
		r = <-done // it came at the last moment
	}
	if r.err != nil {
		return nil, l.out.Wrote(end), l.lost(r.err)
	}
	return r.response, true, nil
}

// send queues a request.
func (l *link) send(ctx context.Context, id uint64, request []byte) (end uint64, err error) {
	if l.traced {
		if parent := trace.SpanContextFromContext(ctx); parent.IsSampled() {
			return sendTraced(ctx, l.out, id, parent, request)
		}
	}
	return send(ctx, l.out, id, kindRequest, request)
}

// lost is the error of a call on a link that failed with err.
func (l *link) lost(err error) error {
	if errors.Is(err, ErrClosed) {
		return failed(l.remote.id, fault.Unavailable, ErrClosed, nil)
	}
	return failed(l.remote.id, fault.Unavailable, ErrStreamLost, err)
}

// register gives a call an id under which the result will be put into done, exactly once unless forget comes first.
func (l *link) register(done chan result) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	if l.draining {
		return 0, errIdle
	}
	l.lastID++
	l.pending[l.lastID] = done
	return l.lastID, nil
}

// forget abandons a call. It returns false when its result is there already.
func (l *link) forget(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.pending[id]
	l.remove(id)
	return ok
}

// remove takes a call out of pending. mu is held.
func (l *link) remove(id uint64) {
	delete(l.pending, id)
	if len(l.pending) == 0 {
		l.lastUse = time.Now()
		l.tellDrained()
	}
}

// relayed says whether the way to the peer leads through another one.
func (l *link) relayed() bool { return swarm.IsRelayed(l.stream.Conn().RemoteMultiaddr()) }

// drain ends the link once the calls on it have their responses. Those that come too late are made again on another.
func (l *link) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	if len(l.pending) == 0 {
		l.tellDrained()
	}
}

// tellDrained has write end a link that is draining. mu is held, and no call is pending.
func (l *link) tellDrained() {
	if !l.draining {
		return
	}
	select {
	case l.drained <- struct{}{}:
	default:
	}
}

// read hands out responses until the stream ends.
func (l *link) read() {
	in := newFrameReader(l.stream, kindResponse, l.client.cfg.MaxMessage)
	err := l.readOne(in)
	for err == nil {
		err = l.readOne(in)
	}
	if told := l.client.cfg.Violated; told != nil && errors.Is(err, errViolation) {
		told(l.remote.id)
	}
	l.fail(err)
}

func (l *link) readOne(in *frameReader) error {
	h, err := in.header()
	if err != nil {
		return err
	}
	response, err := in.payload(h)
	if err != nil {
		return err
	}
	return l.deliver(h.id, response)
}

// deliver ends a call. Responses to calls that were abandoned are dropped.
func (l *link) deliver(id uint64, response []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == 0 || id > l.lastID {
		return fmt.Errorf("%w: response to call %d, which was not made", errViolation, id)
	}
	l.answered = true
	if done, ok := l.pending[id]; ok {
		l.remove(id)
		done <- result{response: response}
	}
	return nil
}

// write writes requests until the link fails or was idle for too long, and then disposes of the stream, which interrupts read.
func (l *link) write() {
	defer l.dispose()
	idle := time.NewTimer(l.client.cfg.IdleTimeout)
	defer idle.Stop()
	for {
		select {
		case <-l.out.Wake():
			if err := l.out.Flush(); err != nil {
				l.fail(err)
			}
		case now := <-idle.C:
			rest := l.idleLeft(now)
			if rest <= 0 {
				l.retire(now)
			}
			idle.Reset(max(rest, 0))
		case <-l.drained:
			l.fail(errIdle)
		case <-l.out.Stopped():
			return
		}
	}
}

// idleLeft returns for how long the link may stay unused from now on.
func (l *link) idleLeft(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > 0 {
		return l.client.cfg.IdleTimeout
	}
	return l.client.cfg.IdleTimeout - now.Sub(l.lastUse)
}

// retire fails the link, unless it came into use before the client could be told to open another; it then serves that use, and is retired
// later. Calls that come between the check and the failure were not written, as write is the one who is here, and are made again.
func (l *link) retire(now time.Time) {
	l.client.drop(l)
	if l.idleLeft(now) <= 0 {
		l.fail(errIdle)
	}
}

// fail ends the link and every call on it. Only the first call counts.
func (l *link) fail(err error) {
	l.client.drop(l)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	for id, done := range l.pending {
		delete(l.pending, id)
		done <- result{err: err}
	}
	l.out.Stop(err)
}

// dispose frees the stream. It may have to wait until the connection takes a message.
func (l *link) dispose() {
	l.mu.Lock()
	err, answered := l.err, l.answered
	l.mu.Unlock()
	// Close waits for the protocol negotiation, which a peer that never answers would hold up.
	if errors.Is(err, errIdle) && answered {
		l.stream.Close()
		return
	}
	l.client.cfg.Logger.Debug("stream reset", "peer", l.remote.id, "protocol", l.client.cfg.Protocol, "error", err)
	code := network.StreamNoError
	if errors.Is(err, errViolation) {
		code = network.StreamProtocolViolation
	}
	l.stream.ResetWithError(code)
}
