// Package wires carries connections between libp2p hosts of one process without encryption, handshakes and packets: networks of hundreds of peers cost little in it. It is for tests.
package wires

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

// Wires connect hosts that listen on /memory/N. Data arrives after a fixed latency; what concerns a host that is silenced never arrives.
type Wires struct {
	latency time.Duration

	mu        sync.Mutex
	listeners map[string]*wireListener // guarded by mu; by address
	dials     int                      // guarded by mu

	bytes  atomic.Int64
	writes atomic.Int64
}

// New returns wires on which data takes the given time from end to end.
func New(latency time.Duration) *Wires {
	return &Wires{latency: latency, listeners: make(map[string]*wireListener)}
}

// Silence loses everything from and to an address that is listened on, from now on.
func (w *Wires) Silence(addr ma.Multiaddr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.listeners[addr.String()]; l != nil {
		l.transport.silent.Store(true)
	}
}

// Carried returns how many bytes were sent over all streams, those included that were lost.
func (w *Wires) Carried() int64 { return w.bytes.Load() }

// Written returns how often something was written to a stream: a request or an answer is one write, and what begins a stream some more.
func (w *Wires) Written() int64 { return w.writes.Load() }

// Dialled returns how many connections were dialled.
func (w *Wires) Dialled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials
}

// lost reports whether what two hosts send one another is.
func lost(a, b *wireTransport) bool { return a.silent.Load() || b.silent.Load() }

// Transport makes the transport of one host; it is a constructor for libp2p.Transport.
func (w *Wires) Transport(key crypto.PrivKey, rm network.ResourceManager) (transport.Transport, error) {
	id, err := peer.IDFromPrivateKey(key)
	return &wireTransport{wires: w, id: id, key: key.GetPublic(), rm: rm}, err
}

type wireTransport struct {
	wires  *Wires
	id     peer.ID
	key    crypto.PubKey
	rm     network.ResourceManager
	listen ma.Multiaddr
	silent atomic.Bool
}

var _ transport.Transport = (*wireTransport)(nil)

func (t *wireTransport) CanDial(a ma.Multiaddr) bool { return a.Protocols()[0].Code == ma.P_MEMORY }
func (t *wireTransport) Protocols() []int            { return []int{ma.P_MEMORY} }
func (t *wireTransport) Proxy() bool                 { return false }

func (t *wireTransport) Listen(a ma.Multiaddr) (transport.Listener, error) {
	l := &wireListener{transport: t, addr: a, conns: make(chan *wireConn, 1024), closed: make(chan struct{})}
	t.listen = a
	t.wires.mu.Lock()
	defer t.wires.mu.Unlock()
	t.wires.listeners[a.String()] = l
	return l, nil
}

func (t *wireTransport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	t.wires.mu.Lock()
	t.wires.dials++
	l := t.wires.listeners[a.String()]
	t.wires.mu.Unlock()
	if l == nil || lost(t, l.transport) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(2 * t.wires.latency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.transport.id != p {
		return nil, errors.New("somebody else listens there")
	}
	near, err := t.newConn(l.transport, network.DirOutbound, a)
	if err != nil {
		return nil, err
	}
	far, err := l.transport.newConn(t, network.DirInbound, t.listen)
	if err != nil {
		near.scope.Done()
		return nil, err
	}
	near.other, far.other = far, near
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		near.scope.Done()
		far.scope.Done()
		return nil, errors.New("connection refused")
	}
}

func (t *wireTransport) newConn(remote *wireTransport, dir network.Direction, addr ma.Multiaddr) (*wireConn, error) {
	scope, err := t.rm.OpenConnection(dir, false, addr)
	if err != nil {
		return nil, err
	}
	if err := scope.SetPeer(remote.id); err != nil {
		scope.Done()
		return nil, err
	}
	return &wireConn{local: t, remote: remote, addr: addr, scope: scope, streams: make(chan *wireStream, maxUnaccepted), closed: make(chan struct{})}, nil
}

type wireListener struct {
	transport *wireTransport
	addr      ma.Multiaddr
	conns     chan *wireConn
	closed    chan struct{}
	once      sync.Once
}

func (l *wireListener) Accept() (transport.CapableConn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, transport.ErrListenerClosed
	}
}

func (l *wireListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *wireListener) Addr() net.Addr          { return &net.UnixAddr{Name: l.addr.String(), Net: "unix"} }
func (l *wireListener) Multiaddr() ma.Multiaddr { return l.addr }

// maxUnaccepted is how many streams of a connection may wait for the other side; opening more waits, too.
const maxUnaccepted = 32

// wireConn is one end of a connection.
type wireConn struct {
	local, remote *wireTransport
	other         *wireConn
	addr          ma.Multiaddr // the remote one
	scope         network.ConnManagementScope
	streams       chan *wireStream
	closed        chan struct{}
	once          sync.Once
}

var _ transport.CapableConn = (*wireConn)(nil)

func (c *wireConn) shut() {
	c.once.Do(func() {
		close(c.closed)
		c.scope.Done()
	})
}

