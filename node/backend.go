package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

// pingTimeout bounds a ping with everything before it: finding the peer, learning its id, connecting.
const pingTimeout = 4 * time.Second

// foundByPeers stands in the place of a finder's name where other peers told of a peer, or it connected by itself.
const foundByPeers = "peers"

// backend shows a Node to the HTTP API.
type backend struct{ n *Node }

var _ api.Backend = backend{}

func (b backend) Node(context.Context) (v1.Node, error) {
	n, view := b.n, b.n.View()
	doc := v1.Node{
		ID:        n.ID().String(),
		Network:   v1.Network{Name: n.home.Network, ID: n.home.NetworkID.String(), Open: n.home.Open},
		Zone:      n.cfg.Zone,
		Version:   n.cfg.Version,
		Started:   n.started,
		Addresses: addrStrings(n.Addrs()), Reachability: n.reachability(),
		Peers: v1.Counts{
			Alive:   view.Count(routing.Alive) - 1,
			Suspect: view.Count(routing.Suspect),
			Away:    view.Count(routing.Away),
			Dead:    view.Count(routing.Dead),
		},
		Records: b.records(),
		Ready:   true,
	}
	if err := n.readyError(); err != nil {
		doc.Ready, doc.NotReady = false, err.Error()
	}
	return doc, nil
}

// records sums up what the node holds.
func (b backend) records() v1.Records {
	stats := b.n.store.Stats()
	return v1.Records{
		Stored: stats.Stored, DiskBytes: stats.DiskBytes,
		Wanted: stats.Wanted, Copies: stats.Copies, Quorum: stats.Quorum,
		QuotaBytes: stats.Quota, ShardsHeld: stats.ShardsHeld, ShardsSynced: stats.ShardsSynced,
		Full: stats.Full, Below: stats.Below, Unreachable: stats.Unreachable,
	}
}

func (b backend) Ready(context.Context) error { return b.n.readyError() }

func (b backend) RecordsReady(context.Context) error { return b.n.recordsReadyError() }

func (b backend) Peers(context.Context) ([]v1.Peer, error) {
	view := b.n.View()
	peers := make([]v1.Peer, 0, len(view.Members))
	for _, m := range view.Members {
		peers = append(peers, b.peer(m))
	}
	slices.SortFunc(peers, func(x, y v1.Peer) int { return strings.Compare(x.ID, y.ID) })
	return peers, nil
}

func (b backend) peer(m routing.Member) v1.Peer {
	n := b.n
	p := v1.Peer{
		ID:        m.ID.String(),
		State:     m.State.String(),
		Leaving:   m.Leaving,
		Zone:      m.Zone,
		Version:   m.Version,
		Since:     m.Since,
		LastSeen:  m.LastSeen,
		RTTMicros: m.RTT.Microseconds(),
		Addresses: addrStrings(m.Addrs),
		FoundBy:   n.connector.FoundBy(m.ID),
		Self:      m.ID == n.ID(),
		Relay:     m.Relay,
	}
	switch {
	case p.Self:
		p.Addresses = addrStrings(n.host.Addrs())
	case len(p.FoundBy) == 0:
		p.FoundBy = []string{foundByPeers}
	}
	for _, c := range n.host.Network().ConnsToPeer(m.ID) {
		p.Connected = true
		if by := relayOf(c.RemoteMultiaddr()); by != "" && !slices.Contains(p.RelayedBy, by) {
			p.RelayedBy = append(p.RelayedBy, by)
		}
		if t := swarm.TransportOf(c.RemoteMultiaddr()); !slices.Contains(p.Transports, t) {
			p.Transports = append(p.Transports, t)
		}
	}
	slices.Sort(p.Transports)
	p.Relayed = len(p.Transports) == 1 && len(p.RelayedBy) > 0
	return p
}

// relayOf returns the id of the peer that an address leads through, or "".
func relayOf(a ma.Multiaddr) string {
	if !swarm.IsRelayed(a) {
		return ""
	}
	id, err := a.ValueForProtocol(ma.P_P2P) // the first one
	if err != nil {
		return ""
	}
	return id
}

