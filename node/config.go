package node

import (
	"context"
	"crypto/ed25519"
	"io/fs"
	"log/slog"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing/otlp"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
	"github.com/folkmoot/folkmoot/ledger/state"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/nat"
)

// Config describes a node. Home and Network must be set; the zero value of everything else is a sensible default.
type Config struct {
	// Home is the folder that holds the node's identity and data; it is made when it does not exist. One node at a
	// time may use it.
	Home string
	// Network is the name of the open network to enter. Empty means the network that Home was made for.
	Network string
	// Zone is the failure domain that copies are spread over; on Kubernetes, the name of the cluster's node. May be empty.
	Zone string
	// Listen holds the multiaddrs to listen on; empty means TCP and QUIC on swarm.DefaultPort, IPv4 and IPv6.
	Listen []ma.Multiaddr
	// Announce holds multiaddrs at which the node is reached from outside, told to others beside those it listens on.
	Announce []ma.Multiaddr
	// Relay says whether the node relays for members that can't be reached otherwise; empty means nat.ServeAuto: while others can dial it at a public address.
	Relay nat.Serving
	// PrivateWAN says that members reach one another over private addresses with NATs between their sites, as in a company's wide-area network.
	PrivateWAN bool
	// PortMap asks the router for a port that leads to the node, by UPnP or NAT-PMP. It is not asked where the node has no private address.
	PortMap bool
	// Bootstrap holds multiaddrs of peers to try first, with or without their /p2p part.
	Bootstrap []ma.Multiaddr
	// DNS holds names, each NAME or NAME:PORT, whose A, AAAA and SRV answers are peers: a headless Service of Kubernetes.
	DNS []string
	// MDNS looks for peers on the local links.
	MDNS bool
	// Copies is how many copies of each record are wanted, 1 to MaxCopies; 0 means DefaultCopies.
	Copies int
	// Routing is how peers are found that the view does not hold, and with them the holders of records; empty means routing.DefaultMethod.
	Routing routing.Method
	// AwayGrace is how long others wait for this node's return after it stopped; 0 means DefaultAwayGrace.
	AwayGrace time.Duration
	// Quota bounds the bytes of disk that records use; 0 means no bound. Over it new ones are refused with fault.Full; deletions are taken, and nothing is dropped.
	Quota int64
	// MaxConnections bounds the connections to other peers; 0 means sized from the machine.
	MaxConnections int
	// Rejoin lets a node that left its network for good enter it again, with its identity. For any other it changes nothing.
	Rejoin bool
	// NoLedger keeps records only, in a network that has a ledger.
	NoLedger bool
	// Validator makes the node one of the validators that vote one another in by a secret; nil: it is none of them. Home must hold a validator's key.
	Validator *ValidatorConfig
	// Ledger says how the ledger is kept, where the network has one.
	Ledger LedgerConfig
	// Signers are keys of accounts with which the node signs transfers for callers of its API that show a token of the scope admin, at most MaxSigners. None may be the node's identity or the key that it votes with.
	Signers []Signer
	// API describes the HTTP API; without a listen address there is none.
	API APIConfig
	// Trace says what is recorded of requests; nothing is unless it names a collector.
	Trace TraceConfig
	// Version is the program's version as told to others.
	Version string
	// Logger is where the node logs; nil discards.
	Logger *slog.Logger

	// patience is that of the records; set in tests alone.
	patience time.Duration
}

// ValidatorConfig describes one of the validators of one owner that share a secret, and vote one another in and out.
type ValidatorConfig struct {
	// Secret is what they have in common, enrol.MinSecret to enrol.MaxSecret bytes that nobody can guess.
	Secret []byte
	// Seat is the node's own number among them, from 0 on. A validator with another key in the same seat takes its place.
	Seat int
	// Seats returns how many of them there are to be. While it fails nothing is changed.
	Seats func(ctx context.Context) (int, error)
	// Operator is the key of the account that speaks for the node's validator.
	Operator ed25519.PrivateKey
	// MembersSecret is what peers have that may become members by themselves, in a network for members only: the operator keeps an invite open for them. Empty: nobody may.
	MembersSecret []byte

	// interval and patience are those of the questions; set in tests alone.
	interval, patience time.Duration
}

// LedgerConfig says how a node keeps its network's ledger. The zero value is a sensible default.
type LedgerConfig struct {
	// Sync says how the node gets the ledger while it has no block of it.
	Sync consensus.Sync
	// KeepBlocks is how many of the newest blocks are kept, MinKeepBlocks or more; 0: all.
	KeepBlocks int64
	// SnapshotEvery is after how many blocks a snapshot is taken of which nodes that come later can begin; 0 means DefaultSnapshotEvery, less than 0 never. It should be the same on all nodes.
	SnapshotEvery int64
}

