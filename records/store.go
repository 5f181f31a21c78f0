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
	"github.com/folkmoot/folkmoot/internal/tracing"
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
	// DefaultPatience is how long a caller waits where a Config does not say.
	DefaultPatience = 1200 * time.Millisecond
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
	// Quota bounds the bytes on this peer's disk: new records are refused over it; 0: none.
	Quota int64
	// Patience bounds how long a caller waits for a write to be acknowledged, or for an answer; 0 means DefaultPatience.
	Patience time.Duration
	// Joined is closed once the node has met other peers or concluded that there are none: only then does the store take itself for one that knows all. Nil: at once.
	Joined <-chan struct{}
	// Locator finds the holders of keys in networks that are too large to have in view; nil: the view must do.
	Locator Locator
	// Author says whether a peer may have written a record at a time, nil: everybody may at any. A record is refused with the error, which is fault.Unavailable where the answer may be another one soon. It must not block.
	Author func(p peer.ID, written time.Time) error
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// FS is the file system that Dir is on; nil means the machine's.
	FS vfs.FS
	// Tracer records what this peer does for requests that others record; nil: nothing, and others are not told what is recorded here.
	Tracer     *tracing.Tracer
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
	case c.Patience < 0:
		return fault.New(fault.Invalid, "records: a patience of %s is negative", c.Patience)
	case c.Quota < 0:
		return fault.New(fault.Invalid, "records: quota of %d bytes is negative", c.Quota)
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
	foreign  *Foreign
	table    *table
	pace     *pace
	floors   floors
	feed     feed
	conduct  *conduct
	located  located
	promises promises
	vigil    *vigil

	lapsed    Timestamp    // when this peer was last known to run, if that is longer ago than deletions are kept; else 0
	announced atomic.Int64 // nanoseconds that others wait for this peer's return; 0: they don't

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
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
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
	s := &Store{
		cfg: cfg, self: cfg.Host.ID(), author: disk.Author(public), logger: cfg.Logger,
		table: &table{self: cfg.Host.ID(), joined: cfg.Joined == nil}, pace: newPace(), floors: newFloors(), located: newLocated(cfg.Now), promises: newPromises(),
	}
	s.table.located, s.vigil = s.located.get, newVigil(s.table, cfg.Now)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

// open builds the parts, bottom up; what was opened is closed when a later part fails.
func (s *Store) open() error {
	d, err := disk.Open(disk.Config{Dir: s.cfg.Dir, Network: s.cfg.Network, FS: s.cfg.FS, NoSync: s.cfg.NoSync, Quota: s.cfg.Quota, Now: s.cfg.Now, Logger: s.logger})
	if err != nil {
		return err
	}
	ceiling, err := d.Clock()
	if err != nil {
		return errors.Join(fmt.Errorf("read the clock: %w", err), d.Close())
	}
	s.feed, s.conduct = feed{d, new(waiters)}, newConduct(s.logger)
	s.table.shunned = s.conduct.cutOff
	s.holder = holder{
		table: s.table, vigil: s.vigil, hints: newHints(func(shard disk.Shard) placement { return s.currentTopology().place(shard) }), feed: s.feed,
		disk: d, now: s.cfg.Now, author: s.cfg.Author,
		clock: newClock(s.cfg.Now, Timestamp(ceiling), func(ctx context.Context, t Timestamp) error {
			return d.SetClock(ctx, uint64(t))
		}),
		records: newRecordSigner(s.cfg.Network),
		offers:  &signer{domain: s.cfg.Network.SigningDomain("provider"), payloadType: providerType},
	}
	if err := errors.Join(s.renewals.load(d), s.resume()); err != nil {
		return errors.Join(err, d.Close())
	}
	s.table.apply(s.currentTopology(), s.cfg.Now())
	if s.metrics, err = newMetrics(s.cfg.Registerer, s); err != nil {
		return errors.Join(fmt.Errorf("records: register metrics: %w", err), d.Close())
	}
	if s.foreign, err = openForeign(s, foreignLimits()); err != nil {
		s.metrics.unregister()
		return errors.Join(err, d.Close())
	}
	if err := s.connect(); err != nil {
		s.metrics.unregister()
		return errors.Join(err, s.foreign.close(), d.Close())
	}
	return nil
}

