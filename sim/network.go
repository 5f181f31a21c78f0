package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// port is that of every peer; each has an address of its own.
	port = 4242
	// maxPeers bounds the peers of a Network, those included that are gone: they have addresses of a /16.
	maxPeers = 60_000
	// meetTimeout bounds how long the first peers of a network may take to know one another.
	meetTimeout = 30 * time.Second
)

// Config configures a Network.
type Config struct {
	// Seed is what all choices come from.
	Seed uint64
	// Zones has one entry for each of the first peers, the zone that it announces; empty: none.
	Zones []string
	// Spread is how much longer than a millisecond packets may take, those of a pair of peers all the same; 0: a millisecond.
	Spread time.Duration
	// Copies is how many copies of a record a large enough network keeps; 0 means records.DefaultCopies.
	Copies int
	// MaxView is the most peers that each keeps in view; 0 means routing.DefaultMaxView. Those beyond, and the holders of records among them, are found as Routing says; empty: by routing.DefaultMethod.
	MaxView int
	Routing routing.Method
	// Logger gets what the peers log, each line with the peer's name; nil: nothing is logged.
	Logger *slog.Logger
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *Config) Validate() error {
	if len(c.Zones) == 0 || len(c.Zones) > maxPeers {
		return fault.New(fault.Invalid, "simulated network: %d peers, want 1 to %d", len(c.Zones), maxPeers)
	}
	return nil
}

// SpreadZones returns the zones of n peers, spread evenly over the given ones; without any, all peers are in none.
func SpreadZones(n int, zones ...string) []string {
	spread := make([]string, n)
	for i := range spread {
		if len(zones) > 0 {
			spread[i] = zones[i%len(zones)]
		}
	}
	return spread
}

// Network is a simulated network. Its methods and those of its peers may be called from many goroutines of its bubble.
type Network struct {
	cfg     Config
	id      swarm.NetworkID
	packets *packets
	ending  sync.WaitGroup // peers whose power was cut and that are being taken apart

	mu     sync.Mutex
	rng    *rand.Rand // guarded by mu
	keys   *rand.Rand // guarded by mu; identities, apart so that they don't depend on what else is drawn
	peers  []*Peer    // guarded by mu; all that there ever were
	failed []error    // guarded by mu; what went wrong in the background
}

// New makes a network and starts its first peers. It returns once all of them know one another.
func New(ctx context.Context, cfg Config) (*Network, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	id, err := swarm.OpenNetwork("simulated")
	if err != nil {
		return nil, err
	}
	n := &Network{
		cfg: cfg, id: id, packets: newPackets(rand.New(rand.NewPCG(cfg.Seed, 0)), cmp.Or(cfg.Spread, minLatency)),
		rng: rand.New(rand.NewPCG(cfg.Seed, 1)), keys: rand.New(rand.NewPCG(cfg.Seed, 2)),
	}
	for _, zone := range cfg.Zones {
		if _, err := n.Add(zone); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	if err := n.AwaitViews(ctx, meetTimeout); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Close stops all peers and the network. It returns what failed in the background since the beginning.
func (n *Network) Close() error {
	n.change(func(f *faults) { f.group, f.frozen, f.permille = nil, nil, 1000 }) // nobody waits for anybody
	for _, p := range n.Peers() {
		p.Destroy()
	}
	n.ending.Wait()
	n.packets.close()
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.failed...)
}

func (n *Network) fail(err error) {
	if err != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.failed = append(n.failed, err)
	}
}

// Add starts a fresh peer that knows the addresses of up to two others that run.
func (n *Network) Add(zone string) (*Peer, error) {
	known := n.Pick(2)
	n.mu.Lock()
	i := len(n.peers)
	if i == maxPeers {
		n.mu.Unlock()
		return nil, fault.New(fault.Full, "a simulated network has at most %d peers", maxPeers)
	}
	p, err := newPeer(n, i, zone, n.keys)
	if err == nil {
		n.peers = append(n.peers, p)
	}
	n.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for _, o := range known {
		p.bootstrap = append(p.bootstrap, o.info())
	}
	return p, p.Start()
}

func addressOf(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{1, 1, byte(i / 250), byte(1 + i%250)})
}

// Peers returns the peers that run, in the order in which they were added.
func (n *Network) Peers() []*Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.peers), func(p *Peer) bool { return !p.Running() })
}

// Pick returns up to k different peers that run, at random.
func (n *Network) Pick(k int) []*Peer {
	peers := n.Peers()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rng.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	return peers[:min(k, len(peers))]
}

// newRNG returns a generator that the network's seed determines.
func (n *Network) newRNG() *rand.Rand {
	n.mu.Lock()
	defer n.mu.Unlock()
	return rand.New(rand.NewPCG(n.rng.Uint64(), 0))
}

// IntN returns a random number in [0, bound).
func (n *Network) IntN(bound int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.IntN(bound)
}

// Traffic returns how many packets were ever sent, and their bytes.
func (n *Network) Traffic() (packets, bytes uint64) {
	n.packets.mu.Lock()
	defer n.packets.mu.Unlock()
	return n.packets.sent, n.packets.bytes
}

func (n *Network) change(f func(*faults)) { n.packets.change(f) }

// Partition divides the network: packets pass only within a group. Peers in none of the groups are one more.
func (n *Network) Partition(groups ...[]*Peer) {
	n.change(func(f *faults) {
		f.group = map[netip.Addr]int{}
		for i, group := range groups {
			for _, p := range group {
				f.group[p.addr] = i + 1
			}
		}
	})
}

// Block loses the packets from one peer to another, in this direction only.
func (n *Network) Block(from, to *Peer) {
	n.change(func(f *faults) { f.blocked[link{from.addr, to.addr}] = true })
}

// SetLoss loses so many packets of a thousand on all links.
func (n *Network) SetLoss(permille int) { n.change(func(f *faults) { f.permille = permille }) }

// Heal ends partitions, one-way losses and random losses. Frozen peers stay frozen.
func (n *Network) Heal() {
	n.change(func(f *faults) {
		clear(f.group)
		clear(f.blocked)
		f.permille = 0
	})
}

// AwaitViews waits until every running peer sees exactly those that run as alive, or keeps only a part of them in view (Config.MaxView), and fails after within.
func (n *Network) AwaitViews(ctx context.Context, within time.Duration) error {
	_, err := await(ctx, viewEvery, within, func() error {
		peers := n.Peers()
		for _, p := range peers {
			view := p.View()
			if view == nil || view.Partial {
				continue
			}
			alive := view.Count(routing.Alive)
			for _, o := range peers {
				if m, ok := view.Member(o.id); !ok || m.State != routing.Alive {
					return fmt.Errorf("%s sees %s as %s", p, o, m.State)
				}
			}
			if alive != len(peers) {
				return fmt.Errorf("%s sees %d peers alive, %d run", p, alive, len(peers))
			}
		}
		return nil
	})
	return err
}

// viewEvery is how often AwaitViews looks.
const viewEvery = 100 * time.Millisecond

// await waits until check returns nil, looking every so often, and returns how long that took. After within, it returns check's last error.
func await(ctx context.Context, every, within time.Duration, check func() error) (time.Duration, error) {
	start := time.Now()
	for {
		err := check()
		took := time.Since(start)
		switch {
		case err == nil:
			return took, nil
		case took > within:
			return took, fmt.Errorf("after %s: %w", took, err)
		}
		select {
		case <-ctx.Done():
			return took, ctx.Err()
		case <-time.After(every):
		}
	}
}
