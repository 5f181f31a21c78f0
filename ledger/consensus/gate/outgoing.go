package gate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/frames"
)

// maxSending is how many messages to one peer may be on their way to its streams; more are refused.
const maxSending = maxOut + maxWaiting

// errMoved ends a pipe that another one takes over from.
var errMoved = errors.New("moved to a direct connection")

// pipe is the stream to a peer for the messages of one class, as long as a session lasts, or until it moves to another connection.
type pipe struct {
	class class
	ended chan struct{}   // of the session
	ready chan struct{}   // closed when it is open, or could not be opened
	after <-chan struct{} // closed when the peer has all of the pipe before; nil where there was none
	move  chan struct{}   // closed when another pipe is to take over
	gone  chan struct{}   // closed when nothing more comes out of it
	// What follows does not change any more when ready is closed. It is written while the gate's mu is held.
	err error // why it could not be opened
	raw network.Stream
	out *frames.Writer
}

// NewStream returns a stream for one message to a peer that there is a session with. It waits while the peer's are being opened, and where the peer is of the previous release, while too many are open.
func (g *Gate) NewStream(ctx context.Context, to peer.ID, ps ...protocol.ID) (network.Stream, error) {
	if len(ps) != 1 || channel(ps[0]) == "" {
		return nil, fmt.Errorf("open a stream for %v: %w", ps, errNotOurs)
	}
	if !g.cfg.Allowed(to) {
		return nil, fault.New(fault.Forbidden, "not a member")
	}
	g.mu.Lock()
	m := g.members[to]
	if g.closed || m == nil || len(m.sessions) == 0 {
		g.mu.Unlock()
		return nil, errNoSession
	}
	n, ok := number(ps[0])
	if !m.frames || !ok {
		g.mu.Unlock()
		return g.newSingleStream(ctx, to, ps[0])
	}
	if m.sending >= maxSending {
		g.mu.Unlock()
		return nil, errBusy
	}
	m.sending++
	g.mu.Unlock()
	release := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		m.sending--
	}
	again := func() (*pipe, error) { return g.pipeTo(ctx, to, m, channels[n].class) }
	p, err := again()
	if err != nil {
		release()
		return nil, err
	}
	limit := min(channels[n].limit, g.cfg.MaxMessage) + binary.MaxVarintLen64
	return &sending{virtual: virtual{p.raw, ps[0]}, ctx: ctx, pipe: p, again: again, channel: n, limit: limit, release: release}, nil
}

// pipeTo returns the pipe of a class to a peer that there is a session with, and opens it where it is not open.
func (g *Gate) pipeTo(ctx context.Context, to peer.ID, m *member, c class) (*pipe, error) {
	g.mu.Lock()
	if g.closed || len(m.sessions) == 0 {
		g.mu.Unlock()
		return nil, errNoSession
	}
	p, fresh := m.pipe(c)
	g.mu.Unlock()
	if fresh {
		g.open(ctx, to, m, p)
	}
	return p, p.wait(ctx)
}

// pipe returns the pipe of a class, and whether it is a new one, which the caller must open. The gate's mu is held, and there is a session.
func (m *member) pipe(c class) (p *pipe, fresh bool) {
	if p := m.pipes[c]; p != nil {
		return p, false
	}
	p = &pipe{class: c, ended: m.ended, ready: make(chan struct{}), after: m.moving[c], move: make(chan struct{}), gone: make(chan struct{})}
	m.pipes[c] = p
	return p, true
}

// movePipes has new pipes take over from those over relayed connections, when there is a session over a direct one. A pipe that is being opened calls it by itself. The gate's mu is held.
func (m *member) movePipes() {
	if !m.direct() {
		return
	}
	for c, p := range m.pipes {
		if p.raw == nil || !swarm.IsRelayed(p.raw.Conn().RemoteMultiaddr()) {
			continue
		}
		delete(m.pipes, c)
		m.moving[c] = p.gone
		close(p.move)
	}
}

// direct says whether there is a session over a direct connection. The gate's mu is held.
func (m *member) direct() bool {
	for s := range m.sessions {
		if !swarm.IsRelayed(s.Conn().RemoteMultiaddr()) {
			return true
		}
	}
	return false
}

