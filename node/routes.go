package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/pubsub"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/swim"
)

// openTopics opens publish and subscribe, and the ways of finding peers, one of which needs it. Gossip sleeps until it is used.
func (n *Node) openTopics() (err error) {
	n.topics, err = pubsub.New(pubsub.Config{
		Host:       n.host,
		Network:    n.home.NetworkID,
		Meet:       n.meetingPeers,
		Here:       n.meetsHere,
		Known:      n.whereabouts,
		Admits:     n.admits,
		Registerer: n.metrics,
		Logger:     n.cfg.Logger.With("part", "pubsub"),
	})
	if err != nil {
		return fmt.Errorf("open publish and subscribe: %w", err)
	}
	n.onClose("close publish and subscribe", n.topics.Close)
	n.ways, err = routing.NewWays(routing.LookupConfig{Membership: n.membership, Others: n.kademlia}, n.topics)
	if err != nil {
		return fmt.Errorf("open the ways of routing: %w", err)
	}
	n.onClose("close the ways of routing", n.ways.Close)
	n.finder = n.ways.Finder(n.cfg.Routing)
	n.router = routing.NewLayeredRouter(routing.NewViewRouter(n.host, n.membership), n.finder)
	return nil
}

// meetingPeers returns where the followers of a topic meet: nowhere in particular while everybody is connected to everybody.
func (n *Node) meetingPeers(ctx context.Context, topic string) ([]peer.AddrInfo, error) {
	if view := n.View(); !view.Partial && view.Count(routing.Alive, routing.Suspect) <= swim.Default().LargeNetwork {
		return nil, nil
	}
	return n.router.ClosestPeersTo(ctx, sha256.Sum256([]byte(topic)), pubsub.MeetingPeers)
}

// meetsHere says whether the node may be one of the meeting peers of a topic: it is not where it knows as many that are nearer. That spares a search for each topic that anybody says it follows.
func (n *Node) meetsHere(topic string) bool {
	return slices.Contains(n.View().Nearest(sha256.Sum256([]byte(topic)), pubsub.MeetingPeers), n.ID())
}

// whereabouts returns the addresses of a peer that this node takes for alive.
func (n *Node) whereabouts(p peer.ID) []ma.Multiaddr {
	m, ok := n.View().Member(p)
	if !ok || m.State != routing.Alive || p == n.ID() {
		return nil
	}
	return m.Addrs
}

// Topics returns the node's publish and subscribe.
func (n *Node) Topics() *pubsub.Service { return n.topics }