func (b backend) FindPeer(ctx context.Context, id, via string) (v1.Peer, error) {
	p, err := parsePeerID(id)
	if err != nil {
		return v1.Peer{}, err
	}
	if via != "" {
		return b.seekPeer(ctx, p, via)
	}
	if m, ok := b.n.View().Member(p); ok {
		return b.peer(m), nil
	}
	info, err := b.n.router.FindPeer(ctx, p)
	if err != nil {
		return v1.Peer{}, err
	}
	found := b.peer(routing.Member{ID: p, Addrs: info.Addrs})
	return found, nil
}

// seekPeer asks others for a peer in one way of routing.
func (b backend) seekPeer(ctx context.Context, p peer.ID, via string) (v1.Peer, error) {
	method, err := routing.ParseMethod(via)
	if err != nil {
		return v1.Peer{}, err
	}
	known, ok := b.n.View().Member(p)
	if !ok {
		known = routing.Member{ID: p}
	}
	if p == b.n.ID() {
		return b.peer(known), nil
	}
	info, err := b.n.ways.Finder(method).Seek(ctx, p)
	if err != nil {
		return v1.Peer{}, err
	}
	known.Addrs = info.Addrs
	return b.peer(known), nil
}

func (b backend) Ping(ctx context.Context, target string) (v1.Pong, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	info, err := b.resolve(ctx, target)
	if err != nil {
		return v1.Pong{}, err
	}
	if info.ID == b.n.ID() {
		return v1.Pong{}, fault.New(fault.Invalid, "ping %s: that is this node itself", info.ID)
	}
	if err := b.n.host.Connect(ctx, info); err != nil {
		return v1.Pong{}, fault.New(fault.Unavailable, "connect to %s: %w", info.ID, err)
	}
	rtt, err := swarm.Ping(ctx, b.n.host, info.ID)
	if err != nil {
		return v1.Pong{}, fault.New(fault.Unavailable, "ping %s: %w", info.ID, err)
	}
	pong := v1.Pong{ID: info.ID.String(), RTTMicros: rtt.Microseconds()}
	conns := b.n.host.Network().ConnsToPeer(info.ID)
	slices.SortStableFunc(conns, func(x, y network.Conn) int { // streams take direct ones
		return strings.Compare(relayOf(x.RemoteMultiaddr()), relayOf(y.RemoteMultiaddr()))
	})
	if len(conns) > 0 {
		pong.Address = conns[0].RemoteMultiaddr().String()
	}
	return pong, nil
}

// resolve turns a peer id or a multiaddr into something to connect to.
func (b backend) resolve(ctx context.Context, target string) (peer.AddrInfo, error) {
	if len(target) > 0 && target[0] == '/' {
		return resolveAddr(ctx, target)
	}
	p, err := parsePeerID(target)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	if p == b.n.ID() || b.n.host.Network().Connectedness(p) == network.Connected {
		return peer.AddrInfo{ID: p}, nil
	}
	return b.n.router.FindPeer(ctx, p)
}

func resolveAddr(ctx context.Context, target string) (peer.AddrInfo, error) {
	addr, err := ma.NewMultiaddr(target)
	if err != nil {
		return peer.AddrInfo{}, fault.New(fault.Invalid, "multiaddr %q: %v; an example is /ip4/192.0.2.1/tcp/4242", target, err)
	}
	transport, id := peer.SplitAddr(addr)
	if transport == nil {
		return peer.AddrInfo{}, fault.New(fault.Invalid, "multiaddr %q names a peer and no address: give the peer id alone", target)
	}
	// The address is tried by itself: a peer that is connected through another one would answer all the same.
	if id == "" || swarm.CanLearnPeerID(transport) {
		if id, err = swarm.LearnPeerID(ctx, addr); err != nil {
			return peer.AddrInfo{}, fmt.Errorf("reach %s: %w", target, err)
		}
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{transport}}, nil
}

func parsePeerID(s string) (peer.ID, error) {
	p, err := peer.Decode(s)
	if err != nil {
		return "", fault.New(fault.Invalid, "peer id %q: %v", s, err)
	}
	return p, nil
}

func addrStrings(addrs []ma.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
