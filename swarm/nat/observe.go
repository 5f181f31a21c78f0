package nat

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/folkmoot/folkmoot/swarm"
)

// Mapping says what a NAT makes of the port that the node listens on, by what others see. The terms are those of RFC 4787, section 4.1.
type Mapping string

const (
	// MappingUnknown: fewer than two hosts have seen the node over that transport from outside.
	MappingUnknown Mapping = "unknown"
	// MappingNone: the node is seen at an address that it has.
	MappingNone Mapping = "none"
	// EndpointIndependent: all see the node at the same address, to which holes can be punched.
	EndpointIndependent Mapping = "endpoint-independent"
	// EndpointDependent: each sees the node at an address of its own. Such a NAT is also called symmetric.
	EndpointDependent Mapping = "endpoint-dependent"
)

// maxObservedPerTransport is how many of the addresses that others see the node at are used, for each transport.
const maxObservedPerTransport = 2

// observed is what others say about where they see the node. It holds one sighting for each open connection between the port that is listened on and another host.
type observed struct {
	network network.Network

	mu   sync.Mutex
	seen map[network.Conn]sighting // guarded by mu
	// outside holds the connections, from whichever port, at whose other end the node is seen at an IP address that it does not have.
	outside map[network.Conn]outsider // guarded by mu
}

// outsider is a peer on the other side of a NAT, with the address of the NAT that it sees.
type outsider struct {
	peer peer.ID
	nat  netip.Addr
}

// sighting is where one peer sees the node.
type sighting struct {
	by        peer.ID
	from      netip.Addr // the observer's
	addr      ma.Multiaddr
	transport string
	outbound  bool
}

func newObserved(n network.Network) *observed {
	return &observed{network: n, seen: make(map[network.Conn]sighting), outside: make(map[network.Conn]outsider)}
}

// note takes in what a peer says and returns whether that is news: an address, or the first that somebody sees of a NAT. What can't be right is left out. A node that is reached by those on its own side dials from any port; of what
// is seen over another port than the one listened on, only that there is a NAT counts.
func (o *observed) note(c network.Conn, addr ma.Multiaddr, own []ma.Multiaddr) bool {
	if c == nil || addr == nil || c.IsClosed() || swarm.IsRelayed(c.RemoteMultiaddr()) {
		return false
	}
	transport := swarm.TransportOf(addr)
	if transport != swarm.TransportOf(c.RemoteMultiaddr()) || transport != "tcp" && transport != "quic-v1" || !dialable(addr) {
		return false
	}
	crossed := o.noteOutside(c, addr, own)
	if !o.listens(c.LocalMultiaddr()) {
		return crossed
	}
	from, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return crossed
	}
	ip, _ := netip.AddrFromSlice(from)
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh := true
	for _, s := range o.seen {
		fresh = fresh && !s.addr.Equal(addr)
	}
	if c.IsClosed() { // forget may have been called already
		return false
	}
	fresh = fresh || crossed
	o.seen[c] = sighting{by: c.RemotePeer(), from: ip.Unmap(), addr: addr, transport: transport, outbound: c.Stat().Direction == network.DirOutbound}
	return fresh
}

// noteOutside takes note of a peer that sees the node at an IP address which is none of its own, and returns whether nobody else does.
func (o *observed) noteOutside(c network.Conn, addr ma.Multiaddr, own []ma.Multiaddr) (first bool) {
	at, ok := ipOf(addr)
	if !ok || len(own) == 0 || slices.ContainsFunc(own, func(a ma.Multiaddr) bool { ip, ok := ipOf(a); return ok && ip == at }) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.IsClosed() {
		return false
	}
	first = true
	for _, other := range o.outside {
		first = first && other.nat != at
	}
	o.outside[c] = outsider{c.RemotePeer(), at}
	return first
}

// ipOf returns the IP address in an address.
func ipOf(a ma.Multiaddr) (netip.Addr, bool) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

// forget drops what was seen over a connection that is closed.
func (o *observed) forget(c network.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.seen, c)
	delete(o.outside, c)
}

// listens says whether a connection's local address has a port that is listened on.
func (o *observed) listens(local ma.Multiaddr) bool {
	for _, l := range o.network.ListenAddresses() {
		if samePort(l, local) {
			return true
		}
	}
	return false
}

// samePort says whether two addresses are of one transport and port.
func samePort(a, b ma.Multiaddr) bool {
	if swarm.TransportOf(a) != swarm.TransportOf(b) {
		return false
	}
	for _, p := range []int{ma.P_TCP, ma.P_UDP} {
		x, errX := a.ValueForProtocol(p)
		y, errY := b.ValueForProtocol(p)
		if errX == nil && errY == nil {
			return x == y
		}
	}
	return false
}

// addrs returns the addresses that the node is seen at, of each transport those that most see.
func (o *observed) addrs() []ma.Multiaddr {
	type count struct {
		addr ma.Multiaddr
		n    int
	}
	counts := make(map[string]map[string]*count)
	o.mu.Lock()
	for _, s := range o.seen {
		of := counts[s.transport]
		if of == nil {
			of = make(map[string]*count)
			counts[s.transport] = of
		}
		c := of[string(s.addr.Bytes())]
		if c == nil {
			c = &count{addr: s.addr}
			of[string(s.addr.Bytes())] = c
		}
		c.n++
	}
	o.mu.Unlock()
	var addrs []ma.Multiaddr
	for _, transport := range []string{"quic-v1", "tcp"} {
		var sorted []*count
		for _, c := range counts[transport] {
			sorted = append(sorted, c)
		}
		slices.SortFunc(sorted, func(a, b *count) int { return cmp.Or(b.n-a.n, a.addr.Compare(b.addr)) })
		for _, c := range sorted[:min(len(sorted), maxObservedPerTransport)] {
			addrs = append(addrs, c.addr)
		}
	}
	return addrs
}

// outsiders returns the peers that see the node at an address that is not one of its own.
func (o *observed) outsiders(own []ma.Multiaddr) map[peer.ID]bool {
	outside := make(map[peer.ID]bool)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.seen {
		if !ma.Contains(own, s.addr) {
			outside[s.by] = true
		}
	}
	for _, s := range o.outside {
		outside[s.peer] = true
	}
	return outside
}

// mapping returns what the NAT makes of the port, for one transport. What hosts on this side of the NAT see, and connections that others made, say nothing about it.
func (o *observed) mapping(transport string, own []ma.Multiaddr) Mapping {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := make(map[string]bool)
	from := make(map[netip.Addr]bool)
	none := false
	for _, s := range o.seen {
		switch {
		case s.transport != transport:
		case ma.Contains(own, s.addr):
			none = true
		case s.outbound:
			at[string(s.addr.Bytes())] = true
			from[s.from] = true
		}
	}
	switch {
	case len(at) > 1:
		return EndpointDependent
	case len(from) > 1:
		return EndpointIndependent
	case len(from) == 0 && none:
		return MappingNone
	}
	return MappingUnknown
}

// dialable says whether an address is one of a single host that others may be able to dial.
func dialable(a ma.Multiaddr) bool {
	if manet.IsIPLoopback(a) || manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a) || swarm.IsRelayed(a) {
		return false
	}
	if ip, err := manet.ToIP(a); err == nil && (ip.IsMulticast() || ip.IsLinkLocalUnicast()) {
		return false
	}
	for _, p := range []int{ma.P_TCP, ma.P_UDP} {
		if port, err := a.ValueForProtocol(p); err == nil && port == "0" {
			return false
		}
	}
	return true
}
