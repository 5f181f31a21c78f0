// Package discovery finds peers and connects to them. How peers are found is the business of the finders, one package
// each (mdns, static, dns, kademlia, peercache); the Connector turns what they find into connections.
package discovery

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A Finder looks for peers of the node's own network in one way.
type Finder interface {
	// Name is the finder's short lower-case name, as shown to users: "mdns", "dns".
	Name() string
	// Find reports every peer that it finds, and again when it sees a change or a peer anew, until ctx ends; then
	// it stops what it started and returns nil. Trouble that may pass is logged and retried, not returned.
	//
	// found never blocks for long and may be called from several goroutines. The ID may be empty where only an
	// address is known; it is then learned from the peer's secure handshake. What is found is a hint and may be wrong or
	// hostile: nothing is believed until the handshake has proven it.
	Find(ctx context.Context, found func(peer.AddrInfo)) error
}
