package nat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// Serving says whether a node relays for others.
type Serving string

const (
	// ServeAuto relays while others can dial the node at a public address.
	ServeAuto Serving = "auto"
	// ServeAlways relays whatever is known of the node.
	ServeAlways Serving = "always"
	// ServeNever does not relay.
	ServeNever Serving = "never"
)

// Config configures a Traversal.
type Config struct {
	// Network is what the node belongs to.
	Network swarm.NetworkID
	// Relay says whether the node relays for others; empty means ServeAuto.
	Relay Serving
	// Private says that the members reach one another over private addresses, with NATs between their sites, as in a company's wide-area network. Private addresses are
	// then treated as public ones.
	Private bool
	// Announce are the addresses that others are told in any case.
	Announce []ma.Multiaddr
	// Restarted are protocols whose streams are opened anew when they are reset: a relayed connection that is not needed any more is closed though there are some.
	Restarted []protocol.ID
	// Quotas bound what the node relays; the zero value means DefaultQuotas.
	Quotas Quotas
	// Registerer gets the metrics; nil: no metrics.
	Registerer prometheus.Registerer
	// Logger may be nil.
	Logger *slog.Logger
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Network == swarm.NetworkID{}:
		return fault.New(fault.Invalid, "nat: no network id")
	case c.Relay != "" && c.Relay != ServeAuto && c.Relay != ServeAlways && c.Relay != ServeNever:
		return fault.New(fault.Invalid, "nat: relay %q: want %s, %s or %s", c.Relay, ServeAuto, ServeAlways, ServeNever)
	}
	return c.Quotas.validate()
}

// Peers tells of the members. Its methods must not block.
type Peers interface {
	// Alive lists the members, but for the node itself, that are believed to run.
	Alive() []peer.ID
	// Relays lists those of them that say they relay, the best first.
	Relays() []peer.AddrInfo
	// Member says whether a peer belongs to the network.
	Member(peer.ID) bool
}

// scanInterval is how often reservations and relayed connections are looked after.
const scanInterval = time.Second

// A Traversal finds ways to one node. It is a swarm.Traversal from New on. Open makes it work for the host that was made with it.
type Traversal struct {
	cfg    Config
	logger *slog.Logger
	wake   chan struct{} // capacity 1: something is to be looked after before the next scan

	told   atomic.Pointer[told]    // what Addrs adds and leaves out
	own    atomic.Pointer[ownAddr] // what Addrs was last given
	public atomic.Bool             // others can dial the node: FromListenPort need not care

	// From here on set by Open.
	host     host.Host
	peers    Peers
	observed *observed
	judge    *judge
	checks   *checkServer
	reserve  *reserver
	relay    *relayService
	upgrade  *upgrader
	client   *rpc.Client
	server   *rpc.Server
	changed  event.Emitter
	events   event.Subscription
	notifiee network.Notifiee
	metrics  *metrics
}

// ownAddr are addresses that the host has by itself.
type ownAddr struct{ addrs []ma.Multiaddr }

// told says how the addresses that others are told differ from the host's own.
type told struct {
	unreachable map[string]bool // public ones that nobody can dial, in binary form
	added       []ma.Multiaddr  // ones that others see the node at and can dial, and those that lead through relays
}

var _ swarm.Traversal = (*Traversal)(nil)

// New returns a Traversal for a host that is made next.
func New(cfg Config) (*Traversal, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Relay == "" {
		cfg.Relay = ServeAuto
	}
	cfg.Quotas = cfg.Quotas.withDefaults()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Traversal{cfg: cfg, logger: cfg.Logger, wake: make(chan struct{}, 1)}
	t.told.Store(&told{})
	t.own.Store(&ownAddr{})
	return t, nil
}

// Addrs implements swarm.Traversal.
func (t *Traversal) Addrs(own []ma.Multiaddr) []ma.Multiaddr {
	t.own.Store(&ownAddr{slices.Clone(own)}) // the host uses its slice again
	now := t.told.Load()
	all := make([]ma.Multiaddr, 0, len(own)+len(now.added))
	for _, a := range own {
		if !now.unreachable[string(a.Bytes())] {
			all = append(all, a)
		}
	}
	return append(all, now.added...)
}

// FromListenPort implements swarm.Traversal. A node that is reachable needs no holes; and peers of one site, which find one another at the same moment, would dial one another between
// the same two ports, of which TCP makes one connection with a client at both ends.
func (t *Traversal) FromListenPort(remote ma.Multiaddr) bool {
	return !t.public.Load() && t.wide(remote)
}

// wide says whether an address is one that may have a NAT before it: a public one, or where members are told to use them, a private one.
func (t *Traversal) wide(a ma.Multiaddr) bool {
	return manet.IsPublicAddr(a) || t.cfg.Private && manet.IsPrivateAddr(a) && !manet.IsIPLoopback(a)
}

