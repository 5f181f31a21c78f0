package recordbench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// loopback is where peers listen, and loopbackQUIC where they do in networks of more peers than the process may have descriptors for: QUIC needs one
	// for each peer, TCP two for each connection.
	loopback     = "/ip4/127.0.0.1/tcp/0"
	loopbackQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
	// meshLimit is the largest network in which all peers are connected from the start. In larger ones each connects to joins others, and those at
	// which operations are made to all.
	meshLimit = 64
	// maxDials bounds the connections that are made at once.
	maxDials = 8
	// settleTimeout bounds the wait until all peers know one another and their stores have compared what they hold.
	settleTimeout = 3 * time.Minute
	// settlePoll is how often it is looked whether they do.
	settlePoll = 50 * time.Millisecond
)

// mootOptions say what to open.
type mootOptions struct {
	dir    string // for a temporary folder; empty: the system's
	peers  int
	copies int
	noSync bool
	listen string // loopback when empty
	// entries is at how many peers operations are made; 0 means at all.
	entries int
}

// moot is a cluster of peers that run what a node does for records: host, failure detector and store.
type moot struct {
	dir     string
	peers   []*mootPeer
	network swarm.NetworkID
	ctx     context.Context // ends when the cluster closes
	stop    context.CancelFunc
}

// mootPeer is one of them. Parts that were not opened are nil.
type mootPeer struct {
	key        crypto.PrivKey
	host       host.Host
	membership *routing.Membership
	store      *records.Store
	metrics    *prometheus.Registry
	ctx        context.Context // of what runs
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// openMoot opens the peers, with stores in a temporary folder that Close removes, and returns when all are at work.
func openMoot(ctx context.Context, o mootOptions) (_ *moot, err error) {
	m := new(moot)
	m.ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.dir, err = os.MkdirTemp(o.dir, "moot-bench-"); err != nil {
		return nil, err
	}
	if m.network, err = swarm.OpenNetwork("bench"); err != nil {
		return nil, err
	}
	for range o.peers {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p, err := m.newPeer(cmp.Or(o.listen, loopback))
		if err != nil {
			return nil, err
		}
		m.peers = append(m.peers, p)
	}
	if err := m.meet(ctx, o.entries); err != nil {
		return nil, err
	}
	for i, p := range m.peers {
		if err := m.openStore(p, filepath.Join(m.dir, fmt.Sprint(i)), o); err != nil {
			return nil, err
		}
	}
	return m, m.awaitStores(ctx)
}

// newPeer opens a host and its failure detector, which does not run yet.
func (m *moot) newPeer(addr string) (p *mootPeer, err error) {
	p = &mootPeer{metrics: prometheus.NewRegistry()}
	p.ctx, p.stop = context.WithCancel(m.ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.key, _, err = crypto.GenerateEd25519Key(rand.Reader); err != nil {
		return nil, err
	}
	listen, err := ma.NewMultiaddr(addr)
	if err != nil {
		return nil, err
	}
	p.host, err = swarm.NewHost(swarm.Config{Key: p.key, Network: m.network, Listen: []ma.Multiaddr{listen}})
	if err != nil {
		return nil, err
	}
	p.membership, err = routing.NewMembership(routing.Config{Host: p.host, Key: p.key, Network: m.network, Version: "bench"})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// meet connects the peers and waits until each sees all others alive. Some connections may fail while a machine is busy with thousands of handshakes; they are
// made later, by whoever needs them.
func (m *moot) meet(ctx context.Context, entries int) error {
	for i, p := range m.peers {
		var connected atomic.Int32
		var dials errgroup.Group
		dials.SetLimit(maxDials)
		for j, other := range m.peers[:i] {
			if len(m.peers) > meshLimit && j < i-joins && j >= entries {
				continue
			}
			dials.Go(func() error {
				err := p.host.Connect(ctx, addrInfo(other.host))
				if err == nil {
					connected.Add(1)
				}
				return err
			})
		}
		if err := dials.Wait(); err != nil && connected.Load() == 0 {
			return fmt.Errorf("connect the peers: %w", err)
		}
	}
	for _, p := range m.peers {
		p.running.Go(func() { p.membership.Run(p.ctx) }) //nolint:errcheck // without it the peer counts as dead, which is noticed
	}
	return m.await(ctx, "not all peers see one another", func(p *mootPeer) bool {
		return p.membership.View().Count(routing.Alive) == len(m.peers)
	})
}

func (m *moot) openStore(p *mootPeer, dir string, o mootOptions) (err error) {
	p.store, err = records.Open(records.Config{
		Host: p.host, Key: p.key, Network: m.network, Viewer: p.membership, Dir: dir,
		Copies: o.copies, NoSync: o.noSync, Registerer: p.metrics,
	})
	if err != nil {
		return err
	}
	p.running.Go(func() { p.store.Run(p.ctx) }) //nolint:errcheck // it fails only with the disk, and then every operation does
	return nil
}

// awaitStores waits until every store is in sync with the others.
func (m *moot) awaitStores(ctx context.Context) error {
	return m.await(ctx, "not all stores are in sync", func(p *mootPeer) bool {
		s := p.store.Stats()
		return s.ShardsHeld > 0 && s.ShardsSynced == s.ShardsHeld
	})
}

// await waits until all peers satisfy ready.
func (m *moot) await(ctx context.Context, otherwise string, ready func(*mootPeer) bool) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for _, p := range m.peers {
		for !ready(p) {
			if err := pause.For(ctx, settlePoll); err != nil {
				return fmt.Errorf("%s: %w", otherwise, err)
			}
		}
	}
	return nil
}

func (m *moot) Put(ctx context.Context, peer int, key string, value []byte) error {
	_, err := m.peers[peer].store.Put(ctx, key, value, records.PutOptions{})
	return err
}

func (m *moot) Get(ctx context.Context, peer int, key string) ([]byte, error) {
	record, err := m.peers[peer].store.Get(ctx, key, records.GetOptions{})
	return record.Value, err
}

func (m *moot) CPU() (time.Duration, error) { return measure.CPU() }

// kill ends a peer without a word to the others, and keeps no disk of it.
func (m *moot) kill(i int) error {
	err := m.peers[i].close()
	m.peers = append(m.peers[:i:i], m.peers[i+1:]...)
	return err
}

func (m *moot) Close() error {
	m.stop()
	errs := make([]error, len(m.peers))
	var closing sync.WaitGroup
	for i, p := range m.peers {
		closing.Go(func() { errs[i] = p.close() })
	}
	closing.Wait()
	return errors.Join(append(errs, os.RemoveAll(m.dir))...)
}

func (p *mootPeer) close() error {
	p.stop()
	p.running.Wait()
	var errs []error
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.membership != nil {
		errs = append(errs, p.membership.Close())
	}
	if p.host != nil {
		errs = append(errs, p.host.Close())
	}
	return errors.Join(errs...)
}

func addrInfo(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }
