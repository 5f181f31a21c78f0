package routing

import (
	"context"
	"crypto/sha256"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A Router finds peers by asking others. Implementations are exchangeable: each passes routingtest's conformance suite.
type Router interface {
	// FindPeer returns p's addresses. It is fault.NotFound when enough peers were asked and none knew p, and
	// fault.Unavailable when ctx ended first or nobody could be asked.
	FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error)
	// ClosestPeers returns up to n peers, nearest first, whose Kademlia ids (SHA-256 of the peer id) are closest by XOR to the SHA-256 of key. Only
	// peers that are believed alive are returned; the node itself may be among them. An empty key is fault.Invalid; fault.Unavailable says that
	// ctx ended first.
	ClosestPeers(ctx context.Context, key []byte, n int) ([]peer.ID, error)
	// ClosestPeersTo returns up to n peers, nearest first, whose Kademlia ids are closest by XOR to target, which is not hashed again. As with ClosestPeers, only peers that
	// are believed alive are returned, and the node itself may be among them. It is fault.Unavailable when ctx ended first, or when who is closest can't be told.
	ClosestPeersTo(ctx context.Context, target [sha256.Size]byte, n int) ([]peer.AddrInfo, error)
}
