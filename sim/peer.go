package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
)

// ErrDown is returned for what is asked of a peer that doesn't run, or whose power was cut before it answered. A write may have taken effect.
var ErrDown = errors.New("the simulated peer is down")

// Peer is one peer of a Network: an identity, an address and a disk, which outlive its power.
type Peer struct {
	network   *Network
	name      string
	zone      string
	key       crypto.PrivKey
	id        peer.ID
	addr      netip.Addr
	bootstrap []peer.AddrInfo // set before it starts
	skew      atomic.Int64    // nanoseconds that its clock is ahead

	mu         sync.Mutex
	life       *life           // guarded by mu; nil while it doesn't run
	disk       *vfs.MemFS      // guarded by mu
	remembered []peer.AddrInfo // guarded by mu; as in the peer cache of a node
	counted    counters        // guarded by mu; the metrics of its former lives
}

func newPeer(n *Network, i int, zone string, rng *rand.Rand) (*Peer, error) {
	p := &Peer{network: n, name: fmt.Sprintf("peer%d", i), zone: zone, addr: addressOf(i), disk: vfs.NewCrashableMem(), counted: counters{}}
	var err error
	if p.key, _, err = crypto.GenerateEd25519Key(randomBytes{rng}); err != nil {
		return nil, fmt.Errorf("make the identity of %s: %w", p, err)
	}
	p.id, err = peer.IDFromPrivateKey(p.key)
	return p, err
}

// randomBytes reads what rng draws.
type randomBytes struct{ rng *rand.Rand }

func (r randomBytes) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.rng.Uint32())
	}
	return len(b), nil
}

// String returns the peer's name.
func (p *Peer) String() string { return p.name }

// ID returns the peer's id.
func (p *Peer) ID() peer.ID { return p.id }

// Zone returns the zone that the peer announces.
func (p *Peer) Zone() string { return p.zone }

func (p *Peer) socket() netip.AddrPort { return netip.AddrPortFrom(p.addr, port) }

func (p *Peer) listenAddr() ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", p.addr, port))
}

func (p *Peer) info() peer.AddrInfo {
	return peer.AddrInfo{ID: p.id, Addrs: []ma.Multiaddr{p.listenAddr()}}
}

// Now returns the peer's wall-clock time.
func (p *Peer) Now() time.Time { return time.Now().Add(time.Duration(p.skew.Load())) }

// SetSkew sets how far the peer's clock is ahead; negative when it is behind.
func (p *Peer) SetSkew(d time.Duration) { p.skew.Store(int64(d)) }

func (p *Peer) current() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life
}

// Running reports whether the peer has power.
func (p *Peer) Running() bool { return p.current() != nil }

// Store returns the peer's record store; nil while it doesn't run.
func (p *Peer) Store() *records.Store {
	if l := p.current(); l != nil {
		return l.store
	}
	return nil
}

// Membership returns the peer's membership; nil while it doesn't run.
func (p *Peer) Membership() *routing.Membership {
	if l := p.current(); l != nil {
		return l.membership
	}
	return nil
}

// View returns the network as the peer sees it; nil while it doesn't run.
func (p *Peer) View() *routing.View {
	if l := p.current(); l != nil {
		return l.membership.View()
	}
	return nil
}

// Start gives power to a peer that has none. It finds the disk as it was left and has the same identity and address as before.
func (p *Peer) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life != nil {
		return fmt.Errorf("start %s: it runs", p)
	}
	l, err := newLife(p)
	if err != nil {
		return fmt.Errorf("start %s: %w", p, err)
	}
	p.life = l
	return nil
}

// Kill cuts the peer's power. The disk keeps all that was synced, and of the rest a random part.
func (p *Peer) Kill() { p.cut(true) }

// Destroy cuts the peer's power and takes its disk: it comes back, if at all, with its identity alone.
func (p *Peer) Destroy() { p.cut(false) }

func (p *Peer) cut(keep bool) {
	rng := p.network.newRNG() // before mu: the network locks its peers while it is locked itself
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.life
	if l == nil {
		return
	}
	p.life = nil
	p.network.packets.unplug(p.socket())
	l.down.Store(true) // before the disk is copied: who was answered until now was answered with what is on it
	if keep {
		p.disk = p.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
	} else {
		p.disk = vfs.NewCrashableMem()
		p.remembered = nil
	}
	p.keep(l, l.counters())
	p.network.ending.Go(func() { p.network.fail(l.close()) })
}

// keep keeps what outlives a life. mu is held.
func (p *Peer) keep(l *life, counted counters) {
	p.counted.add(counted)
	if met := l.met(); len(met) > 0 {
		p.remembered = met
	}
}

// farewellTimeout bounds the announcement of an absence, as in a node that stops.
const farewellTimeout = time.Second

// Stop ends the peer as a node does that gets SIGTERM: it tells the others that it will be back within grace, and closes.
func (p *Peer) Stop(ctx context.Context, grace time.Duration) error {
	l := p.current()
	if l == nil {
		return fmt.Errorf("stop %s: %w", p, ErrDown)
	}
	farewell, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	if err := l.membership.AnnounceAbsence(farewell, grace); err != nil {
		p.network.cfg.Logger.Debug("announce absence", "sim", p.name, "error", err)
	}
	l.store.Announced(grace)
	return p.end(l)
}

// Leave ends the peer for good: it hands over what it holds, says so, and closes. The error is fault.Unavailable when ctx ends before all is handed over; the peer then runs on.
func (p *Peer) Leave(ctx context.Context) error {
	l := p.current()
	if l == nil {
		return fmt.Errorf("leave %s: %w", p, ErrDown)
	}
	if err := l.leave(ctx); err != nil {
		return fmt.Errorf("leave %s: %w", p, err)
	}
	return p.end(l)
}

// end closes a life in order.
func (p *Peer) end(l *life) error {
	counted := l.counters() // closing takes the metrics away
	err := l.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == l {
		p.life = nil
		p.keep(l, counted)
	}
	p.network.packets.unplug(p.socket())
	return err
}

// Freeze keeps all packets from and to the peer away, as if it were stopped by SIGSTOP.
func (p *Peer) Freeze() { p.network.change(func(f *faults) { f.frozen[p.addr] = true }) }

// Thaw ends Freeze.
func (p *Peer) Thaw() { p.network.change(func(f *faults) { delete(f.frozen, p.addr) }) }
