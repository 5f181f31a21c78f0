package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cometbft/cometbft/lp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

// ServiceName is the resource manager's name for what CometBFT's streams use.
const ServiceName = "ledger"

// protocolName is the part of the wire's protocol ids between the network's id and CometBFT's channel. Its number rises when peers
// can no longer understand one another.
const protocolName = "ledger/1"

const (
	// maxOut is how many streams to one peer may be open, counting those that it has not read.
	maxOut = 48
	// maxWaiting is how many messages to one peer may wait for a stream; more are refused.
	maxWaiting = 512
	// maxIn is how many streams from one peer may be open. It is larger than maxOut, and no larger than the resource manager's own bound for one protocol.
	maxIn = 64
	// streamTime is how long a stream may take from its opening until it has been read.
	streamTime = 10 * time.Second
	// restTime is how long a peer whose session CometBFT ended for its behaviour cannot have another.
	restTime = time.Second
)

var (
	// errNoSession is a stream to a peer that is not there.
	errNoSession = errors.New("there is no session with the peer")
	// errBusy is a stream to a peer that does not read.
	errBusy = errors.New("too many messages wait for the peer")
	// errDials is CometBFT wanting a connection: making those is the node's business.
	errDials = errors.New("there is no connection to the peer")
)

// Config configures a Gate.
type Config struct {
	// Host is the node's host. The gate never closes it.
	Host host.Host
	// Network is what the host belongs to.
	Network swarm.NetworkID
	// Allowed says whether a peer may take part. It is called for each stream and must not block.
	Allowed func(peer.ID) bool
	// Left is called when CometBFT must forget a peer, before a new session with it begins. It may be called for a peer that CometBFT does not know.
	Left func(peer.ID)
	// MaxMessage is the length limit of a message, in bytes.
	MaxMessage uint64
	// Logger may be nil.
	Logger *slog.Logger
}

// A Gate is a host with the ledger's members on the other side. Its methods may be called from many goroutines.
type Gate struct {
	host.Host // what is not overridden here is harmless

	cfg      Config
	instance instance
	gap      time.Duration // gapTime, but in tests

	// entering is held while a session begins or ends, so that Left is over before the next one begins.
	entering sync.Mutex

	mu       sync.Mutex
	closed   bool                       // guarded by mu
	members  map[peer.ID]*member        // guarded by mu
	handlers map[protocol.ID]struct{}   // the wire's ids that are handled, guarded by mu
	notes    map[peer.ID]map[string]any // what CometBFT put into the peerstore, guarded by mu
	tasks    sync.WaitGroup             // sessions and streams
}

var _ host.Host = (*Gate)(nil)

// New returns a gate that lets nobody through yet, and answers nobody before Serve.
func New(cfg Config) (*Gate, error) {
	if cfg.Host == nil || cfg.Allowed == nil || cfg.Left == nil || cfg.MaxMessage == 0 || cfg.Network == (swarm.NetworkID{}) {
		return nil, fault.New(fault.Invalid, "gate: the configuration is not complete")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gate{
		Host: cfg.Host, cfg: cfg, gap: gapTime, members: make(map[peer.ID]*member), handlers: make(map[protocol.ID]struct{}), notes: make(map[peer.ID]map[string]any),
	}
	_, _ = rand.Read(g.instance[:]) // never fails
	return g, nil
}

// Serve starts to answer those who want a session. Left may be called from then on.
func (g *Gate) Serve() { g.Host.SetStreamHandler(g.sessionProtocol(), g.answer) }

// Close ends all sessions and streams and takes the gate's handlers off the host, which goes on. It returns when nothing of the gate is left running.
func (g *Gate) Close() error {
	g.mu.Lock()
	g.closed = true
	handled := g.handlers
	g.handlers = nil
	var streams []network.Stream
	for p, m := range g.members {
		streams = append(streams, m.takeAll()...)
		g.Host.ConnManager().Unprotect(p, ServiceName)
	}
	g.mu.Unlock()
	g.Host.RemoveStreamHandler(g.sessionProtocol())
	for p := range handled {
		g.Host.RemoveStreamHandler(p)
	}
	resetAll(streams)
	g.tasks.Wait()
	return nil
}

// wire returns CometBFT's protocol id as other hosts see it.
func (g *Gate) wire(p protocol.ID) (protocol.ID, bool) {
	c := channel(p)
	return g.cfg.Network.Protocol(protocolName + "/" + string(c)), c != ""
}

// channel returns CometBFT's channel that a protocol id of its stands for, or "".
func channel(p protocol.ID) protocol.ID {
	c, ok := strings.CutPrefix(string(p), lp2p.ProtocolIDPrefix+"/channel/")
	if !ok {
		return ""
	}
	return protocol.ID(c)
}

// SetStreamHandler handles one of CometBFT's protocols. Others are none of its business.
func (g *Gate) SetStreamHandler(p protocol.ID, h network.StreamHandler) {
	wire, ok := g.wire(p)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.handlers[wire] = struct{}{}
	g.Host.SetStreamHandler(wire, func(s network.Stream) { g.receive(p, s, h) })
}

// SetStreamHandlerMatch does nothing: CometBFT has no use for it.
func (g *Gate) SetStreamHandlerMatch(protocol.ID, func(protocol.ID) bool, network.StreamHandler) {}

// RemoveStreamHandler undoes SetStreamHandler.
func (g *Gate) RemoveStreamHandler(p protocol.ID) {
	wire, ok := g.wire(p)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.handlers, wire)
	g.Host.RemoveStreamHandler(wire)
}

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

// NewStream opens a stream for one message to a peer that there is a session with. It waits while too many are open.
func (g *Gate) NewStream(ctx context.Context, to peer.ID, ps ...protocol.ID) (network.Stream, error) {
	if len(ps) != 1 {
		return nil, errors.ErrUnsupported
	}
	wire, ok := g.wire(ps[0])
	if !ok {
		return nil, errors.ErrUnsupported
	}
	m, err := g.reserve(ctx, to)
	if err != nil {
		return nil, err
	}
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
	return g.register(m, ps[0], raw)
}

// reserve waits until one more stream to a peer may be opened.
func (g *Gate) reserve(ctx context.Context, to peer.ID) (*member, error) {
	if !g.cfg.Allowed(to) {
		return nil, fault.New(fault.Forbidden, "not a member")
	}
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
	s := &stream{Stream: raw, protocol: p, outbound: true, number: func() []byte { return g.number(m, channel(p)) }}
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

// number counts a message and returns its header.
func (g *Gate) number(m *member, c protocol.ID) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.sent[c]++
	return header(m.epoch, m.sent[c])
}

// Connect does not dial: it returns nil if the peer is connected.
func (g *Gate) Connect(_ context.Context, to peer.AddrInfo) error {
	if g.Host.Network().Connectedness(to.ID) != network.Connected {
		return errDials
	}
	return nil
}

// Network is the host's network; see package gate.
func (g *Gate) Network() network.Network { return quietNetwork{g.Host.Network(), g} }

// Peerstore is the host's peerstore; see package gate.
func (g *Gate) Peerstore() peerstore.Peerstore { return notebook{g.Host.Peerstore(), g} }
