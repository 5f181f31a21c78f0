package routing

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// MembershipProtocol returns the id of the protocol that Membership speaks. A peer that doesn't speak it is not of the network.
func MembershipProtocol(n swarm.NetworkID) protocol.ID { return n.Protocol("membership/1") }

const (
	// refreshInterval is how often times and round trips are brought up to date in a view that has not changed otherwise.
	refreshInterval = time.Second
	// To make a view takes time in proportion to its members, and in a network that forms there are as many changes: views of more than crowdedView members are made at most once per
	// crowdedPause for each of them, which is a quarter of a second for a thousand. A change after a pause is seen at once.
	crowdedView  = 128
	crowdedPause = 250 * time.Microsecond
)

// Bounds on Config.MaxView, and its default.
const (
	DefaultMaxView = 1024
	MinView        = 16
	MaxView        = swim.MaxMembers
)

// Config configures a Membership.
type Config struct {
	Host    host.Host
	Key     crypto.PrivKey // the host's
	Network swarm.NetworkID
	// Zone and Version are what the node says of itself; at most MaxZone and MaxVersion bytes that can be printed.
	Zone, Version string
	// Remembered are peers known from an earlier run. They enter the view as Dead and are probed at once.
	Remembered []peer.AddrInfo
	// Allowed says who may be in the view, nil: everybody. It must not block. See Evict for who may no longer.
	Allowed func(peer.ID) bool
	// ForgetAfter is how long a dead peer stays in the view, counted from when it was last alive or, when it never was, entered; 0 means 10 minutes.
	ForgetAfter time.Duration
	// MaxView is the most living peers that the view holds; 0 means DefaultMaxView. See View.Partial.
	MaxView    int
	Registerer prometheus.Registerer // nil: no metrics
	Logger     *slog.Logger          // nil: silent
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Host == nil || c.Key == nil:
		return fault.New(fault.Invalid, "membership: Host and Key are needed")
	case !c.Host.ID().MatchesPrivateKey(c.Key):
		return fault.New(fault.Invalid, "membership: Key is not the host's")
	case c.ForgetAfter < 0:
		return fault.New(fault.Invalid, "membership: ForgetAfter is %v, want 0 or more", c.ForgetAfter)
	case c.MaxView != 0 && (c.MaxView < MinView || c.MaxView > MaxView):
		return fault.New(fault.Invalid, "membership: MaxView is %d, want %d to %d, or 0", c.MaxView, MinView, MaxView)
	}
	if err := validateName("zone", c.Zone, MaxZone); err != nil {
		return err
	}
	return validateName("program version", c.Version, MaxVersion)
}

// caller makes requests of peers; *rpc.Client is one.
type caller interface {
	Call(ctx context.Context, to peer.ID, request []byte) ([]byte, error)
	Release(p peer.ID)
	Close() error
}

// Membership keeps the live view of the network. It carries out what a swim.Machine decides: probes, gossip, and exchanges of all
// claims. It implements Viewer.
type Membership struct {
	cfg    Config
	host   host.Host
	logger *slog.Logger
	client caller
	server *rpc.Server
	limits *limits
	meter  *meter

	started time.Time
	view    atomic.Pointer[View]
	wake    chan struct{}  // capacity 1: the machine's next tick may have moved
	tasks   sync.WaitGroup // what Run started
	asks    chan struct{}  // one element for each indirect probe made for others

	mu        sync.Mutex
	machine   *swim.Machine           // guarded by mu
	running   context.Context         // guarded by mu; of Run while it runs, otherwise nil
	changed   chan struct{}           // guarded by mu; what Changed returned
	refreshed time.Time               // guarded by mu; when view was made
	outdated  bool                    // guarded by mu; the view lacks changes
	members   []swim.Member           // guarded by mu; memory for making views
	known     map[peer.ID]*swim.Claim // guarded by mu; the claims whose addresses are in the peerstore
	protected map[peer.ID]bool        // guarded by mu; whose connections are not to be trimmed
	shedding  bool                    // guarded by mu; whether other connections are given up
	away      time.Duration           // guarded by mu; the absence that was announced
	departure swim.Departure          // guarded by mu; what was announced
	closed    bool                    // guarded by mu
}

