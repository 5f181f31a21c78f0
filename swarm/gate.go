package swarm

import (
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// A Gate decides who may connect. The swarm asks it on every transport, in both directions, once the secure
// handshake has proven the other peer's identity and before any protocol is served; a refused connection is closed without a
// stream having been opened. Methods are called from many goroutines and must not block.
type Gate interface {
	// AdmitPeer returns nil if p may be connected to; the error says why not and is logged. remote is nil where it is not known.
	AdmitPeer(p peer.ID, remote ma.Multiaddr, dir network.Direction) error
}

// OpenGate admits everybody: the gate of open networks.
type OpenGate struct{}

// AdmitPeer always returns nil.
func (OpenGate) AdmitPeer(peer.ID, ma.Multiaddr, network.Direction) error { return nil }
