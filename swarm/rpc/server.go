package rpc

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// DefaultMaxInFlight is the number of calls in flight where the configuration says none.
	DefaultMaxInFlight = 256
	// DefaultMaxMessage is the size limit of messages, in bytes, where the configuration says none.
	DefaultMaxMessage = 1 << 20
	// MaxStreamsPerPeer is how many streams of one protocol a peer may have open at a Server. A Client has one; the others leave room for
	// old ones that are not known to be broken yet.
	MaxStreamsPerPeer = 4
	// maxLargeBytes bounds the requests of over 64 KiB of one stream that are at work at once, in bytes; one that is larger by itself may be
	// alone. It fits what libp2p's resource manager grants to a peer for one protocol.
	maxLargeBytes = 8 << 20
	// busyTimeout is how long a stream may have MaxInFlight requests at work without any of them ending before it is reset. Such a stream is
	// not read, so that its end would go unnoticed.
	busyTimeout = 30 * time.Second
)

// errClosing ends the handlers' contexts and the streams when the server closes.
var errClosing = errors.New("server closed")

// A Handler answers a request from a peer whose identity the secure handshake has proven. It owns request, and gives response away; a
// response longer than MaxMessage is an error of the handler. ctx ends when the stream or the server does, and the
// response is then dropped. An error means that the peer misbehaved: its stream is reset, with all that it has in flight. What a handler wants to tell
// the caller, failures included, goes into the response.
type Handler func(ctx context.Context, from peer.ID, request []byte) (response []byte, err error)

// ServerConfig configures a Server.
type ServerConfig struct {
	Host     host.Host
	Protocol protocol.ID
	// Traced also takes requests that say beneath which span of the caller they are to be worked on, under a protocol id of their own, which peers do not know that know nothing of it: the Handler's
	// context then has that parent, as trace.SpanContextFromContext returns it, and may not believe it.
	Traced bool
	// MaxMessage bounds requests and responses, in bytes; 0 means DefaultMaxMessage.
	MaxMessage int
	// MaxInFlight bounds the requests of one stream that are at work at once; the stream is not read while there are so many. 0 means
	// DefaultMaxInFlight. A peer that does not read can make the server hold MaxStreamsPerPeer * MaxInFlight responses.
	MaxInFlight int
	Handler     Handler
	// Violated is told of peers whose requests break the format or are over the limit; nil: nobody. What the handler finds wrong is not told.
	Violated func(peer.ID)
	Logger   *slog.Logger // nil: silent
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *ServerConfig) Validate() error {
	if c.Handler == nil {
		return fault.New(fault.Invalid, "rpc server: no handler")
	}
	return validate("server", c.Host, c.Protocol, c.MaxMessage, c.MaxInFlight)
}

func validate(what string, h host.Host, p protocol.ID, maxMessage, maxInFlight int) error {
	switch {
	case h == nil:
		return fault.New(fault.Invalid, "rpc %s: no host", what)
	case p == "":
		return fault.New(fault.Invalid, "rpc %s: no protocol id", what)
	case maxMessage < 0 || maxMessage > maxMessageLimit:
		return fault.New(fault.Invalid, "rpc %s: message limit %d: want 0 to %d", what, maxMessage, maxMessageLimit)
	case maxInFlight < 0:
		return fault.New(fault.Invalid, "rpc %s: %d calls in flight: want 0 or more", what, maxInFlight)
	}
	return nil
}

// tracedSuffix makes the protocol id of streams on which requests may say to which trace they belong.
const tracedSuffix = "+trace"

// protocolsOf returns the ids under which a protocol is served or asked for, the better one first.
func protocolsOf(id protocol.ID, traced bool) []protocol.ID {
	if traced {
		return []protocol.ID{id + tracedSuffix, id}
	}
	return []protocol.ID{id}
}

func isTraced(s network.Stream) bool { return strings.HasSuffix(string(s.Protocol()), tracedSuffix) }

func orDefault(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

func orSilent(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// Server answers requests under one protocol id.
type Server struct {
	cfg     ServerConfig
	workers *workers
	tasks   sync.WaitGroup // one for each stream; nothing is added once closed

	mu      sync.Mutex
	closed  bool                       // guarded by mu
	streams map[*serverStream]struct{} // guarded by mu
	perPeer map[peer.ID]int            // guarded by mu; number of streams
}

// NewServer starts to answer requests at cfg.Host.
func NewServer(cfg ServerConfig) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.MaxMessage = orDefault(cfg.MaxMessage, DefaultMaxMessage)
	cfg.MaxInFlight = orDefault(cfg.MaxInFlight, DefaultMaxInFlight)
	cfg.Logger = orSilent(cfg.Logger)
	s := &Server{cfg: cfg, workers: newWorkers(), streams: make(map[*serverStream]struct{}), perPeer: make(map[peer.ID]int)}
	for _, id := range protocolsOf(cfg.Protocol, cfg.Traced) {
		cfg.Host.SetStreamHandler(id, s.accept)
	}
	return s, nil
}

// Close stops accepting streams, resets those that are open, ends the handlers' contexts and waits until they have returned.
func (s *Server) Close() error {
	for _, id := range protocolsOf(s.cfg.Protocol, s.cfg.Traced) {
		s.cfg.Host.RemoveStreamHandler(id)
	}
	for _, c := range s.shut() {
		c.finish(errClosing)
	}
	s.tasks.Wait()
	s.workers.close()
	return nil
}

// shut refuses streams from now on and returns those that are open.
func (s *Server) shut() []*serverStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return slices.Collect(maps.Keys(s.streams))
}

// accept serves a stream until it ends; libp2p calls it in a goroutine of its own.
func (s *Server) accept(stream network.Stream) {
	c := newServerStream(&s.cfg, s.workers, stream)
	if code, ok := s.admit(c); !ok {
		c.finish(errClosing)
		stream.ResetWithError(code)
		return
	}
	defer s.tasks.Done()
	defer s.dismiss(c)
	c.serve()
}

// admit counts a stream in, or says with which code to reset it.
func (s *Server) admit(c *serverStream) (network.StreamErrorCode, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return network.StreamShutdown, false
	}
	if s.perPeer[c.from] >= MaxStreamsPerPeer {
		s.cfg.Logger.Debug("stream refused: the peer has too many", "peer", c.from, "protocol", s.cfg.Protocol, "limit", MaxStreamsPerPeer)
		return network.StreamRateLimited, false
	}
	s.streams[c] = struct{}{}
	s.perPeer[c.from]++
	s.tasks.Add(1)
	return 0, true
}

func (s *Server) dismiss(c *serverStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, c)
	if s.perPeer[c.from]--; s.perPeer[c.from] == 0 {
		delete(s.perPeer, c.from)
	}
}
