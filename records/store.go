package records

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// maxInFlight bounds the requests of one peer that are served at once.
	maxInFlight = 256
	// sweepEvery is how often expired records are looked for.
	sweepEvery = time.Hour
	// restTimeout bounds the last write of the clock when the store closes.
	restTimeout = 2 * time.Second
)

// Config configures a Store.
type Config struct {
	Host    host.Host
	Key     crypto.PrivKey // the host's, Ed25519
	Network swarm.NetworkID
	Viewer  routing.Viewer
	// Dir is the folder of this peer's copies.
	Dir string
	// Copies is how many copies of each record a network that is large enough keeps, up to MaxCopies; 0 means DefaultCopies. It must be the same on all peers.
	Copies int
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// FS is the file system that Dir is on; nil means the machine's.
	FS         vfs.FS
	Registerer prometheus.Registerer // nil: no metrics
	Logger     *slog.Logger          // nil: silent
	// NoSync acknowledges copies before the disk has them: for measuring only.
	NoSync bool
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Host == nil:
		return fault.New(fault.Invalid, "records: no host")
	case c.Viewer == nil:
		return fault.New(fault.Invalid, "records: no view of the network")
	case c.Dir == "":
		return fault.New(fault.Invalid, "records: no folder")
	case c.Copies < 0 || c.Copies > MaxCopies:
		return fault.New(fault.Invalid, "records: %d copies: want 1 to %d, or 0 for %d", c.Copies, MaxCopies, DefaultCopies)
	case c.Key == nil || c.Key.Type() != crypto.Ed25519:
		return fault.New(fault.Invalid, "records: want an Ed25519 key")
	case !c.Host.ID().MatchesPrivateKey(c.Key):
		return fault.New(fault.Invalid, "records: the key is not that of the host")
	}
	return nil
}

// A caller makes requests to other peers.
type caller interface {
	Call(ctx context.Context, to peer.ID, request []byte) ([]byte, error)
}

// Store is one peer's part of the record store, and the way to the whole. Its methods may be called from many goroutines.
type Store struct {
	cfg    Config
	self   peer.ID
	author disk.Author
	logger *slog.Logger

	holder   holder
	calls    caller
	server   *rpc.Server
	client   *rpc.Client
	backlogs backlogs
	topology atomic.Pointer[topology]
	latency  latency
	metrics  *metrics
	renewals renewals

	ctx    context.Context // ends when the store closes
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool           // guarded by mu
	tasks  sync.WaitGroup // operations and what they left in the background; none is added once closed
}

// Open opens the store and starts to answer other peers.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Copies == 0 {
		cfg.Copies = DefaultCopies
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	public, err := cfg.Key.GetPublic().Raw()
	if err != nil {
		return nil, fmt.Errorf("records: read the public key: %w", err)
	}
	s := &Store{cfg: cfg, self: cfg.Host.ID(), author: disk.Author(public), logger: cfg.Logger}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

// open builds the parts, bottom up; what was opened is closed when a later part fails.
func (s *Store) open() error {
	d, err := disk.Open(disk.Config{Dir: s.cfg.Dir, Network: s.cfg.Network, FS: s.cfg.FS, NoSync: s.cfg.NoSync, Logger: s.logger})
	if err != nil {
		return err
	}
	ceiling, err := d.Clock()
	if err != nil {
		return errors.Join(fmt.Errorf("read the clock: %w", err), d.Close())
	}
	s.holder = holder{
		disk: d, now: s.cfg.Now,
		clock: newClock(s.cfg.Now, Timestamp(ceiling), func(ctx context.Context, t Timestamp) error {
			return d.SetClock(ctx, uint64(t))
		}),
		records: &recordSigner{signer: signer{domain: s.cfg.Network.SigningDomain("record"), payloadType: recordType}},
		offers:  &signer{domain: s.cfg.Network.SigningDomain("provider"), payloadType: providerType},
	}
	if err := s.renewals.load(d); err != nil {
		return errors.Join(err, d.Close())
	}
	if s.metrics, err = newMetrics(s.cfg.Registerer, s); err != nil {
		return errors.Join(fmt.Errorf("records: register metrics: %w", err), d.Close())
	}
	if err := s.connect(); err != nil {
		s.metrics.unregister()
		return errors.Join(err, d.Close())
	}
	return nil
}

func (s *Store) connect() (err error) {
	protocol := s.cfg.Network.Protocol(protocolName)
	s.client, err = rpc.NewClient(rpc.ClientConfig{
		Host: s.cfg.Host, Protocol: protocol, MaxMessage: maxMessage, MaxInFlight: maxInFlight, Logger: s.logger,
	})
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	s.calls = s.client
	s.server, err = rpc.NewServer(rpc.ServerConfig{
		Host: s.cfg.Host, Protocol: protocol, MaxMessage: maxMessage, MaxInFlight: maxInFlight, Handler: s.holder.serve, Logger: s.logger,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("records: %w", err), s.client.Close())
	}
	return nil
}

// Run sweeps out expired records and renews this node's provider records until ctx ends. It returns an error when the disk has failed:
// the store then answers reads only, until it is opened anew.
func (s *Store) Run(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.tasks.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	sweep, renew := time.NewTicker(sweepEvery), time.NewTicker(renewCheckEvery)
	defer sweep.Stop()
	defer renew.Stop()
	s.renew(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.holder.disk.Failed():
			return s.holder.disk.Err()
		case <-sweep.C:
			s.sweep(ctx)
		case <-renew.C:
			s.renew(ctx)
		}
	}
}

func (s *Store) sweep(ctx context.Context) {
	now := s.cfg.Now()
	removed, err := s.holder.disk.Sweep(ctx, millis(now.Add(-keepExpired)), millis(now))
	if err != nil && ctx.Err() == nil {
		s.logger.Warn("expired records were not all removed; tried again later", "removed", removed, "error", err)
		return
	}
	s.logger.Debug("swept expired records", "removed", removed)
}

// Close stops answering, ends what is under way and closes the disk.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	err := errors.Join(s.server.Close(), s.client.Close())
	s.tasks.Wait()
	s.metrics.unregister()
	ctx, cancel := context.WithTimeout(context.Background(), restTimeout)
	defer cancel()
	if restErr := s.holder.clock.rest(ctx); restErr != nil {
		s.logger.Warn("the clock's time was not stored; versions may run a few seconds ahead after a restart", "error", restErr)
	}
	return errors.Join(err, s.holder.disk.Close())
}

// enter counts an operation in; who entered calls tasks.Done.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "the record store is closed")
	}
	s.tasks.Add(1)
	return nil
}

// Stats sums up the store; it costs little.
func (s *Store) Stats() Stats {
	t := s.currentTopology()
	stats := Stats{Wanted: t.wanted, Copies: s.cfg.Copies, Quorum: t.quorum}
	if s.enter() == nil {
		defer s.tasks.Done()
		stats.Stored, stats.DiskBytes = s.holder.disk.Count(), s.holder.disk.Bytes()
	}
	return stats
}

// currentTopology returns the view as it is now, prepared for placing.
func (s *Store) currentTopology() *topology {
	view := s.cfg.Viewer.View()
	if t := s.topology.Load(); t != nil && t.view == view {
		return t
	}
	t := newTopology(view, s.cfg.Copies)
	s.topology.Store(t)
	return t
}