// moves says whether another pipe is to take over.
func (p *pipe) moves() bool {
	select {
	case <-p.move:
		return true
	default:
		return false
	}
}

// wait waits until the pipe is open.
func (p *pipe) wait(ctx context.Context) error {
	if err := p.until(ctx, p.ready); err != nil {
		return err
	}
	return p.err
}

// until waits until a channel is closed, as long as the session lasts.
func (p *pipe) until(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-p.ended:
		return errNoSession
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open opens a new pipe. When that fails, the next message makes another attempt.
func (g *Gate) open(ctx context.Context, to peer.ID, m *member, p *pipe) {
	defer close(p.ready)
	var raw network.Stream
	var err error
	if p.after != nil { // so that messages keep their order
		err = p.until(ctx, p.after)
	}
	if err == nil {
		raw, err = g.Host.NewStream(network.WithNoDial(ctx, "the node makes the connections"), to, g.classProtocol(p.class))
	}
	if err == nil {
		err = raw.Scope().SetService(ServiceName)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil && (g.closed || m.pipes[p.class] != p) {
		err = errNoSession
	}
	if err != nil {
		if raw != nil {
			_ = raw.Reset()
		}
		if m.pipes[p.class] == p {
			delete(m.pipes, p.class)
		}
		p.err = fmt.Errorf("open the stream for %s: %w", p.class, err)
		return
	}
	p.raw, p.out = raw, frames.NewWriter(raw, raw.Scope())
	_, p.err = p.out.Send(ctx, g.instance[:], nil) // the first, so that it need not wait
	m.streams[raw] = struct{}{}
	m.movePipes() // the direct connection may have come meanwhile
	g.tasks.Add(2)
	go g.carry(to, m, p)
	go g.notice(p)
}

// notice waits for the end of a pipe's stream. The peer ends it properly when it has read to its end, which it comes to when the pipe moves. No other end is errMoved: whoever sends then waits for the pipe that takes over.
func (g *Gate) notice(p *pipe) {
	defer g.tasks.Done()
	_, err := p.raw.Read(make([]byte, 1))
	switch {
	case err == nil:
		err = fault.New(fault.Invalid, "an answer that nobody asked for")
	case errors.Is(err, io.EOF) && p.moves():
		err = errMoved
	}
	p.out.Stop(err)
}

// carry writes what is sent through a pipe until its stream breaks or the session ends.
func (g *Gate) carry(to peer.ID, m *member, p *pipe) {
	defer g.tasks.Done()
	var err error
	for err == nil {
		select {
		case <-p.out.Wake():
			err = p.out.Flush()
		case <-p.move:
			err = p.finish()
		case <-p.out.Stopped():
			err = errNoSession
		}
	}
	p.out.Stop(err)
	_ = p.raw.Reset()
	g.mu.Lock()
	delete(m.streams, p.raw)
	g.mu.Unlock()
	close(p.gone)
	if !errors.Is(err, errMoved) {
		g.broken(to, m, p, err)
	}
}

// finish writes what is left and waits until the peer has read it all. The error is errMoved when it has.
func (p *pipe) finish() error {
	p.out.Finish()
	if err := p.out.Flush(); err != nil {
		return err
	}
	if err := p.raw.CloseWrite(); err != nil {
		return err
	}
	limit := time.NewTimer(helloTime)
	defer limit.Stop()
	select {
	case <-p.out.Stopped():
		return p.out.Err()
	case <-limit.C:
		return frames.ErrStalled
	}
}

// broken ends the session whose pipe broke: messages are lost, which CometBFT does not send again as long as it believes that the peer has them.
func (g *Gate) broken(to peer.ID, m *member, p *pipe, reason error) {
	g.entering.Lock()
	defer g.entering.Unlock()
	select {
	case <-p.ended: // that is why
		return
	default:
	}
	g.cfg.Logger.Debug("ledger: the session ends, as a stream broke", "peer", to, "messages", p.class, "reason", reason)
	if g.drop(to, restTime) {
		g.cfg.Left(to)
	}
}
