package swarm

import (
	"log/slog"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater asks the Gate where libp2p asks whether a connection may be.
type gater struct {
	gate Gate
	// receives says that strangers who come by themselves are talked with, apart from the host.
	receives bool
	logger   *slog.Logger
}

func (g gater) admit(p peer.ID, remote ma.Multiaddr, dir network.Direction) bool {
	err := g.gate.AdmitPeer(p, remote, dir)
	if err != nil {
		g.logger.Debug("connection refused", "peer", p, "address", remote, "direction", dir.String(), "reason", err)
	}
	return err == nil
}

// InterceptPeerDial leaves the decision to InterceptAddrDial, which knows the address.
func (g gater) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAddrDial spares the dial where the peer would be refused after it.
func (g gater) InterceptAddrDial(p peer.ID, addr ma.Multiaddr) bool {
	return g.admit(p, addr, network.DirOutbound)
}

// InterceptAccept lets everybody in as far as the handshake, which tells who it is.
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured decides once the handshake has proven who the peer is.
func (g gater) InterceptSecured(dir network.Direction, p peer.ID, addrs network.ConnMultiaddrs) bool {
	if g.receives && dir == network.DirInbound {
		return true // the listeners ask the gate
	}
	return g.admit(p, addrs.RemoteMultiaddr(), dir)
}

// InterceptUpgraded asks once more where a stranger may have come so far: membership may have ended meanwhile.
func (g gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return !g.receives || g.admit(c.RemotePeer(), c.RemoteMultiaddr(), c.Stat().Direction), 0
}