var _ Viewer = (*Membership)(nil)

// NewMembership returns a membership that answers its protocol from here on. Close ends that.
func NewMembership(cfg Config) (*Membership, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Membership{
		cfg: cfg, host: cfg.Host, logger: cfg.Logger, limits: newLimits(), started: time.Now(), asks: make(chan struct{}, maxAsks),
		wake: make(chan struct{}, 1), changed: make(chan struct{}),
		known: make(map[peer.ID]*swim.Claim), protected: make(map[peer.ID]bool),
	}
	if err := m.newMachine(m.started); err != nil {
		return nil, err
	}
	m.rebuild(m.started)
	m.meter = newMeter(m)
	if err := m.meter.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("register the membership's metrics: %w", err)
	}
	if err := m.serve(); err != nil {
		m.meter.unregister(cfg.Registerer)
		return nil, err
	}
	return m, nil
}

func (m *Membership) newMachine(now time.Time) error {
	self, err := sealClaim(m.cfg.Key, m.cfg.Network, m.claim(uint64(now.UnixMilli())))
	if err != nil {
		return err
	}
	cfg := swim.Config{Self: self, Timing: swim.Default(), MaxView: m.cfg.MaxView}
	if cfg.MaxView == 0 {
		cfg.MaxView = DefaultMaxView
	}
	if m.cfg.ForgetAfter > 0 {
		cfg.Timing.Forget = m.cfg.ForgetAfter
	}
	for _, p := range m.cfg.Remembered {
		cfg.Remembered = append(cfg.Remembered, &swim.Claim{ID: p.ID, Addrs: p.Addrs})
	}
	var seed [32]byte
	crand.Read(seed[:])
	cfg.Rand = rand.New(rand.NewPCG(binary.NativeEndian.Uint64(seed[:8]), binary.NativeEndian.Uint64(seed[8:16])))
	m.machine, err = swim.New(cfg, now)
	return err
}

// serve starts to answer the protocol.
func (m *Membership) serve() error {
	p := MembershipProtocol(m.cfg.Network)
	client, err := rpc.NewClient(rpc.ClientConfig{
		Host: m.host, Protocol: p, MaxMessage: maxMessage, MaxInFlight: maxCalls, IdleTimeout: streamIdle, Logger: m.logger,
	})
	if err != nil {
		return fmt.Errorf("make the membership's client: %w", err)
	}
	m.client = client
	m.server, err = rpc.NewServer(rpc.ServerConfig{
		Host: m.host, Protocol: p, MaxMessage: maxMessage, MaxInFlight: maxCalls, Handler: m.handle, Logger: m.logger,
	})
	if err != nil {
		client.Close()
		return fmt.Errorf("serve the membership protocol: %w", err)
	}
	return nil
}

// Close stops to answer. Run must have returned, or never been called.
func (m *Membership) Close() error {
	m.mu.Lock()
	closed := m.closed
	m.closed = true
	m.mu.Unlock()
	if closed {
		return nil
	}
	m.meter.unregister(m.cfg.Registerer)
	return errors.Join(m.server.Close(), m.client.Close())
}

// Run probes and gossips until ctx ends; then it waits for what it started and returns nil. It is called at most once at a time.
func (m *Membership) Run(ctx context.Context) error {
	events, err := m.subscribe()
	if err != nil {
		return err
	}
	defer events.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer m.tasks.Wait()
	defer cancel()
	if err := m.start(ctx); err != nil {
		return err
	}
	defer m.stop()
	m.tasks.Go(func() { m.upkeep(ctx) })

	timer := time.NewTimer(0)
	defer timer.Stop()
	shedding := time.NewTicker(shedInterval)
	defer shedding.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-events.Out():
			if !ok {
				return nil
			}
			m.handleEvent(e)
		case <-timer.C:
			m.update(func(now time.Time) { m.machine.Tick(now) })
		case <-m.wake:
		case <-shedding.C:
			m.shed()
		}
		timer.Reset(time.Until(m.nextTick()))
	}
}

