package node

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm/nat"
)

func (n *Node) newTraversal() (*nat.Traversal, error) {
	t, err := nat.New(nat.Config{
		Network:    n.home.NetworkID,
		Relay:      n.cfg.Relay,
		Private:    n.cfg.PrivateWAN,
		Announce:   n.cfg.Announce,
		Restarted:  []protocol.ID{routing.KademliaProtocol(n.home.NetworkID)},
		Registerer: n.metrics,
		Logger:     n.cfg.Logger.With("part", "nat"),
	})
	if err != nil {
		return nil, fmt.Errorf("look for ways through NATs: %w", err)
	}
	return t, nil
}

func (n *Node) openTraversal(crypto.PrivKey) error {
	if err := n.nat.Open(n.host, natPeers{n}); err != nil {
		return fmt.Errorf("look for ways through NATs: %w", err)
	}
	n.onClose("end the ways through NATs", n.nat.Close)
	return nil
}

// natPeers shows the view to the NAT traversal.
type natPeers struct{ n *Node }

var _ nat.Peers = natPeers{}

// Alive lists those who are believed to run.
func (m natPeers) Alive() []peer.ID {
	var ids []peer.ID
	for _, p := range m.n.membership.View().Members {
		if p.State == routing.Alive && p.ID != m.n.ID() {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// relayStep is by how much a relay must be nearer to be preferred: those that are about as near share the load.
const relayStep = 20 * time.Millisecond

// Relays lists those that relay, the nearest first.
func (m natPeers) Relays() []peer.AddrInfo {
	var found []routing.Member
	for _, p := range m.n.membership.View().Members {
		if p.Relay && p.State == routing.Alive && p.ID != m.n.ID() && !p.Leaving {
			found = append(found, p)
		}
	}
	rand.Shuffle(len(found), func(i, k int) { found[i], found[k] = found[k], found[i] })
	slices.SortStableFunc(found, func(a, b routing.Member) int { return cmp.Compare(a.RTT/relayStep, b.RTT/relayStep) })
	infos := make([]peer.AddrInfo, len(found))
	for i, p := range found {
		infos[i] = peer.AddrInfo{ID: p.ID, Addrs: p.Addrs}
	}
	return infos
}

// Member says whether a peer is of the network: the view holds it, or it speaks the network's membership protocol and is about to be in a view that is only partial.
func (m natPeers) Member(p peer.ID) bool {
	if !m.n.admits(p) {
		return false
	}
	if _, known := m.n.membership.View().Member(p); known {
		return true
	}
	spoken, err := m.n.host.Peerstore().SupportsProtocols(p, routing.MembershipProtocol(m.n.home.NetworkID))
	return err == nil && len(spoken) > 0
}

// portMapUseful says whether a router may have a port to map: only where the node listens at a private address.
func portMapUseful(listen []ma.Multiaddr) bool {
	for _, a := range listen {
		if manet.IsPrivateAddr(a) && !manet.IsIPLoopback(a) {
			return true
		}
	}
	if len(listen) > 0 && !slices.ContainsFunc(listen, manet.IsIPUnspecified) {
		return false
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		ip, ok := a.(*net.IPNet)
		return ok && ip.IP.To4() != nil && ip.IP.IsPrivate()
	})
}

// reachability is what the API says of how the node can be reached.
func (n *Node) reachability() *v1.Reachability {
	s := n.nat.Status()
	doc := &v1.Reachability{
		State: string(s.State), NATTCP: string(s.Mapping["tcp"]), NATQUIC: string(s.Mapping["quic-v1"]), Addresses: []v1.ReachableAddress{},
		Relays: []string{}, HolePunches: s.Punched, HolePunchesFailed: s.Failed,
	}
	for _, a := range s.Addrs {
		doc.Addresses = append(doc.Addresses, v1.ReachableAddress{Address: a.Addr.String(), State: string(a.State), Observed: !a.Own})
	}
	for _, p := range s.Relays {
		doc.Relays = append(doc.Relays, p.String())
	}
	if r := s.Relaying; r.Serving {
		doc.Relaying = &v1.Relaying{Reservations: r.Reservations, Circuits: r.Circuits, Bytes: r.Bytes}
	}
	return doc
}
