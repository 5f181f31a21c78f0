// Package node puts the parts together: from a Config it makes a running peer with its host, discovery, routing,
// record store, ledger and HTTP API. The program, the tests and programs that embed a node all use it.
package node

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/discovery"
	"github.com/folkmoot/folkmoot/discovery/peercache"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/enrol"
	"github.com/folkmoot/folkmoot/ledger/replica"
	"github.com/folkmoot/folkmoot/pubsub"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/nat"
)

// Node is one peer. Make it with New, then call Run; a Node that is not Run must be closed.
type Node struct {
	cfg     Config
	home    HomeInfo
	started time.Time
	metrics *prometheus.Registry

	host       host.Host
	nat        *nat.Traversal
	membership *routing.Membership
	kademlia   *routing.Kademlia
	router     routing.Router
	ways       *routing.Ways
	finder     routing.Finder // the way that the node uses
	topics     *pubsub.Service
	store      *records.Store
	connector  *discovery.Connector
	cached     []peercache.Entry // the peers remembered from the last run
	ledger     *replica.Replica  // nil in a network without one
	validator  *signer.Signer    // nil unless the node has a validator's key
	members    *members          // nil in a network that is open, or that all may enter who have its genesis
	enrolment  *enrol.Member     // nil unless the node's validator is one of those that vote one another in
	tracer     *tracing.Tracer   // nil: nothing is recorded
	feed       *feed             // what changes, for those who watch
	api        *api.Server       // nil without an API
	apiToken   string            // the token that commands on the home use; may be empty
	looking    chan struct{}     // has an element while the node looks what is wrong with it

	ready     chan struct{} // closed by watchReadiness
	readyAt   time.Time     // when that was; set before ready is closed
	settled   atomic.Bool   // all that the node holds was seen in sync and at full count
	departure *departure
	signing   *signing // nil where the node signs for nobody
	closers   []closer // in the order in which things were opened
}

type closer struct {
	what  string
	close func() error
}

// New opens everything a node needs: it locks the home, makes it a node of cfg.Network where it is none yet, listens, and
// opens the store. Nothing is asked of other peers before Run. When it fails, nothing stays open.
func New(cfg Config) (_ *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg.withDefaults(), started: time.Now(), metrics: prometheus.NewRegistry(), ready: make(chan struct{}), looking: make(chan struct{}, 1), departure: newDeparture()}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.metrics.MustRegister(buildInfo(n.cfg.Version))
	key, err := n.openHome()
	if err != nil {
		return nil, err
	}
	for _, step := range []func(crypto.PrivKey) error{n.openTracing, n.openMembers, n.openHost, n.openRouting, n.openTraversal, n.openStore, n.openDiscovery, n.openLedger, n.followMembers, n.openEnrolment, n.openSigning, n.openAPI} {
		if err := step(key); err != nil {
			return nil, err
		}
	}
	if err := unmarkLeft(n.cfg.Home); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Node) openHome() (crypto.PrivKey, error) {
	lock, err := lockHome(n.cfg.Home)
	if err != nil {
		return nil, err
	}
	n.onClose("unlock the home", lock.Unlock)
	if err := CheckNotLeft(n.cfg.Home); err != nil && !(n.cfg.Rejoin && fault.KindOf(err) == fault.Conflict) {
		return nil, err
	}
	n.home, err = ReadHome(n.cfg.Home)
	if founded := err == nil && !n.home.Open && n.home.Network == n.cfg.Network; n.cfg.Network != "" && !founded {
		n.home, err = InitHome(n.cfg.Home, n.cfg.Network)
	}
	if err != nil {
		return nil, err
	}
	return swarm.LoadIdentity(filepath.Join(n.cfg.Home, identityFile))
}