// start lets the machine's decisions be carried out, and introduces it to those who are connected already.
func (m *Membership) start(ctx context.Context) error {
	m.mu.Lock()
	if m.running != nil || m.closed {
		m.mu.Unlock()
		return errors.New("membership: runs already, or is closed")
	}
	m.running = ctx
	m.mu.Unlock()
	m.announceAddrs()
	m.meetConnected()
	return nil
}

func (m *Membership) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = nil
}

func (m *Membership) nextTick() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.machine.Next()
	if due := m.refreshed.Add(m.viewPause()); m.outdated && due.Before(next) {
		return due
	}
	return next
}

// viewPause is the least time between two views. mu is held.
func (m *Membership) viewPause() time.Duration {
	if n := m.machine.Len(); n > crowdedView {
		return time.Duration(n) * crowdedPause
	}
	return 0
}

// update hands input to the machine and carries out what it decides.
func (m *Membership) update(input func(now time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	input(time.Now())
	m.carryOut()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// carryOut carries out the machine's actions; while Run doesn't run they wait. mu is held.
func (m *Membership) carryOut() {
	if m.running == nil {
		return
	}
	dirty := false
	for actions := m.machine.Actions(); len(actions) > 0; actions = m.machine.Actions() {
		for _, a := range actions {
			dirty = m.perform(a) || dirty
		}
	}
	m.outdated = m.outdated || dirty || m.View().Partial != m.machine.Partial()
	switch now := time.Now(); {
	case m.outdated && now.Sub(m.refreshed) >= m.viewPause():
		m.protect()
		m.republish()
	case !m.outdated && now.Sub(m.refreshed) >= refreshInterval:
		m.rebuild(now)
	}
}

// perform carries out one action and reports whether it changed the view. mu is held.
func (m *Membership) perform(action swim.Action) (changed bool) {
	ctx := m.running
	switch a := action.(type) {
	case swim.Probe:
		m.tasks.Go(func() { m.probe(ctx, a) })
	case swim.Ask:
		m.tasks.Go(func() { m.askHelper(ctx, a) })
	case swim.Sync:
		m.tasks.Go(func() { m.sync(ctx, a.Target) })
	case swim.Disconnect:
		m.tasks.Go(func() { m.disconnect(a.Target) })
	case swim.Refute:
		m.reannounce(a.Above)
	case swim.Changed:
		m.keepAddrs(a.Member.Claim)
		m.logger.Debug("member changed", "peer", a.Member.Claim.ID, "state", a.Member.State, "was", a.From)
		return true
	case swim.Forgotten:
		m.forgetAddrs(a.ID)
		m.logger.Debug("member forgotten", "peer", a.ID)
		return true
	}
	return false
}

// View returns the current view.
func (m *Membership) View() *View { return m.view.Load() }

// Changed returns a channel that is closed at the next change of the view's composition, of a member's state or of what it says of itself.
func (m *Membership) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// republish makes a new view and says so. mu is held.
func (m *Membership) republish() {
	m.rebuild(time.Now())
	close(m.changed)
	m.changed = make(chan struct{})
}

// rebuild makes a new view. mu is held, or m is not shared yet.
func (m *Membership) rebuild(now time.Time) {
	m.refreshed, m.outdated = now, false
	m.members = m.machine.Members(m.members[:0])
	v := newView(m.machine.Self(), m.started, m.members)
	v.Partial, v.Near = m.machine.Partial(), m.machine.Near()
	m.view.Store(v)
}
