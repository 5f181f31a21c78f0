package gate

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm/frames"
)

// maxSending is how many messages to one peer may be on their way to its streams; more are refused.
const maxSending = maxOut + maxWaiting

// pipe is the stream to a peer for the messages of one class, as long as a session lasts.
type pipe struct {
	class class
	ended chan struct{} // of the session
	ready chan struct{} // closed when it is open, or could not be opened
	// What follows does not change any more when ready is closed.
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
	p, fresh := m.pipe(channels[n].class)
	g.mu.Unlock()
	release := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		m.sending--
	}
	if fresh {
		g.open(ctx, to, m, p)
	}
	if err := p.wait(ctx); err != nil {
		release()
		return nil, err
	}
	limit := min(channels[n].limit, g.cfg.MaxMessage) + binary.MaxVarintLen64
	return &sending{virtual: virtual{p.raw, ps[0]}, ctx: ctx, pipe: p, channel: n, limit: limit, release: release}, nil
}

// pipe returns the pipe of a class, and whether it is a new one, which the caller must open. The gate's mu is held, and there is a session.
func (m *member) pipe(c class) (p *pipe, fresh bool) {
	if p := m.pipes[c]; p != nil {
		return p, false
	}
	p = &pipe{class: c, ended: m.ended, ready: make(chan struct{})}
	m.pipes[c] = p
	return p, true
}

// wait waits until the pipe is open.
func (p *pipe) wait(ctx context.Context) error {
	select {
	case <-p.ready:
		return p.err
	default:
	}
	select {
	case <-p.ready:
		return p.err
	case <-p.ended:
		return errNoSession
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open opens a new pipe. When that fails, the next message makes another attempt.
func (g *Gate) open(ctx context.Context, to peer.ID, m *member, p *pipe) {
	defer close(p.ready)
	raw, err := g.Host.NewStream(network.WithNoDial(ctx, "the node makes the connections"), to, g.classProtocol(p.class))
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
	g.tasks.Add(2)
	go g.carry(to, m, p)
	go g.notice(p)
}

// notice waits for the end of a pipe's stream.
func (g *Gate) notice(p *pipe) {
	defer g.tasks.Done()
	_, err := p.raw.Read(make([]byte, 1))
	if err == nil {
		err = fault.New(fault.Invalid, "an answer that nobody asked for")
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
		case <-p.out.Stopped():
			err = errNoSession
		}
	}
	p.out.Stop(err)
	_ = p.raw.Reset()
	g.mu.Lock()
	delete(m.streams, p.raw)
	g.mu.Unlock()
	g.broken(to, m, p, err)
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
