package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// testPatience is how long the nodes of these tests wait for one another: a machine that is busy may hold one up for longer than callers are to wait.
const testPatience = 20 * time.Second

// Patient returns the configuration with testPatience.
func (c Config) Patient() Config {
	c.patience = testPatience
	return c
}

// Brisk makes a validator ask the others often, and take those that don't answer for absent soon.
func (v *ValidatorConfig) Brisk() {
	v.interval, v.patience = 100*time.Millisecond, 4*time.Second
}

// RecordsReady is what /readyz/records asks.
func (n *Node) RecordsReady() error { return n.recordsReadyError() }

// Protocols are those that others can speak with the node.
func (n *Node) Protocols() []protocol.ID { return n.host.Mux().Protocols() }

// Connected tells whether there is a connection to a peer.
func (n *Node) Connected(p peer.ID) bool { return len(n.host.Network().ConnsToPeer(p)) > 0 }

// Weigh says what the node makes of a member that refuses it: why it ends, if it does.
func (n *Node) Weigh(by peer.ID, err error) error { return n.weighRefusal(refusal{by, err}) }
