package swarm

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
)

// Bounds of what strangers cost.
const (
	// maxReceived is how many strangers are talked with at once, and maxReceivedEach how many of one place: an IPv4 address, or the 64 bits of an IPv6 network. Further ones are turned away.
	maxReceived     = 64
	maxReceivedEach = 8
	// ReceiveTimeout bounds the talk with one.
	ReceiveTimeout = 15 * time.Second
)

// A Reception talks with strangers: peers that the Gate refuses and that have come by themselves. A stranger's connection is kept apart from the host: none of its protocols is served there, identify included, no part of
// the node hears of it, and no stream that the stranger opens is accepted. There is one stream, which this side opens, for one protocol.
type Reception struct {
	// Protocol is what is spoken on the stream. Who comes must serve it, as who listens on an ordinary stream.
	Protocol protocol.ID
	// Receive talks with a peer, whose identity the handshake has proven, until ctx ends at the latest; then the stream is reset. It returns nil if the peer is to be let in after all: the connection then goes on as any
	// other. It is called from several goroutines, maxReceived at most.
	Receive func(ctx context.Context, from peer.ID, remote ma.Multiaddr, s Talk) error
}

// Talk is the stream on which a stranger is talked with.
type Talk interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	CloseWrite() error
}

// receiving are the transports' options by which strangers are kept apart on each of them.
type receiving struct {
	gate      Gate
	reception *Reception
	logger    *slog.Logger

	mu    sync.Mutex
	all   int                  // guarded by mu; how many strangers are talked with
	among map[netip.Prefix]int // guarded by mu; how many of each place
}

// transportOptions returns the options for all transports. Without a reception they are as libp2p makes them.
func transportOptions(cfg *Config) []libp2p.Option {
	if cfg.Reception == nil {
		return []libp2p.Option{
			libp2p.Transport(newTCPTransport(cfg.Traversal)),
			libp2p.Transport(libp2pquic.NewTransport),
			libp2p.Transport(websocket.New),
			libp2p.Transport(libp2pwebtransport.New),
			libp2p.Transport(libp2pwebrtc.New),
		}
	}
	r := &receiving{gate: cfg.Gate, reception: cfg.Reception, logger: cfg.Logger, among: make(map[netip.Prefix]int)}
	return []libp2p.Option{
		libp2p.Transport(func(u transport.Upgrader, rm network.ResourceManager) (transport.Transport, error) {
			return r.wrap(newTCPTransport(cfg.Traversal)(u, rm))
		}),
		libp2p.Transport(func(key crypto.PrivKey, m *quicreuse.ConnManager, psk pnet.PSK, g connmgr.ConnectionGater, rm network.ResourceManager) (transport.Transport, error) {
			return r.wrap(libp2pquic.NewTransport(key, m, psk, g, rm))
		}),
		libp2p.Transport(func(u transport.Upgrader, rm network.ResourceManager, shared *tcpreuse.ConnMgr) (transport.Transport, error) {
			return r.wrap(websocket.New(u, rm, shared))
		}),
		libp2p.Transport(func(key crypto.PrivKey, psk pnet.PSK, m *quicreuse.ConnManager, g connmgr.ConnectionGater, rm network.ResourceManager) (transport.Transport, error) {
			return r.wrap(libp2pwebtransport.New(key, psk, m, g, rm))
		}),
		libp2p.Transport(func(key crypto.PrivKey, psk pnet.PSK, g connmgr.ConnectionGater, rm network.ResourceManager, listen libp2pwebrtc.ListenUDPFn) (transport.Transport, error) {
			return r.wrap(libp2pwebrtc.New(key, psk, g, rm, listen))
		}),
	}
}

// wrap returns a transport whose listeners keep strangers apart. What the swarm asks of some transports beside that must still be found: hence the kinds.
func (r *receiving) wrap(t transport.Transport, err error) (transport.Transport, error) {
	if err != nil {
		return nil, err
	}
	base := apart{t, r}
	resolver, resolves := t.(transport.Resolver)
	hasher, hashes := t.(certHasher)
	updater, updates := t.(transport.DialUpdater)
	switch {
	case resolves && hashes:
		return struct {
			apart
			transport.Resolver
			certHasher
		}{base, resolver, hasher}, nil
	case resolves:
		return struct {
			apart
			transport.Resolver
		}{base, resolver}, nil
	case hashes:
		return struct {
			apart
			certHasher
		}{base, hasher}, nil
	case updates:
		return struct {
			apart
			transport.DialUpdater
		}{base, updater}, nil
	}
	return base, nil
}

