package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// tidyInterval is how often useless envelopes are looked for.
const tidyInterval = time.Minute

// Config configures a Replica.
type Config struct {
	// Dir is the folder of the ledger's data, made when it is not there.
	Dir string
	// Host is the node's. It belongs to the genesis's network.
	Host host.Host
	// Genesis is what the ledger begins with.
	Genesis *ledger.Genesis
	// Signer votes; nil: this node has no vote.
	Signer *signer.Signer
	// Peers are the others.
	Peers consensus.Peers
	// OthersExpected says whether there may be other nodes that have the ledger; see consensus.Config.
	OthersExpected func() bool
	// Timing may be left empty. It should be the same on all nodes.
	Timing consensus.Timing
	// Sync says how this node gets the ledger while it has no block.
	Sync consensus.Sync
	// SnapshotEvery is after how many blocks a snapshot of the state is taken, for nodes that come later; 0: state.DefaultEvery, less than 0: never. It should be the same on all nodes, which then have the same.
	SnapshotEvery int64
	// KeepBlocks is how many of the newest blocks are kept, application.MinKept or more; 0: all are.
	KeepBlocks int64
	// Tracer records what this node sees of transactions; nil: nothing is recorded.
	Tracer *tracing.Tracer
	// Registerer gets the metrics; nil: there are none.
	Registerer prometheus.Registerer
	// Logger may be nil.
	Logger *slog.Logger
	// FS is the file system; nil: the machine's.
	FS vfs.FS
}

// Replica is a node's copy of the ledger. Its methods may be called from many goroutines, also before and after Run.
type Replica struct {
	cfg     Config
	network ledger.Hash
	store   *state.Store
	keeper  *state.Keeper // nil: no snapshots are taken
	app     *application.Application
	engine  *consensus.Engine
	metrics *metrics
	witness *witness      // nil: nothing is recorded
	wake    chan struct{} // tells the gatherer that something waits
	paused  chan struct{} // tells resume that something pauses

	mu      sync.Mutex
	pending map[ledger.TransactionID][]*Submission // what was handed in here and is in no block yet, guarded by mu
	count   int                                    // how many are pending, guarded by mu
	bytes   int                                    // how many bytes they have, guarded by mu
	queue   []*Submission                          // of those the ones that are in no envelope, guarded by mu
	pauses  []pause                                // of those the ones that came too early, guarded by mu
	swept   int64                                  // the time of the block after which pending was last searched for what is too late, guarded by mu
	moved   chan struct{}                          // closed and replaced at each block, guarded by mu
	over    bool                                   // whether Run has ended, guarded by mu
}

