package swarm

import (
	"log/slog"

	"github.com/libp2p/go-libp2p/core/crypto"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// MinConnections is the least MaxConnections: fewer would not do for a small network.
	MinConnections = 16
	// maxListen and maxAnnounce bound the number of addresses in a Config. Identify sends them all to every peer, in at most 8 KiB.
	maxListen   = 32
	maxAnnounce = 32
	// maxUserAgent is the length limit of the user agent, in bytes.
	maxUserAgent = 128
)

// Config configures a host.
type Config struct {
	// Key is the node's identity, an Ed25519 key.
	Key crypto.PrivKey
	// Network is what the node belongs to. Identify tells it to other peers.
	Network NetworkID
	// Listen are the addresses to listen on, each of which must work. Empty means DefaultListen(DefaultPort), of which those
	// of an IP version that the machine does not have are left out.
	Listen []ma.Multiaddr
	// Announce are addresses that others are told, in addition to those that are listened on.
	Announce []ma.Multiaddr
	// Gate decides who may connect; nil means OpenGate.
	Gate Gate
	// Traversal finds ways to the node through NATs and firewalls; nil: it is reached at its own addresses or not at all, and dials no relayed address.
	Traversal Traversal
	// PortMap asks the router for a port that leads here, by UPnP or NAT-PMP.
	PortMap bool
	// Reception talks with those that the gate refuses; nil: their connections are closed.
	Reception *Reception
	// MaxConnections is the most connections that are ever open; connections are trimmed some way below it. 0 means what the machine's
	// memory and file descriptors allow.
	MaxConnections int
	// Registerer gets the host's metrics until the host is closed; nil means no metrics.
	Registerer prometheus.Registerer
	// Logger may be nil.
	Logger *slog.Logger
	// UserAgent is the program's name and version as told to other peers; empty means "moot".
	UserAgent string
}

// A Traversal is what a host asks while it is being reached through NATs and firewalls. Its methods are called from many goroutines and must not block. Package nat has one.
type Traversal interface {
	// Addrs turns the addresses that the host has into those that others are told.
	Addrs(own []ma.Multiaddr) []ma.Multiaddr
	// FromListenPort says whether the TCP connection to an address is to leave from the port that is listened on, so that a NAT gives both the same port outside.
	FromListenPort(remote ma.Multiaddr) bool
}

// Validate returns an error of kind fault.Invalid when no host can be made of the configuration.
func (c *Config) Validate() error {
	switch {
	case c.Key == nil:
		return fault.New(fault.Invalid, "swarm: no identity key")
	case c.Key.Type() != crypto.Ed25519:
		return fault.New(fault.Invalid, "swarm: the identity key is of type %s, want Ed25519", c.Key.Type())
	case c.Network == NetworkID{}:
		return fault.New(fault.Invalid, "swarm: no network id")
	case len(c.Listen) > maxListen:
		return fault.New(fault.Invalid, "swarm: %d addresses to listen on, at most %d", len(c.Listen), maxListen)
	case len(c.Announce) > maxAnnounce:
		return fault.New(fault.Invalid, "swarm: %d addresses to announce, at most %d", len(c.Announce), maxAnnounce)
	case c.MaxConnections != 0 && c.MaxConnections < MinConnections:
		return fault.New(fault.Invalid, "swarm: at most %d connections: want %d or more, or 0 for what the machine allows", c.MaxConnections, MinConnections)
	case len(c.UserAgent) > maxUserAgent:
		return fault.New(fault.Invalid, "swarm: user agent of %d bytes, at most %d", len(c.UserAgent), maxUserAgent)
	}
	if r := c.Reception; r != nil && (r.Protocol == "" || r.Receive == nil) {
		return fault.New(fault.Invalid, "swarm: a reception without protocol, or that talks with nobody")
	}
	return c.validateAddrs()
}

func (c *Config) validateAddrs() error {
	for _, a := range c.Listen {
		switch transport := TransportOf(a); transport {
		case "tcp", "quic-v1", "ws", "webtransport", "webrtc-direct":
		case "":
			return fault.New(fault.Invalid, "listen on %s: the address names no transport; want for example /ip4/0.0.0.0/tcp/%d", a, DefaultPort)
		default:
			return fault.New(fault.Invalid, "listen on %s: transport %s is for dialling only", a, transport)
		}
		if hasPeerID(a) {
			return fault.New(fault.Invalid, "listen on %s: leave out /p2p/…, the peer id is the node's own", a)
		}
	}
	for _, a := range c.Announce {
		if TransportOf(a) == "" {
			return fault.New(fault.Invalid, "announce %s: the address names no transport; want for example /dns4/example.org/tcp/%d", a, DefaultPort)
		}
		if hasPeerID(a) {
			return fault.New(fault.Invalid, "announce %s: leave out /p2p/…, the peer id is the node's own", a)
		}
	}
	return nil
}

// withDefaults returns the configuration with its optional values filled in.
func (c Config) withDefaults() Config {
	if c.Gate == nil {
		c.Gate = OpenGate{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.UserAgent == "" {
		c.UserAgent = "moot"
	}
	return c
}