// certHasher is a transport whose addresses name its certificates.
type certHasher interface {
	AddCertHashes(ma.Multiaddr) (ma.Multiaddr, bool)
}

// apart is a transport with a reception.
type apart struct {
	transport.Transport
	receiving *receiving
}

// Close closes the transport, if it can be.
func (a apart) Close() error {
	if c, ok := a.Transport.(interface{ Close() error }); ok {
		return c.Close()
	}
	return nil
}

// String names the transport in logs.
func (a apart) String() string {
	if s, ok := a.Transport.(interface{ String() string }); ok {
		return s.String()
	}
	return "transport"
}

// Listen listens, and talks with strangers before anybody hears of them.
func (a apart) Listen(addr ma.Multiaddr) (transport.Listener, error) {
	inner, err := a.Transport.Listen(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &apartListener{Listener: inner, receiving: a.receiving, ctx: ctx, cancel: cancel, ready: make(chan transport.CapableConn), ended: make(chan struct{})}
	l.tasks.Go(l.accept)
	return l, nil
}

// apartListener gives out the connections of those that the gate lets in.
type apartListener struct {
	transport.Listener
	receiving *receiving
	ctx       context.Context // ends when the listener closes
	cancel    context.CancelFunc
	tasks     sync.WaitGroup
	ready     chan transport.CapableConn
	ended     chan struct{} // closed when nothing is accepted any more
	err       error         // why; set before ended is closed
}

// accept takes connections until the listener closes.
func (l *apartListener) accept() {
	defer close(l.ended)
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			l.err = err
			return
		}
		if l.receiving.gate.AdmitPeer(c.RemotePeer(), c.RemoteMultiaddr(), network.DirInbound) == nil {
			l.give(c)
			continue
		}
		place := PlaceOf(c.RemoteMultiaddr())
		if !l.receiving.enter(place) {
			l.receiving.refuse(c, network.ConnResourceLimitExceeded)
			continue
		}
		l.tasks.Go(func() { l.receive(c, place) })
	}
}

// give hands a connection to whoever accepts.
func (l *apartListener) give(c transport.CapableConn) {
	select {
	case l.ready <- c:
	case <-l.ctx.Done():
		_ = c.Close()
	}
}

// receive talks with a stranger.
func (l *apartListener) receive(c transport.CapableConn, place netip.Prefix) {
	err := l.receiving.talk(l.ctx, c)
	l.receiving.exit(place)
	if err != nil {
		l.receiving.logger.Debug("stranger turned away", "peer", c.RemotePeer(), "address", c.RemoteMultiaddr(), "reason", err)
		l.receiving.refuse(c, network.ConnGated)
		return
	}
	l.give(c)
}

// PlaceOf returns where a peer comes from, as far as one who has many addresses is concerned: an IPv4 address, or the 64 bits of an IPv6 network. Addresses without an IP are one place.
func PlaceOf(addr ma.Multiaddr) netip.Prefix {
	ip, err := manet.ToIP(addr)
	if err != nil {
		return netip.Prefix{}
	}
	a, _ := netip.AddrFromSlice(ip)
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// enter takes a place among those that are talked with, if there is one.
func (r *receiving) enter(place netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all >= maxReceived || r.among[place] >= maxReceivedEach {
		return false
	}
	r.all++
	r.among[place]++
	return true
}

func (r *receiving) exit(place netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.among[place]--; r.among[place] == 0 {
		delete(r.among, place)
	}
}

// refuse ends a connection. It does not wait for the other side.
func (r *receiving) refuse(c transport.CapableConn, code network.ConnErrorCode) {
	if err := c.CloseWithError(code); err != nil {
		r.logger.Debug("close a stranger's connection", "peer", c.RemotePeer(), "error", err)
	}
}

// talk opens the one stream and has the reception speak on it.
func (r *receiving) talk(ctx context.Context, c transport.CapableConn) error {
	ctx, cancel := context.WithTimeout(ctx, ReceiveTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.CloseWithError(network.ConnGated) })()
	s, err := c.OpenStream(ctx)
	if err != nil {
		return err
	}
	defer s.Reset()
	if err := multistream.SelectProtoOrFail(r.reception.Protocol, s); err != nil {
		return err
	}
	return r.reception.Receive(ctx, c.RemotePeer(), c.RemoteMultiaddr(), s)
}

// Accept returns the next connection of a peer that the gate, or the reception, lets in.
func (l *apartListener) Accept() (transport.CapableConn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ended:
		return nil, l.err
	}
}

// Close ends the listener and the talks with strangers.
func (l *apartListener) Close() error {
	l.cancel()
	err := l.Listener.Close()
	l.tasks.Wait()
	return err
}
