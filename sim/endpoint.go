package sim

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
)

// endpoint is a socket of the simulated network.
type endpoint struct {
	packets *packets
	addr    netip.AddrPort
	ready   chan struct{} // capacity 1: there may be something to read, or a new deadline

	mu       sync.Mutex
	queue    []*packet // guarded by mu
	deadline time.Time // guarded by mu; of reading
	closed   bool      // guarded by mu
}

var _ net.PacketConn = (*endpoint)(nil)

func newEndpoint(p *packets, addr netip.AddrPort) *endpoint {
	return &endpoint{packets: p, addr: addr, ready: make(chan struct{}, 1)}
}

func (e *endpoint) receive(p *packet) {
	e.mu.Lock()
	if len(e.queue) < maxQueued {
		e.queue = append(e.queue, p)
	}
	e.mu.Unlock()
	e.signal()
}

func (e *endpoint) signal() {
	select {
	case e.ready <- struct{}{}:
	default:
	}
}

// next returns a packet, or until when to wait for one.
func (e *endpoint) next() (p *packet, deadline time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, time.Time{}, net.ErrClosed
	case len(e.queue) > 0:
		p, e.queue[0] = e.queue[0], nil
		if e.queue = e.queue[1:]; len(e.queue) == 0 {
			e.queue = nil
		}
		return p, time.Time{}, nil
	case !e.deadline.IsZero() && !time.Now().Before(e.deadline):
		return nil, time.Time{}, os.ErrDeadlineExceeded
	}
	return nil, e.deadline, nil
}

// ReadFrom waits for a packet; what doesn't fit into b is cut off.
func (e *endpoint) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p, deadline, err := e.next()
		if err != nil {
			return 0, nil, err
		}
		if p != nil {
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case <-e.ready:
		case <-late:
		}
	}
}

// WriteTo sends a packet. Whether it arrives is not known.
func (e *endpoint) WriteTo(b []byte, to net.Addr) (int, error) {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	udp, ok := to.(*net.UDPAddr)
	if closed || !ok {
		return 0, net.ErrClosed
	}
	dst := udp.AddrPort()
	e.packets.send(e, netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port()), b)
	return len(b), nil
}

// Close ends reading and writing.
func (e *endpoint) Close() error {
	e.mu.Lock()
	e.closed, e.queue = true, nil
	e.mu.Unlock()
	e.signal()
	return nil
}

func (e *endpoint) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(e.addr) }
func (e *endpoint) SetDeadline(t time.Time) error    { return e.SetReadDeadline(t) }
func (e *endpoint) SetWriteDeadline(time.Time) error { return nil } // writing never waits
func (e *endpoint) SetReadBuffer(int) error          { return nil } // which quic-go asks for
func (e *endpoint) SetWriteBuffer(int) error         { return nil }
func (e *endpoint) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	e.deadline = t
	e.mu.Unlock()
	e.signal()
	return nil
}

// oneAddress sends from the only address there is.
type oneAddress struct{ ip net.IP }

func (a oneAddress) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return a.ip, nil }

// overPackets has a host's QUIC go through the simulated network. release is called once the host is closed.
func overPackets(p *packets, addr netip.AddrPort) (option libp2p.Option, release func() error) {
	var manager *quicreuse.ConnManager
	option = libp2p.QUICReuse(
		func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey, opts ...quicreuse.Option) (_ *quicreuse.ConnManager, err error) {
			manager, err = quicreuse.NewConnManager(reset, token, opts...)
			return manager, err
		},
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) {
			return oneAddress{addr.Addr().AsSlice()}, nil
		}),
		quicreuse.OverrideListenUDP(func(string, *net.UDPAddr) (net.PacketConn, error) { return p.listen(addr), nil }),
	)
	return option, func() error {
		if manager == nil {
			return nil
		}
		return manager.Close()
	}
}
