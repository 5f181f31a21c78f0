package swarm

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	ma "github.com/multiformats/go-multiaddr"
)

// tcpHeadStart is how long a peer's TCP addresses are tried before its others.
const tcpHeadStart = 250 * time.Millisecond

// RelayProtocol is served by peers that relay for others (circuit relay v2).
const RelayProtocol = proto.ProtoIDv2Hop

// ForgetFailures lets a peer's addresses be dialled at once, though dials failed before.
func ForgetFailures(h host.Host, p peer.ID) {
	if n, ok := h.Network().(interface {
		Backoff() *libp2pswarm.DialBackoff
	}); ok {
		n.Backoff().Clear(p)
	}
}

// rankTCPFirst delays the dials of a peer's addresses so that plain TCP wins where it works. Between peers that keep their connections, TCP costs less CPU and less time
// for each message than QUIC in user space, and the end of a process closes its connections at once. Within the kinds, libp2p's order holds.
func rankTCPFirst(addrs []ma.Multiaddr) []network.AddrDelay {
	var plain, others []ma.Multiaddr
	for _, a := range addrs {
		if TransportOf(a) == "tcp" {
			plain = append(plain, a)
		} else {
			others = append(others, a)
		}
	}
	if len(plain) == 0 {
		return libp2pswarm.DefaultDialRanker(others)
	}
	late := libp2pswarm.DefaultDialRanker(others)
	for i := range late {
		late[i].Delay += tcpHeadStart
	}
	return slices.Concat(libp2pswarm.DefaultDialRanker(plain), late)
}