func (s *Store) connect() (err error) {
	protocol := s.cfg.Network.Protocol(protocolName)
	s.client, err = rpc.NewClient(rpc.ClientConfig{
		Host: s.cfg.Host, Protocol: protocol, Traced: s.cfg.Tracer != nil, MaxMessage: maxMessage, MaxInFlight: maxInFlight, Violated: s.conduct.violated, Logger: s.logger,
	})
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	s.calls = s.conduct.spare(s.client)
	s.server, err = rpc.NewServer(rpc.ServerConfig{
		Host: s.cfg.Host, Protocol: protocol, Traced: s.cfg.Tracer != nil, MaxMessage: maxMessage, MaxInFlight: maxInFlight, Violated: s.conduct.violated, Logger: s.logger,
		Handler: s.traced(s.conduct.guard(s.holder.records, s.holder.serve)),
	})
	if err != nil {
		return errors.Join(fmt.Errorf("records: %w", err), s.client.Close())
	}
	return nil
}

// Run keeps the copies where they belong, sweeps out expired records and renews this node's provider records until ctx ends. It returns an error when the disk has failed:
// the store then answers reads only, until it is opened anew.
func (s *Store) Run(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.tasks.Done()
	ctx, cancel := context.WithCancel(ctx)
	var repairs sync.WaitGroup
	defer repairs.Wait()
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	repairs.Go(func() { newRepairer(s).run(ctx) })
	repairs.Go(func() { s.vigil.run(ctx, s.cfg.Viewer.View) })
	sweep, renew := time.NewTimer(s.untilSweep()), time.NewTicker(renewCheckEvery)
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
			s.sweep(ctx, s.cfg.Now().Truncate(sweepEvery))
			s.foreign.sweep(ctx)
			sweep.Reset(s.untilSweep())
		case <-renew.C:
			s.renew(ctx)
		}
	}
}

// untilSweep returns how long it is until the next full hour: all peers sweep at the same time and up to the same time, so that they hardly ever differ in what is due.
func (s *Store) untilSweep() time.Duration {
	now := s.cfg.Now()
	return now.Truncate(sweepEvery).Add(sweepEvery).Sub(now)
}

func (s *Store) sweep(ctx context.Context, at time.Time) {
	removed, err := s.holder.disk.Sweep(ctx, millis(at.Add(-keepExpired)), millis(at), func(shard disk.Shard) uint64 { return uint64(s.table.agreedUpTo(shard)) })
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
	err := errors.Join(s.server.Close(), s.client.Close(), s.foreign.close())
	s.tasks.Wait()
	s.metrics.unregister()
	ctx, cancel := context.WithTimeout(context.Background(), restTimeout)
	defer cancel()
	if restErr := s.holder.clock.rest(ctx); restErr != nil {
		s.logger.Warn("the clock's time was not stored; versions may run a few seconds ahead after a restart", "error", restErr)
	}
	grace := time.Duration(s.announced.Load())
	s.saveLevels(ctx, &levels{at: millis(s.cfg.Now()), grace: uint64(grace.Milliseconds()), synced: s.table.synced()})
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
	stats := Stats{Wanted: t.wanted, Copies: s.cfg.Copies, Quorum: t.quorum, Quota: s.cfg.Quota}
	stats.ShardsHeld, stats.ShardsSynced = s.table.held()
	if s.enter() == nil {
		defer s.tasks.Done()
		stats.Stored, stats.DiskBytes = s.holder.disk.Count(), s.holder.disk.Bytes()
		c := s.table.count(s.holder.disk.Records)
		stats.Full, stats.Below, stats.Unreachable = c.full, c.below, c.unreachable
	}
	return stats
}

// ClockBehind returns by how much this machine's clock is behind the newest version that was written or seen here, which others' clocks are in; 0 or less: it is not. Just after a start, it may be up to five seconds by the
// node's own doing.
func (s *Store) ClockBehind() time.Duration { return s.holder.clock.behind() }

// ClockAhead returns by how much this machine's clock is ahead of those of half of the peers that compared copies with this one in the last ten minutes, negative where it is behind, and how many these were. Each pair of holders does
// so every few minutes, and latency counts as being ahead.
func (s *Store) ClockAhead() (by time.Duration, peers int) { return s.holder.skews.ahead(s.cfg.Now()) }

// currentTopology returns the view as it is now, prepared for placing.
func (s *Store) currentTopology() *topology {
	view := s.cfg.Viewer.View()
	before := s.topology.Load()
	if before != nil && before.view == view {
		return before
	}
	t := newTopology(view, s.cfg.Copies, before)
	s.topology.Store(t)
	return t
}

// awaitJoined waits until this node has met the others or concluded that there are none: whom it knew before it would take for the whole network, and itself for every copy wanted.
func (s *Store) awaitJoined(ctx context.Context) error {
	if s.cfg.Joined == nil {
		return nil
	}
	select {
	case <-s.cfg.Joined:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "this node has not met the others yet; try again")
	}
}

// joined reports whether this node has met others, or is certain to be alone.
func (s *Store) joined() bool {
	if s.cfg.Joined == nil {
		return true
	}
	select {
	case <-s.cfg.Joined:
		return true
	default:
		return false
	}
}
