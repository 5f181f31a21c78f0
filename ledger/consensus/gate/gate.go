package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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

// The part of the wire's protocol ids between the network's id and what a stream is for: with a stream for each class of messages, and, as in the release before, with one for each message. Which of them a session is opened with
// says which are used.
const (
	protocolName   = "ledger/2"
	protocolBefore = "ledger/1"
)

const (
	// maxOut is how many streams for one message each to one peer may be open, counting those that it has not read.
	maxOut = 48
	// maxWaiting is how many messages to one peer may wait for a stream; more are refused.
	maxWaiting = 512
	// maxIn is how many such streams from one peer may be open. It is larger than maxOut, and no larger than the resource manager's own bound for one protocol.
	maxIn = 64
	// streamTime is how long such a stream may take from its opening until it has been read.
	streamTime = 10 * time.Second
	// restTime is how long a peer whose session CometBFT ended for its behaviour cannot have another.
	restTime = time.Second
)

var (
	// errNoSession is a stream to a peer that is not there.
	errNoSession = errors.New("there is no session with the peer")
	// errBusy is a stream to a peer that does not read.
	errBusy = errors.New("too many messages wait for the peer")
	// errNotOurs is a protocol that is none of CometBFT's channels.
	errNotOurs = fmt.Errorf("not a channel of CometBFT: %w", errors.ErrUnsupported)
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
	before   bool          // it knows the protocols of the release before only; in tests
	end      chan struct{} // closed by Close

	// entering is held while a session begins or ends, so that Left is over before the next one begins.
	entering sync.Mutex

	mu       sync.Mutex
	closed   bool                       // guarded by mu
	members  map[peer.ID]*member        // guarded by mu
	handlers map[protocol.ID]struct{}   // the wire's ids that are handled, guarded by mu
	channels map[byte]handler           // guarded by mu
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
		Host: cfg.Host, cfg: cfg, gap: gapTime, end: make(chan struct{}),
		members: make(map[peer.ID]*member), handlers: make(map[protocol.ID]struct{}), channels: make(map[byte]handler), notes: make(map[peer.ID]map[string]any),
	}
	_, _ = rand.Read(g.instance[:]) // never fails
	return g, nil
}

// Serve starts to answer those who want a session. Left may be called from then on.
func (g *Gate) Serve() {
	if !g.before { // first of all: who has a session may send
		for _, c := range classes {
			g.Host.SetStreamHandler(g.classProtocol(c), func(s network.Stream) { g.receiveClass(c, s) })
		}
	}
	for _, p := range g.sessionProtocols() {
		g.Host.SetStreamHandler(p, g.answer)
	}
}

// Close ends all sessions and streams and takes the gate's handlers off the host, which goes on. It returns when nothing of the gate is left running.
func (g *Gate) Close() error {
	g.mu.Lock()
	if !g.closed {
		close(g.end)
	}
	g.closed = true
	handled := g.handlers
	g.handlers = nil
	clear(g.channels)
	var streams []network.Stream
	for p, m := range g.members {
		streams = append(streams, m.takeAll()...)
		g.Host.ConnManager().Unprotect(p, ServiceName)
	}
	g.mu.Unlock()
	for _, p := range g.sessionProtocols() {
		g.Host.RemoveStreamHandler(p)
	}
	for _, c := range classes {
		g.Host.RemoveStreamHandler(g.classProtocol(c))
	}
	for p := range handled {
		g.Host.RemoveStreamHandler(p)
	}
	resetAll(streams)
	g.tasks.Wait()
	return nil
}

// wire returns CometBFT's protocol id as hosts of the release before see it.
func (g *Gate) wire(p protocol.ID) (protocol.ID, bool) {
	c := channel(p)
	return g.cfg.Network.Protocol(protocolBefore + "/" + string(c)), c != ""
}

// classProtocol is the protocol id of a class.
func (g *Gate) classProtocol(c class) protocol.ID {
	return g.cfg.Network.Protocol(protocolName + "/" + string(c))
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
	if n, ok := number(p); ok {
		g.channels[n] = handler{p, h}
	}
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
	if n, ok := number(p); ok {
		delete(g.channels, n)
	}
	g.Host.RemoveStreamHandler(wire)
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