func (c *wireConn) Close() error {
	c.shut()
	if !lost(c.local, c.remote) {
		time.AfterFunc(c.local.wires.latency, c.other.shut)
	}
	return nil
}

func (c *wireConn) CloseWithError(network.ConnErrorCode) error { return c.Close() }
func (c *wireConn) As(any) bool                                { return false }

func (c *wireConn) IsClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *wireConn) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	a, b := newWireBuffer(), newWireBuffer()
	near, far := &wireStream{conn: c, in: a, out: b}, &wireStream{conn: c.other, in: b, out: a}
	select {
	case c.other.streams <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

func (c *wireConn) AcceptStream() (network.MuxedStream, error) {
	select {
	case s := <-c.streams:
		return s, nil
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

func (c *wireConn) LocalPeer() peer.ID             { return c.local.id }
func (c *wireConn) RemotePeer() peer.ID            { return c.remote.id }
func (c *wireConn) RemotePublicKey() crypto.PubKey { return c.remote.key }
func (c *wireConn) ConnState() network.ConnectionState {
	return network.ConnectionState{Transport: "memory"}
}
func (c *wireConn) LocalMultiaddr() ma.Multiaddr   { return c.local.listen }
func (c *wireConn) RemoteMultiaddr() ma.Multiaddr  { return c.addr }
func (c *wireConn) Scope() network.ConnScope       { return c.scope }
func (c *wireConn) Transport() transport.Transport { return c.local }

// wireBuffer is one direction of a stream.
type wireBuffer struct {
	ready chan struct{} // capacity 1: something changed

	mu       sync.Mutex
	chunks   []wireChunk // guarded by mu
	eof      bool        // guarded by mu; nothing follows
	err      error       // guarded by mu; reading and writing fail
	deadline time.Time   // guarded by mu; of reading
}

type wireChunk struct {
	at   time.Time
	data []byte
}

func newWireBuffer() *wireBuffer { return &wireBuffer{ready: make(chan struct{}, 1)} }

func (b *wireBuffer) change(f func()) {
	b.mu.Lock()
	f()
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take reads what has arrived, or says until when to wait; the zero time is for ever.
func (b *wireBuffer) take(p []byte) (n int, wait time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.err != nil:
		return 0, wait, b.err
	case !b.deadline.IsZero() && !now.Before(b.deadline):
		return 0, wait, os.ErrDeadlineExceeded
	case len(b.chunks) == 0 && b.eof:
		return 0, wait, io.EOF
	case len(b.chunks) == 0:
		return 0, b.deadline, nil
	}
	c := &b.chunks[0]
	if now.Before(c.at) {
		if !b.deadline.IsZero() && b.deadline.Before(c.at) {
			return 0, b.deadline, nil
		}
		return 0, c.at, nil
	}
	n = copy(p, c.data)
	if c.data = c.data[n:]; len(c.data) == 0 {
		if b.chunks = b.chunks[1:]; len(b.chunks) == 0 {
			b.chunks = nil
		}
	}
	return n, wait, nil
}

type wireStream struct {
	conn    *wireConn
	in, out *wireBuffer
}

func (s *wireStream) Read(p []byte) (int, error) {
	for {
		n, wait, err := s.in.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if err := s.await(wait); err != nil {
			return 0, err
		}
	}
}

func (s *wireStream) await(until time.Time) error {
	var late <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-s.in.ready:
	case <-late:
	case <-s.conn.closed:
		return net.ErrClosed
	}
	return nil
}

func (s *wireStream) Write(p []byte) (int, error) {
	if s.conn.IsClosed() {
		return 0, net.ErrClosed
	}
	s.conn.local.wires.bytes.Add(int64(len(p)))
	s.conn.local.wires.writes.Add(1)
	if !lost(s.conn.local, s.conn.remote) {
		var err error
		s.out.change(func() {
			if err = s.out.err; err == nil {
				s.out.chunks = append(s.out.chunks, wireChunk{time.Now().Add(s.conn.local.wires.latency), append([]byte(nil), p...)})
			}
		})
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// tell lets the other side know, unless one of the two is silenced.
func (s *wireStream) tell(b *wireBuffer, f func()) {
	if !lost(s.conn.local, s.conn.remote) {
		b.change(f)
	}
}

func (s *wireStream) CloseWrite() error {
	s.tell(s.out, func() { s.out.eof = true })
	return nil
}

func (s *wireStream) CloseRead() error {
	s.in.change(func() { s.in.err = network.ErrReset })
	return nil
}

func (s *wireStream) Close() error { return errors.Join(s.CloseWrite(), s.CloseRead()) }

func (s *wireStream) Reset() error {
	s.tell(s.out, func() { s.out.err = network.ErrReset })
	return s.CloseRead()
}

func (s *wireStream) ResetWithError(network.StreamErrorCode) error { return s.Reset() }
func (s *wireStream) SetWriteDeadline(time.Time) error             { return nil } // writing never waits
func (s *wireStream) SetDeadline(t time.Time) error                { return s.SetReadDeadline(t) }
func (s *wireStream) SetReadDeadline(t time.Time) error {
	s.in.change(func() { s.in.deadline = t })
	return nil
}
