package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// maxInvitePeers is the most members whose addresses an invite names.
	maxInvitePeers = 3
	// maxOtherAddrs is how many addresses it names of a member other than the inviter: those that it listens on, and those that it was told to announce, are TCP and QUIC each.
	maxOtherAddrs = 4
)

// inviteAddrs returns where whoever is invited gets in: at the node, or at any other member that can be dialled, since each can admit. Addresses that were given are taken as they are.
func (u *ledgerUser) inviteAddrs(ctx context.Context, announced []string) ([]ma.Multiaddr, error) {
	self, err := u.client.Node(ctx)
	if err != nil {
		return nil, u.app.askFailed("ask for the node's addresses", "", err)
	}
	given, err := parseAddrs("announce", announced, "/dns4/peer.example.org/tcp/4242")
	if err != nil {
		return nil, err
	}
	peers, err := u.client.Peers(ctx)
	if err != nil {
		return nil, u.app.askFailed("ask for the peers", "", err)
	}
	return doors(&self, given, peers)
}

// doors is inviteAddrs for what the node has said. It is fault.Conflict, with what to do, when nobody is known that could be dialled.
func doors(self *v1.Node, given []ma.Multiaddr, peers []v1.Peer) ([]ma.Multiaddr, error) {
	id, err := peer.Decode(self.ID)
	if err != nil {
		return nil, err
	}
	front, own, others := withID(given, id), outsideAddrs(self.Addresses, id), othersDoors(peers)
	hidden := self.Reachability != nil && self.Reachability.State == "unreachable"
	switch {
	case len(front)+len(others) == 0 && hidden:
		return nil, advise(fault.New(fault.Conflict, "nobody who is invited could get in: other members can't dial this node, and it knows no member that can be dialled"),
			`forward a port to it and say where: --announce /ip4/ADDRESS/tcp/4242; or have a node at a public address be a member: there "moot init --genesis FILE && moot run", here "moot members admit PEER" and "moot run --bootstrap" with its address`)
	case len(front)+len(others)+len(own) == 0:
		return nil, advise(fault.New(fault.Conflict, "no address of this node is reachable from outside: it listens on %s", listOr(self.Addresses, "nothing")),
			`run the node with --listen on an address of the network (the default is all), or tell where a router leads to it: --announce /ip4/ADDRESS/tcp/4242`)
	}
	first, second := own, others
	if hidden { // its own are of use in its own private network only
		first, second = others, own
	}
	rest := slices.Concat(first, second)
	slices.SortStableFunc(rest, func(x, y ma.Multiaddr) int { return privateRank(x) - privateRank(y) })
	all := uniqueAddrs(append(front, rest...))
	return all[:min(len(all), admission.MaxLineAddrs)], nil
}

// othersDoors returns addresses of other members that are there and can be dialled: those who relay first, since others have dialled them at a public address, and nobody who is reached through relays himself.
func othersDoors(peers []v1.Peer) (addrs []ma.Multiaddr) {
	peers = slices.Clone(peers)
	slices.SortStableFunc(peers, func(x, y v1.Peer) int { return cmp.Compare(doorRank(&x), doorRank(&y)) })
	named := 1 // the node itself
	for _, p := range peers {
		id, err := peer.Decode(p.ID)
		if err != nil || p.Self || p.State != "alive" || p.Leaving || named >= maxInvitePeers || slices.ContainsFunc(p.Addresses, leadsThroughRelay) {
			continue
		}
		if more := outsideAddrs(p.Addresses, id); len(more) > 0 {
			named++
			addrs = append(addrs, more[:min(len(more), maxOtherAddrs)]...)
		}
	}
	return addrs
}

// doorRank orders peers by how likely it is that somebody outside can dial them.
func doorRank(p *v1.Peer) int {
	switch {
	case p.Relay:
		return 0
	case slices.ContainsFunc(p.Addresses, isPublic):
		return 1
	}
	return 2
}

func leadsThroughRelay(text string) bool {
	addr, err := ma.NewMultiaddr(text)
	return err == nil && swarm.IsRelayed(addr)
}

func isPublic(text string) bool {
	addr, err := ma.NewMultiaddr(text)
	return err == nil && manet.IsPublicAddr(addr)
}

func listOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, " and ")
}

// outsideAddrs returns those addresses that another machine can dial, public ones first, and of each kind TCP and QUIC, each ending in the peer's id. Those that lead through a relay are for members only.
func outsideAddrs(texts []string, id peer.ID) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil || manet.IsIPLoopback(addr) || manet.IsIPUnspecified(addr) || isLinkLocal(addr) || swarm.TransportOf(addr) == "" || swarm.IsRelayed(addr) {
			continue
		}
		addrs = append(addrs, addr)
	}
	slices.SortStableFunc(addrs, func(x, y ma.Multiaddr) int { return outsideRank(x) - outsideRank(y) })
	return withID(addrs, id)
}

func outsideRank(addr ma.Multiaddr) int {
	rank := 2 * privateRank(addr)
	switch swarm.TransportOf(addr) {
	case "tcp", "quic-v1":
		return rank
	}
	return rank + 1
}

func privateRank(addr ma.Multiaddr) int {
	if manet.IsPrivateAddr(addr) {
		return 1
	}
	return 0
}

// uniqueAddrs returns addresses in their order, each once.
func uniqueAddrs(addrs []ma.Multiaddr) (list []ma.Multiaddr) {
	for _, a := range addrs {
		if !ma.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

func isLinkLocal(addr ma.Multiaddr) bool {
	ip, err := manet.ToIP(addr)
	return err == nil && ip.IsLinkLocalUnicast()
}

// withID has each address end in a peer's id.
func withID(addrs []ma.Multiaddr, id peer.ID) (list []ma.Multiaddr) {
	for _, addr := range addrs {
		if transport, there := peer.SplitAddr(addr); transport != nil && (there == "" || there == id) {
			one, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{transport}})
			if err == nil {
				list = append(list, one...)
			}
		}
	}
	return list
}
