package swarm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// tcpTransport is libp2p's TCP transport, but for the ports. A hole in a NAT leads to the port that a connection was made from, which must then be the one that is listened on; libp2p
// sets SO_REUSEPORT on its listeners for that, with which a second node could listen on the port of the first, and take half of its connections unnoticed. Here a listener is bound
// without, so that the port is its own, and gets the option afterwards: what is bound later, with the option, can only be dials of the same user. See docs/adr/0015.
type tcpTransport struct {
	*tcp.TcpTransport
	upgrader transport.Upgrader
	dialer   *tcpDialer
}

// newTCPTransport returns the constructor that libp2p wants.
func newTCPTransport(t Traversal) func(transport.Upgrader, network.ResourceManager) (*tcpTransport, error) {
	return func(upgrader transport.Upgrader, rm network.ResourceManager) (*tcpTransport, error) {
		d := &tcpDialer{traversal: t, listeners: make(map[netip.AddrPort]int)}
		plain, err := tcp.NewTCPTransport(upgrader, rm, nil, tcp.DisableReuseport(), tcp.WithDialerForAddr(d.forAddr))
		if err != nil {
			return nil, err
		}
		return &tcpTransport{TcpTransport: plain, upgrader: upgrader, dialer: d}, nil
	}
}

// Listen listens on an address that is nobody else's.
func (t *tcpTransport) Listen(addr ma.Multiaddr) (transport.Listener, error) {
	network, local, err := manet.DialArgs(addr)
	if err != nil {
		return nil, err
	}
	plain, err := net.Listen(network, local)
	if err != nil {
		return nil, err
	}
	l, err := manet.WrapNetListener(plain)
	if err != nil {
		plain.Close()
		return nil, err
	}
	t.dialer.listen(plain)
	gated := &tcpListener{GatedMaListener: t.upgrader.GateMaListener(l), closed: sync.OnceFunc(func() { t.dialer.unlisten(plain) })}
	return t.upgrader.UpgradeGatedMaListener(t, gated), nil
}

// tcpListener prepares connections that were accepted, as libp2p does.
type tcpListener struct {
	transport.GatedMaListener
	closed func()
}

// Close ends the listener.
func (l *tcpListener) Close() error {
	l.closed()
	return l.GatedMaListener.Close()
}

// Accept waits for a connection. One that ends is reset rather than left in TIME-WAIT, so that the same two ports can be used again at once.
func (l *tcpListener) Accept() (manet.Conn, network.ConnManagementScope, error) {
	c, scope, err := l.GatedMaListener.Accept()
	if err != nil {
		return nil, nil, err
	}
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	if t, ok := c.(interface{ SetKeepAlive(bool) error }); ok {
		_ = t.SetKeepAlive(true)
	}
	return c, scope, nil
}

// tcpDialer dials from a port that is listened on where the traversal says so.
type tcpDialer struct {
	traversal Traversal // may be nil

	mu        sync.Mutex
	listeners map[netip.AddrPort]int // guarded by mu; those whose port can be dialled from, and how often each is there
}

// listen notes a listener, if its port can be shared with dials on this system.
func (d *tcpDialer) listen(l net.Listener) {
	if addr, ok := addrPort(l.Addr()); ok && d.traversal != nil && sharePort(l) == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.listeners[addr]++
	}
}

func (d *tcpDialer) unlisten(l net.Listener) {
	addr, ok := addrPort(l.Addr())
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listeners[addr]--; d.listeners[addr] <= 0 {
		delete(d.listeners, addr)
	}
}

// sharePort lets later dials be bound to a listener's port.
func sharePort(l net.Listener) error {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return errors.ErrUnsupported
	}
	conn, err := t.SyscallConn()
	if err != nil {
		return err
	}
	return reusePort(conn)
}

func addrPort(a net.Addr) (netip.AddrPort, bool) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), true
}

// forAddr returns the dialer for an address, as libp2p wants it.
func (d *tcpDialer) forAddr(remote ma.Multiaddr) (tcp.ContextDialer, error) {
	if d.traversal != nil && d.traversal.FromListenPort(remote) {
		if ip, err := manet.ToIP(remote); err == nil {
			if a, ok := netip.AddrFromSlice(ip); ok {
				if local, ok := d.port(a.Unmap()); ok {
					return portDialer{local}, nil
				}
			}
		}
	}
	return &net.Dialer{}, nil
}

// port returns the address to dial from to a remote one. A listener on every interface comes first; one on a single address serves where that is no loopback address.
func (d *tcpDialer) port(remote netip.Addr) (netip.AddrPort, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found netip.AddrPort
	for l := range d.listeners {
		if l.Addr().Is4() != remote.Is4() || l.Addr().IsLoopback() != remote.IsLoopback() && !l.Addr().IsUnspecified() {
			continue
		}
		if !found.IsValid() || l.Addr().IsUnspecified() {
			found = l
		}
	}
	return found, found.IsValid()
}

// portDialer dials from a port that is listened on. Where that can't be, since the same two ports are connected already or the address is not of this way, it dials from any.
type portDialer struct{ local netip.AddrPort }

// DialContext dials.
func (p portDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(p.local), Control: reusePortControl}
	c, err := d.DialContext(ctx, network, address)
	if err != nil && isBindError(err) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return c, err
}