// Open starts to answer others' questions, for the host that was made with t. Close ends that.
func (t *Traversal) Open(h host.Host, peers Peers) (err error) {
	t.host, t.peers = h, peers
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if t.changed, err = h.EventBus().Emitter(new(event.EvtAutoRelayAddrsUpdated), eventbus.Stateful); err != nil {
		return fmt.Errorf("announce changes of the addresses: %w", err)
	}
	if t.events, err = h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted), eventbus.Name("nat")); err != nil {
		return fmt.Errorf("subscribe to the host's events: %w", err)
	}
	t.observed = newObserved(h.Network())
	t.reserve = newReserver(t)
	t.relay = newRelayService(t)
	t.judge = newJudge(t)
	if err := t.openChecks(); err != nil {
		return err
	}
	t.notifiee = &network.NotifyBundle{
		ConnectedF:    func(network.Network, network.Conn) { t.look() },
		DisconnectedF: func(_ network.Network, c network.Conn) { t.observed.forget(c); t.look() },
	}
	h.Network().Notify(t.notifiee)
	if t.upgrade, err = newUpgrader(t); err != nil {
		return err
	}
	if t.cfg.Relay == ServeAlways {
		if err := t.relay.serve(true); err != nil {
			return err
		}
	}
	t.metrics = newMetrics(t)
	return t.metrics.register(t.cfg.Registerer)
}

// openChecks opens the protocol by which peers ask one another whether they can be dialled.
func (t *Traversal) openChecks() (err error) {
	p := t.cfg.Network.Protocol(checkProtocol)
	if t.client, err = rpc.NewClient(rpc.ClientConfig{Host: t.host, Protocol: p, MaxMessage: maxCheckMessage, MaxInFlight: maxChecksPerPeer, Logger: t.logger}); err != nil {
		return fmt.Errorf("make the client of reachability checks: %w", err)
	}
	t.checks = newCheckServer(swarm.LearnPeerID, swarm.Resolve, t.logger)
	if t.server, err = rpc.NewServer(rpc.ServerConfig{
		Host: t.host, Protocol: p, MaxMessage: maxCheckMessage, MaxInFlight: maxChecksPerPeer, Handler: t.checks.handle, Logger: t.logger,
	}); err != nil {
		return fmt.Errorf("serve reachability checks: %w", err)
	}
	return nil
}

// Close undoes Open. Run must have returned, or never been called.
func (t *Traversal) Close() error {
	var errs []error
	if t.metrics != nil {
		t.metrics.unregister(t.cfg.Registerer)
	}
	if t.notifiee != nil {
		t.host.Network().StopNotify(t.notifiee)
	}
	if t.upgrade != nil {
		errs = append(errs, t.upgrade.close())
	}
	if t.relay != nil {
		errs = append(errs, t.relay.serve(false))
	}
	if t.server != nil {
		errs = append(errs, t.server.Close())
	}
	if t.client != nil {
		errs = append(errs, t.client.Close())
	}
	if t.events != nil {
		errs = append(errs, t.events.Close())
	}
	if t.changed != nil {
		errs = append(errs, t.changed.Close())
	}
	return errors.Join(errs...)
}

// Run looks after the node's ways until ctx ends; then it waits for what it started and returns nil.
func (t *Traversal) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { t.judge.run(ctx) })
	tasks.Go(func() { t.reserve.run(ctx) })
	tasks.Go(func() { t.upgrade.run(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-t.events.Out():
			if !ok {
				return nil
			}
			if e, ok := e.(event.EvtPeerIdentificationCompleted); ok && t.observed.note(e.Conn, e.ObservedAddr, t.own.Load().addrs) {
				t.judge.hurry()
			}
		}
	}
}

// look has reservations and relayed connections looked after at once.
func (t *Traversal) look() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// apply has others told what is known now.
func (t *Traversal) apply() {
	v := t.judge.verdict()
	t.public.Store(v.State == Reachable)
	now := &told{unreachable: make(map[string]bool)}
	for _, a := range v.Addrs {
		switch {
		case a.State == Unreachable && a.Own && t.wide(a.Addr):
			now.unreachable[string(a.Addr.Bytes())] = true
		case a.State == Reachable && !a.Own:
			now.added = append(now.added, a.Addr)
		}
	}
	now.added = append(now.added, t.reserve.addrs()...)
	t.told.Store(now)
	// The host takes this for news of relays, and asks Addrs again.
	if err := t.changed.Emit(event.EvtAutoRelayAddrsUpdated{}); err != nil {
		t.logger.Debug("announce a change of the addresses", "error", err)
	}
}

// directConn returns a connection to a peer that leads through no relay, or nil.
func directConn(n network.Network, p peer.ID) network.Conn {
	for _, c := range n.ConnsToPeer(p) {
		if !swarm.IsRelayed(c.RemoteMultiaddr()) && !c.IsClosed() {
			return c
		}
	}
	return nil
}