// APIConfig describes a node's HTTP API.
type APIConfig struct {
	// Listen is HOST:PORT, where port 0 takes a free one, or unix:// and the whole path of a socket that this user alone may use. Empty means no API.
	Listen string
	// Token is one that may everything. When it is set every request is asked for one: for it, or for one of those that Home holds (TokensFile).
	Token string
	// RequireTokens asks for a token on loopback addresses without Token, too. Other addresses always do.
	RequireTokens bool
	// Rate is how many requests a second each token, or each address of callers without one, may make; 0 means api.DefaultRate, less than 0 that there is no bound.
	Rate int
	// TLSCert and TLSKey are the PEM files of the server's certificate.
	TLSCert, TLSKey string
	// Insecure allows addresses other than loopback without TLS.
	Insecure bool
	// UI holds the files of a dashboard, index.html and what it loads, which is served at /; nil: none.
	UI fs.FS
}

// TraceConfig says where spans of requests go, and of how many requests.
type TraceConfig struct {
	// To is the URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318. Empty: nothing is recorded.
	To string
	// Sample is the share of requests that is recorded, up to 1; 0 means DefaultTraceSample, less than 0 none but those that callers of the API want recorded.
	Sample float64
}

// Defaults and bounds of Config.
const (
	DefaultCopies    = records.DefaultCopies
	MaxCopies        = records.MaxCopies
	DefaultAwayGrace = time.Minute
	// DefaultSnapshotEvery and MinKeepBlocks are for LedgerConfig.
	DefaultSnapshotEvery = state.DefaultEvery
	MinKeepBlocks        = application.MinKept
	MaxAwayGrace         = swim.MaxAbsence
	MaxZone              = routing.MaxZone
	DefaultTraceSample   = otlp.DefaultSample
)

// Validate returns a fault.Invalid error that names the first field that cannot be accepted.
func (c *Config) Validate() error {
	switch {
	case c.Home == "":
		return fault.New(fault.Invalid, "home: no folder given")
	case c.Copies < 0 || c.Copies > MaxCopies:
		return fault.New(fault.Invalid, "copies: %d is not from 1 to %d", c.Copies, MaxCopies)
	case c.AwayGrace < 0 || c.AwayGrace > MaxAwayGrace:
		return fault.New(fault.Invalid, "away grace: %s is not from 0 to %s", c.AwayGrace, MaxAwayGrace)
	case c.Quota < 0:
		return fault.New(fault.Invalid, "quota: %d is negative", c.Quota)
	case c.MaxConnections < 0:
		return fault.New(fault.Invalid, "max connections: %d is negative", c.MaxConnections)
	case c.Ledger.KeepBlocks != 0 && c.Ledger.KeepBlocks < MinKeepBlocks:
		return fault.New(fault.Invalid, "keep blocks: %d: want %d or more, or 0 for all", c.Ledger.KeepBlocks, MinKeepBlocks)
	case len(c.Zone) > MaxZone:
		return fault.New(fault.Invalid, "zone: longer than %d bytes", MaxZone)
	}
	if _, err := routing.ParseMethod(string(c.Routing)); err != nil {
		return err
	}
	if v := c.Validator; v != nil && (v.Seats == nil || len(v.Operator) != ed25519.PrivateKeySize) {
		return fault.New(fault.Invalid, "validator: the number of seats and the operator's key are needed")
	}
	if c.Validator != nil && c.NoLedger {
		return fault.New(fault.Invalid, "validator: a node without the ledger can't be one")
	}
	if len(c.Signers) > MaxSigners {
		return fault.New(fault.Invalid, "signers: %d keys: at most %d", len(c.Signers), MaxSigners)
	}
	for _, s := range c.Signers {
		if s.Name == "" || len(s.Key) != ed25519.PrivateKeySize {
			return fault.New(fault.Invalid, "signers: each needs a name and a key")
		}
	}
	if c.Trace.To != "" {
		if err := (&otlp.Config{To: c.Trace.To, Sample: c.Trace.Sample}).Validate(); err != nil {
			return err
		}
	}
	if c.Network != "" {
		if _, err := swarm.OpenNetwork(c.Network); err != nil {
			return err
		}
	}
	return nil
}

// withDefaults returns c with zero values replaced.
func (c Config) withDefaults() Config {
	if c.Copies == 0 {
		c.Copies = DefaultCopies
	}
	if c.Routing == "" {
		c.Routing = routing.DefaultMethod
	}
	if c.AwayGrace == 0 {
		c.AwayGrace = DefaultAwayGrace
	}
	if c.Version == "" {
		c.Version = "devel"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
