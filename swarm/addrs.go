package swarm

import (
	"fmt"

	ma "github.com/multiformats/go-multiaddr"
)

// DefaultPort is the port that peers listen on, TCP and UDP.
const DefaultPort = 4242

// DefaultListen returns addresses for TCP and QUIC on every interface, IPv4 and IPv6, all with the same port.
func DefaultListen(port int) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, ip := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
		addrs = append(addrs,
			ma.StringCast(fmt.Sprintf("%s/tcp/%d", ip, port)),
			ma.StringCast(fmt.Sprintf("%s/udp/%d/quic-v1", ip, port)))
	}
	return addrs
}

// TransportOf returns the transport that an address is for: "tcp", "quic-v1", "ws", "wss", "webtransport", "webrtc-direct", or "relay" when
// the way to the peer leads through another one. It is empty when the address names none of them.
func TransportOf(addr ma.Multiaddr) string {
	var transport string
	secure := false
	ma.ForEach(addr, func(c ma.Component) bool {
		switch c.Protocol().Code {
		case ma.P_CIRCUIT:
			transport = "relay"
			return false
		case ma.P_TCP:
			transport = "tcp"
		case ma.P_TLS:
			secure = true
		case ma.P_WS:
			transport = "ws"
			if secure {
				transport = "wss"
			}
		case ma.P_WSS:
			transport = "wss"
		case ma.P_QUIC_V1:
			transport = "quic-v1"
		case ma.P_WEBTRANSPORT:
			transport = "webtransport"
		case ma.P_WEBRTC_DIRECT:
			transport = "webrtc-direct"
		}
		return true
	})
	return transport
}

// IsRelayed says whether the way to an address leads through another peer.
func IsRelayed(addr ma.Multiaddr) bool { return TransportOf(addr) == "relay" }

func hasPeerID(addr ma.Multiaddr) bool {
	_, err := addr.ValueForProtocol(ma.P_P2P)
	return err == nil
}

// announcing returns the function by which libp2p turns the host's addresses into those that others are told: all of them, or what the traversal makes of them, and
// the announced ones, each once. Those of loopback stay, so that peers of one machine find one another; identify leaves
// them out where they are of no use.
func announcing(announce []ma.Multiaddr, traversal Traversal) func([]ma.Multiaddr) []ma.Multiaddr {
	return func(own []ma.Multiaddr) []ma.Multiaddr {
		if traversal != nil {
			own = traversal.Addrs(own)
		}
		all := make([]ma.Multiaddr, 0, len(own)+len(announce))
		all = append(all, own...)
		return ma.Unique(append(all, announce...))
	}
}
