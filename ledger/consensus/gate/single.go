package gate

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
)

// The release before this one has a stream for each message, which is also understood, and spoken with peers of that release.

// receive hands a stream to CometBFT, if its sender may take part and keeps to the bounds.
func (g *Gate) receive(p protocol.ID, raw network.Stream, h network.StreamHandler) {
	s, err := g.admit(p, raw)
	if err != nil {
		g.cfg.Logger.Debug("ledger: stream refused", "peer", raw.Conn().RemotePeer(), "protocol", p, "reason", err)
		_ = raw.Reset()
		return
	}
	defer g.tasks.Done()
	defer s.finish() // CometBFT has read it by then, or never will
	epoch, n, err := readHeader(raw)
	if err != nil {
		return
	}
	if s.lane != nil {
		s.lane.await(epoch, n)
		defer s.lane.passed(epoch, n)
	}
	h(s)
}

func (g *Gate) admit(p protocol.ID, raw network.Stream) (*stream, error) {
	from := raw.Conn().RemotePeer()
	if !g.cfg.Allowed(from) {
		return nil, fault.New(fault.Forbidden, "not a member")
	}
	if err := prepare(raw); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.members[from]
	switch {
	case g.closed || m == nil || len(m.sessions) == 0:
		return nil, errNoSession
	case m.in >= maxIn:
		return nil, errBusy
	}
	m.in++
	g.tasks.Add(1)
	s := &stream{Stream: raw, protocol: p, limit: g.cfg.MaxMessage}
	if c := channel(p); ordered[c] {
		if m.lanes[c] == nil {
			m.lanes[c] = &lane{gap: g.gap}
		}
		s.lane = m.lanes[c]
	}
	m.streams[raw] = struct{}{}
	s.release = func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		m.in--
		delete(m.streams, raw)
	}
	return s, nil
}

// prepare bounds how long a stream may take, and says whose it is.
func prepare(s network.Stream) error {
	if err := s.SetDeadline(time.Now().Add(streamTime)); err != nil {
		return err
	}
	return s.Scope().SetService(ServiceName)
}

// newSingleStream opens a stream for one message. It waits while too many are open.
func (g *Gate) newSingleStream(ctx context.Context, to peer.ID, p protocol.ID) (network.Stream, error) {
	m, err := g.reserve(ctx, to)
	if err != nil {
		return nil, err
	}
	wire, _ := g.wire(p)
	raw, err := g.Host.NewStream(network.WithNoDial(ctx, "the node makes the connections"), to, wire)
	if err == nil {
		if err = prepare(raw); err != nil {
			_ = raw.Reset()
		}
	}
	if err != nil {
		<-m.out
		return nil, err
	}
	return g.register(m, p, raw)
}

// reserve waits until one more stream to a peer may be opened.
func (g *Gate) reserve(ctx context.Context, to peer.ID) (*member, error) {
	g.mu.Lock()
	m := g.members[to]
	if g.closed || m == nil || len(m.sessions) == 0 {
		g.mu.Unlock()
		return nil, errNoSession
	}
	select {
	case m.out <- struct{}{}: // nobody waits: a place that is given back goes to who waits for it
		g.mu.Unlock()
		return m, nil
	default:
	}
	if m.waiting >= maxWaiting {
		g.mu.Unlock()
		return nil, errBusy
	}
	m.waiting++
	ended := m.ended
	g.mu.Unlock()
	var err error
	select {
	case m.out <- struct{}{}:
	case <-ctx.Done():
		err = ctx.Err()
	case <-ended:
		err = errNoSession
	}
	g.mu.Lock()
	m.waiting--
	g.mu.Unlock()
	return m, err
}

// register makes an opened stream one of those that end with the session.
func (g *Gate) register(m *member, p protocol.ID, raw network.Stream) (network.Stream, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(m.sessions) == 0 {
		<-m.out
		_ = raw.Reset()
		return nil, errNoSession
	}
	s := &stream{Stream: raw, protocol: p, outbound: true, number: func() []byte { return g.count(m, channel(p)) }}
	m.streams[raw] = struct{}{}
	g.tasks.Add(1)
	s.release = func() {
		<-m.out
		g.mu.Lock()
		delete(m.streams, raw)
		g.mu.Unlock()
		g.tasks.Done()
	}
	return s, nil
}

// count counts a message and returns its header.
func (g *Gate) count(m *member, c protocol.ID) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.sent[c]++
	return header(m.epoch, m.sent[c])
}