func (n *Node) openHost(key crypto.PrivKey) (err error) {
	if n.nat, err = n.newTraversal(); err != nil {
		return err
	}
	n.host, err = swarm.NewHost(swarm.Config{
		Key:            key,
		Network:        n.home.NetworkID,
		Listen:         n.cfg.Listen,
		Announce:       n.cfg.Announce,
		Gate:           n.gate(),
		Reception:      n.reception(),
		Traversal:      n.nat,
		PortMap:        n.cfg.PortMap && portMapUseful(n.cfg.Listen),
		MaxConnections: n.cfg.MaxConnections,
		Registerer:     n.metrics,
		Logger:         n.cfg.Logger.With("part", "swarm"),
		UserAgent:      "moot/" + n.cfg.Version,
	})
	if err != nil {
		return fmt.Errorf("open the swarm: %w", err)
	}
	n.onClose("close the swarm", n.host.Close)
	return nil
}

func (n *Node) openRouting(key crypto.PrivKey) (err error) {
	n.loadPeerCache()
	n.membership, err = routing.NewMembership(routing.Config{
		Host:       n.host,
		Key:        key,
		Network:    n.home.NetworkID,
		Zone:       n.cfg.Zone,
		Version:    n.cfg.Version,
		Remembered: n.rememberedPeers(),
		Allowed:    n.allowed(),
		Registerer: n.metrics,
		Logger:     n.cfg.Logger.With("part", "membership"),
	})
	if err != nil {
		return fmt.Errorf("open the membership: %w", err)
	}
	n.onClose("close the membership", n.membership.Close)
	n.kademlia, err = routing.NewKademlia(routing.KademliaConfig{
		Host:    n.host,
		Network: n.home.NetworkID,
		Viewer:  n.membership,
		Logger:  n.cfg.Logger.With("part", "kademlia"),
	})
	if err != nil {
		return fmt.Errorf("open Kademlia: %w", err)
	}
	n.onClose("close Kademlia", n.kademlia.Close)
	return n.openTopics()
}

func (n *Node) openStore(key crypto.PrivKey) (err error) {
	n.store, err = records.Open(records.Config{
		Host:       n.host,
		Key:        key,
		Network:    n.home.NetworkID,
		Viewer:     n.membership,
		Dir:        filepath.Join(n.cfg.Home, recordsDir),
		Copies:     n.cfg.Copies,
		Quota:      n.cfg.Quota,
		Patience:   n.cfg.patience,
		Joined:     n.ready,
		Locator:    n.finder,
		Author:     n.authors(),
		Tracer:     n.tracer,
		Registerer: n.metrics,
		Logger:     n.cfg.Logger.With("part", "records"),
	})
	if err != nil {
		return fmt.Errorf("open the record store: %w", err)
	}
	n.onClose("close the record store", n.store.Close)
	n.kademlia.ServeForeign(n.store.Foreign())
	return nil
}

func (n *Node) onClose(what string, f func() error) {
	n.closers = append(n.closers, closer{what, f})
}

// Close releases everything at once, without telling other peers. It is for a Node that is not Run; Run closes by itself.
func (n *Node) Close() error {
	var errs []error
	for len(n.closers) > 0 {
		last := n.closers[len(n.closers)-1]
		n.closers = n.closers[:len(n.closers)-1]
		if err := last.close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", last.what, err))
		}
	}
	return errors.Join(errs...)
}

// ID returns the node's peer id.
func (n *Node) ID() peer.ID { return n.home.ID }

// Network returns the name of the network that the node belongs to.
func (n *Node) Network() string { return n.home.Network }

// Addrs returns the multiaddrs at which others reach the node, each ending in its peer id.
func (n *Node) Addrs() []ma.Multiaddr {
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()})
	if err != nil {
		n.cfg.Logger.Warn("write own addresses", "error", err)
	}
	return addrs
}

// APIURL returns the address of the node's HTTP API, empty when it has none.
func (n *Node) APIURL() string {
	if n.api == nil {
		return ""
	}
	return n.api.URL()
}

// Records returns the node's view of the distributed record store.
func (n *Node) Records() *records.Store { return n.store }

// View returns the network as the node sees it now.
func (n *Node) View() *routing.View { return n.membership.View() }

// ViewChanged returns a channel that is closed at the next change of the view. Call it before View, so that no change is missed.
func (n *Node) ViewChanged() <-chan struct{} { return n.membership.Changed() }
