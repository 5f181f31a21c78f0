package discovery

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
)

// MaxFinders is how many finders one Connector runs.
const MaxFinders = 64

// finderName is the form of a finder's name.
var finderName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// ConnectorConfig says what a Connector connects, and to whom.
type ConnectorConfig struct {
	// Host opens the connections.
	Host host.Host
	// Finders say where peers may be; at most MaxFinders, with names that differ.
	Finders []Finder
	// Learn returns the id of the peer at an address, from a secure handshake.
	Learn func(context.Context, ma.Multiaddr) (peer.ID, error)
	// Protocol is one that every peer of the network serves. A peer that does not is of another network.
	Protocol protocol.ID
	// Logger may be nil.
	Logger *slog.Logger
}

// Validate returns a fault.Invalid error if the configuration can't be used.
func (cfg *ConnectorConfig) Validate() error {
	switch {
	case cfg.Host == nil:
		return fault.New(fault.Invalid, "connector: no host")
	case cfg.Learn == nil:
		return fault.New(fault.Invalid, "connector: no function to learn peer ids")
	case cfg.Protocol == "":
		return fault.New(fault.Invalid, "connector: no protocol that tells peers of the network from others")
	case len(cfg.Finders) > MaxFinders:
		return fault.New(fault.Invalid, "connector: %d finders, at most %d", len(cfg.Finders), MaxFinders)
	}
	names := make(map[string]bool)
	for _, f := range cfg.Finders {
		name := f.Name()
		if !finderName.MatchString(name) || names[name] {
			return fault.New(fault.Invalid, "connector: the finder name %q is malformed or there twice", name)
		}
		names[name] = true
	}
	return nil
}

// A Connector runs finders and connects to the peers of the network that they find. What finders report is hostile
// until a handshake has proven it, so the memory and the dials that reports can cost are bounded: see the constants of this package.
type Connector struct {
	cfg  ConnectorConfig
	log  *slog.Logger
	wake chan struct{} // holds a token when the plan may have an attempt

	mu      sync.Mutex
	plan    *plan    // guarded by mu
	learned *learned // guarded by mu
	sources *sources // guarded by mu
}

// NewConnector returns a Connector that does nothing until Run.
func NewConnector(cfg ConnectorConfig) (*Connector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	names := make([]string, len(cfg.Finders))
	for i, f := range cfg.Finders {
		names[i] = f.Name()
	}
	return &Connector{
		cfg: cfg, log: log, wake: make(chan struct{}, 1),
		plan: newPlan(len(cfg.Finders), rand.Float64), learned: newLearned(), sources: newSources(names),
	}, nil
}

// FoundBy returns the sorted names of the finders that reported p, if p was connected to at that time or after. It is
// empty for peers that came by themselves and for those that were displaced by MaxSources newer ones.
func (c *Connector) FoundBy(p peer.ID) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sources.of(p)
}

// Run runs every finder and connects to what they find until ctx ends; then it waits for all that it started and
// returns nil. A finder that fails for good is logged and the others go on. Run is called once.
func (c *Connector) Run(ctx context.Context) error {
	var finders sync.WaitGroup
	for i, f := range c.cfg.Finders {
		finders.Go(func() {
			if err := f.Find(ctx, func(info peer.AddrInfo) { c.found(i, info) }); err != nil {
				c.log.Warn("finder stopped", "finder", f.Name(), "error", err)
			}
		})
	}
	c.connect(ctx)
	finders.Wait()
	return nil
}

// found takes a finder's report.
func (c *Connector) found(finder int, info peer.AddrInfo) {
	for _, cand := range candidates(info, c.cfg.Host.ID()) {
		if c.isKnown(finder, cand) {
			continue
		}
		c.mu.Lock()
		c.plan.report(time.Now(), finder, cand)
		c.mu.Unlock()
	}
	c.signal()
}

// isKnown returns whether nothing is to be done about a candidate: it is connected already, or is this node itself.
func (c *Connector) isKnown(finder int, cand candidate) bool {
	id := cand.id
	if id == "" {
		c.mu.Lock()
		id = c.learned.get(cand.addrs[0], time.Now())
		c.mu.Unlock()
	}
	switch {
	case id == "":
		return false
	case id == c.cfg.Host.ID():
		return true
	case !c.isConnected(id):
		return false
	}
	c.noteSource(id, finder)
	if ps := c.cfg.Host.Peerstore(); cand.id != "" && len(ps.Addrs(id)) < MaxAddrsPerPeer {
		ps.AddAddrs(id, cand.addrs, peerstore.TempAddrTTL)
	}
	return true
}

// connect starts the attempts as they become due.
func (c *Connector) connect(ctx context.Context) {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	for ctx.Err() == nil {
		a, delay, ok := c.next()
		if ok {
			attempts.Go(func() { c.attempt(ctx, a) })
			continue
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// idleWait is how long the loop waits when nothing is planned; any change wakes it before.
const idleWait = time.Minute

// next returns an attempt to be made now or, if there is none, how long to wait for one.
func (c *Connector) next() (attempt, time.Duration, bool) {
	connections := len(c.cfg.Host.Network().Peers())
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if a, ok := c.plan.next(now, connections); ok {
		return a, 0, true
	}
	if at, ok := c.plan.wake(now, connections); ok {
		return attempt{}, at.Sub(now), false
	}
	return attempt{}, idleWait, false
}

func (c *Connector) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Connector) isConnected(id peer.ID) bool {
	return c.cfg.Host.Network().Connectedness(id) == network.Connected
}

func (c *Connector) noteSource(id peer.ID, finder int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sources.add(id, finder)
}

// ConnectedTo returns a function that tells whether h is connected to a peer or, where the peer's id is empty, to one
// of the addresses.
func ConnectedTo(h host.Host) func(peer.AddrInfo) bool {
	return func(info peer.AddrInfo) bool {
		if info.ID != "" {
			return h.Network().Connectedness(info.ID) == network.Connected
		}
		for _, conn := range h.Network().Conns() {
			if ma.Contains(info.Addrs, conn.RemoteMultiaddr()) {
				return true
			}
		}
		return false
	}
}

// describe is how an attempt's target appears in logs.
func describe(a attempt) string {
	if a.id != "" {
		return a.id.String()
	}
	return a.addrs[0].String()
}
