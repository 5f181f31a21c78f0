package pubsub

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

// Bounds on topics and messages.
const (
	// MaxTopic and MaxMessage are the length limits of a topic's name and of a message, in bytes.
	MaxTopic   = 1024
	MaxMessage = 64 << 10
	// maxRPC bounds what gossipsub sends at once, in bytes: a message with its signature, or gossip about many.
	maxRPC = 256 << 10
	// MaxTopics is how many topics a node follows at most, and MaxSubscriptions how many subscriptions it has.
	MaxTopics        = 256
	MaxSubscriptions = 1024
	// maxAnnounced is how many topics of one peer are kept in mind; others that it follows are as good as unknown.
	maxAnnounced = 512
	// maxQueued and maxQueuedBytes bound what waits for one subscriber. What is older is dropped, and counted for it.
	maxQueued      = 1024
	maxQueuedBytes = 8 << 20
	// gossipQueue is how many messages wait between gossipsub and a topic's subscribers, which never make it wait.
	gossipQueue = 256
	// outboundQueue is how many RPCs wait for one neighbour; more are dropped, and made up for by gossip.
	outboundQueue = 128
	// maxSkew is how far the time that a message says it was published at may be from this node's, so that nobody can play an old one again: what is younger is remembered as seen, for seenFor.
	maxSkew = 2 * time.Minute
	seenFor = 5 * time.Minute
	// exchangeRate and exchangeBurst are how many connections a second, and at once, a node makes since neighbours that have no room for it in their meshes named others.
	exchangeRate  = 1
	exchangeBurst = 16
	// settleTime is how long after it began a publication waits for neighbours to say what they follow, where none has said so.
	settleTime = 2 * time.Second
	settlePoll = 20 * time.Millisecond
)

// Config configures a Service.
type Config struct {
	// Host is what messages travel through. Its key signs them.
	Host    host.Host
	Network swarm.NetworkID
	// Admits says whether messages of an author are passed on and delivered; nil: everybody's. It must not block.
	Admits func(author peer.ID) bool
	// Meet returns at which peers the followers of a topic meet, of which this node may be one; none where everybody is connected to everybody. nil: never any.
	Meet func(ctx context.Context, topic string) ([]peer.AddrInfo, error)
	// Here says whether this node may be one of those peers, as far as it knows without asking anybody; nil: it may. It must not block.
	Here func(topic string) bool
	// Known returns where a peer is, as far as this node knows by itself; nothing: it doesn't. Of the peers that neighbours name, only such are connected to; nil: none. It must not block.
	Known      func(peer.ID) []ma.Multiaddr
	Registerer prometheus.Registerer // nil: no metrics
	Logger     *slog.Logger          // nil: silent
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *Config) Validate() error {
	if c.Host == nil || c.Network == (swarm.NetworkID{}) {
		return fault.New(fault.Invalid, "pubsub: Host and Network are needed")
	}
	return nil
}

// Protocol returns the id of the protocol under which a network's peers gossip.
func Protocol(n swarm.NetworkID) protocol.ID { return n.Protocol("gossip/1") }

// topicPrefix is what a topic's name is preceded by on the wire, so that a message means nothing in another network, its signature included.
func topicPrefix(n swarm.NetworkID) string { return n.SigningDomain("topic") + "/" }

// Reserved is what the names of the program's own topics begin with.
const Reserved = "moot/"

// CheckTopic returns an error of kind fault.Invalid, or fault.TooLarge, for what is no name of a topic that users may have: 1 to MaxTopic bytes of UTF-8 without control characters, as of a record's key, and
// not Reserved.
func CheckTopic(name string) error {
	if strings.HasPrefix(name, Reserved) {
		return fault.New(fault.Invalid, "topic %q: names that begin with %s are the program's own", name, Reserved)
	}
	return checkName(name)
}

func checkName(name string) error {
	switch {
	case name == "":
		return fault.New(fault.Invalid, "the topic is empty")
	case len(name) > MaxTopic:
		return fault.New(fault.TooLarge, "the topic has %d bytes: at most %d are allowed", len(name), MaxTopic)
	case !utf8.ValidString(name):
		return fault.New(fault.Invalid, "topic %q is not UTF-8", name)
	}
	for i, r := range name {
		if unicode.IsControl(r) {
			return fault.New(fault.Invalid, "topic %q has a control character at byte %d", name, i)
		}
	}
	return nil
}