// Open opens a ledger's data, or makes it. Its errors are those of state.Open and consensus.New.
func Open(cfg Config) (*Replica, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Genesis == nil {
		return nil, fault.New(fault.Invalid, "open the ledger: no genesis")
	}
	if err := cfg.Genesis.Validate(); err != nil {
		return nil, fmt.Errorf("open the ledger: the genesis: %w", err)
	}
	if cfg.KeepBlocks != 0 && cfg.KeepBlocks < application.MinKept {
		return nil, fault.New(fault.Invalid, "open the ledger: keep %d blocks: want %d or more, or 0 for all", cfg.KeepBlocks, application.MinKept)
	}
	r := &Replica{
		cfg: cfg, network: cfg.Genesis.ID(), wake: make(chan struct{}, 1), paused: make(chan struct{}, 1), pending: make(map[ledger.TransactionID][]*Submission), moved: make(chan struct{}),
	}
	var err error
	r.store, err = state.Open(state.Config{Dir: filepath.Join(cfg.Dir, stateDir), Network: r.network, FS: cfg.FS, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	if cfg.SnapshotEvery >= 0 {
		r.keeper, err = state.OpenKeeper(state.KeeperConfig{Dir: filepath.Join(cfg.Dir, "snapshots"), Every: cfg.SnapshotEvery, FS: cfg.FS, Logger: cfg.Logger})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open the ledger: %w", err), r.store.Close())
		}
	}
	r.metrics = newMetrics(r)
	appConfig := application.Config{Store: r.store, Genesis: cfg.Genesis, Keeper: r.keeper, Kept: cfg.KeepBlocks, Committed: r.committed, Checked: r.metrics.checked, Logger: cfg.Logger}
	if r.witness = newWitness(cfg.Tracer, r.network, r.fresh); r.witness != nil {
		appConfig.Saw = r.witness.saw
	}
	r.app = application.New(appConfig)
	r.engine, err = consensus.New(consensus.Config{
		Dir: cfg.Dir, Host: cfg.Host, Network: consensus.NetworkID(cfg.Genesis), Genesis: consensus.GenesisDoc(cfg.Genesis), Application: r.app, Signer: cfg.Signer, Peers: cfg.Peers,
		Snapshots: r.app, Sync: cfg.Sync, Changes: changesOf(r.store), OthersExpected: cfg.OthersExpected, Follows: r.app.Follows, Broken: r.store.Err, MaxTransaction: application.MaxEnvelope, Timing: cfg.Timing, Registerer: cfg.Registerer,
		Logger: cfg.Logger, FS: cfg.FS,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the ledger: %w", err), r.Close())
	}
	if err := r.metrics.register(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Run takes part in the ledger until ctx ends. When agreement fails by an error of its own, Run does not return, and what is known can still be asked for; Health says why.
func (r *Replica) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, r.store.NoWait)()
	var parts errgroup.Group
	parts.Go(func() error { return r.engine.Run(ctx) })
	parts.Go(func() error { r.gather(ctx); return nil })
	parts.Go(func() error { r.resume(ctx); return nil })
	parts.Go(func() error { r.tidy(ctx); return nil })
	err := parts.Wait()
	r.abandon()
	r.witness.end()
	return err
}

// tidy forgets, until ctx ends, envelopes whose transactions other envelopes have brought into blocks: the validators have not taken them, so that none comes into a block, and with time they would be all that there
// is room for.
func (r *Replica) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.engine.Drop(r.app.Useless); err != nil {
			r.cfg.Logger.Debug("ledger: useless envelopes are kept", "error", err)
		}
	}
}

// Close closes the data. Run has returned, and nobody asks any more.
func (r *Replica) Close() error {
	r.metrics.unregister()
	var err error
	if r.keeper != nil {
		err = r.keeper.Close() // it reads from the store
	}
	return errors.Join(err, r.store.Close())
}

// changesOf returns a function that returns the heights of the blocks that changed validators, of those whose changes a store has carried out.
func changesOf(store *state.Store) func(first, last int64) ([]int64, error) {
	return func(first, last int64) ([]int64, error) {
		v := store.View()
		heights, err := v.ValidatorChanges(first, last)
		return heights, errors.Join(err, v.Close())
	}
}

// Started is closed when Run takes part in the ledger, so that transactions are taken.
func (r *Replica) Started() <-chan struct{} { return r.engine.Started() }

// Network returns the id of the ledger's network.
func (r *Replica) Network() ledger.Hash { return r.network }

// Genesis returns what the ledger began with. It must not be changed.
func (r *Replica) Genesis() *ledger.Genesis { return r.cfg.Genesis }

// Health returns nil while the ledger goes on; see consensus.Engine.Health.
func (r *Replica) Health() error { return r.engine.Health() }

// Engine returns how agreement is doing.
func (r *Replica) Engine() consensus.Status { return r.engine.Status() }

// Lacking tells who has not voted in a vote that is under way: see consensus.Engine.Lacking.
func (r *Replica) Lacking() (t consensus.Turnout, round int32, lacking bool) {
	return r.engine.Lacking()
}

// Attendance tells who signed the last blocks.
func (r *Replica) Attendance() (consensus.Attendance, error) { return r.engine.Attendance() }

// Moved returns a channel that is closed after the next block.
func (r *Replica) Moved() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.moved
}
