package swarm

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/sec"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// maxStrangerStreams is how many streams there are on a stranger's connection, with the one that this side opens. A member that is not known as one yet opens a few before it is let in.
	maxStrangerStreams = 16
	// strangerPriority is the priority, of 255, with which memory is set apart for strangers: they get none while this part of the host's memory is in use.
	strangerPriority = 127
)

// frugalMuxer has strangers' connections take little of the host's memory. A multiplexer sets a window apart for each stream as soon as the other side opens it, whether or not anybody accepts it: a few strangers could
// otherwise take all that there is for members. Transports that have streams of their own, such as QUIC, bound by themselves what comes unread.
type frugalMuxer struct {
	network.Multiplexer
	gate Gate
}

// NewConn begins to multiplex a connection.
func (m frugalMuxer) NewConn(c net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	secured, ok := c.(sec.SecureConn)
	if !ok || !isServer || scope == nil {
		return m.Multiplexer.NewConn(c, isServer, scope)
	}
	p := secured.RemotePeer()
	remote, err := manet.FromNetAddr(c.RemoteAddr())
	if err != nil {
		remote = nil // a gate decides by the peer then
	}
	admitted := func() bool { return m.gate.AdmitPeer(p, remote, network.DirInbound) == nil }
	if admitted() {
		return m.Multiplexer.NewConn(c, isServer, scope)
	}
	return m.Multiplexer.NewConn(c, isServer, &frugalScope{PeerScope: scope, admitted: admitted})
}

// frugalScope is where a stranger's connection takes memory from, until the stranger is let in.
type frugalScope struct {
	network.PeerScope
	admitted func() bool
	streams  atomic.Int64
}

// BeginSpan is called for each stream.
func (s *frugalScope) BeginSpan() (network.ResourceScopeSpan, error) {
	if s.streams.Add(1) > maxStrangerStreams && !s.admitted() {
		s.streams.Add(-1)
		return nil, fmt.Errorf("a stranger has %d streams: %w", maxStrangerStreams, network.ErrResourceLimitExceeded)
	}
	span, err := s.PeerScope.BeginSpan()
	if err != nil {
		s.streams.Add(-1)
		return nil, err
	}
	return &frugalSpan{ResourceScopeSpan: span, admitted: s.admitted, done: sync.OnceFunc(func() { s.streams.Add(-1) })}, nil
}

// frugalSpan is the memory of one stream.
type frugalSpan struct {
	network.ResourceScopeSpan
	admitted func() bool
	done     func()
}

// ReserveMemory sets memory apart.
func (s *frugalSpan) ReserveMemory(size int, priority uint8) error {
	if priority > strangerPriority && !s.admitted() {
		priority = strangerPriority
	}
	return s.ResourceScopeSpan.ReserveMemory(size, priority)
}

// Done gives all of it back.
func (s *frugalSpan) Done() {
	s.done()
	s.ResourceScopeSpan.Done()
}
