package consensus

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/state"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// maxBlockBytes is the most that a genesis may allow for a block, and maxMessage the length limit of any message: a block and what is sent with it.
	maxBlockBytes = 16 << 20
	maxMessage    = maxBlockBytes + 1<<20
	// maxValidators bounds the validators of a genesis.
	maxValidators = 256

	// DefaultMaxTransaction is the length limit of what Submit takes, in bytes, where a Config does not say.
	DefaultMaxTransaction = 1 << 20
	// mempoolTransactions and mempoolBytes bound what waits for a block, and mempoolSeen the hashes that are remembered.
	mempoolTransactions = 10_000
	mempoolBytes        = 64 << 20
	mempoolSeen         = 50_000
)

// How CometBFT gossips: it looks for what a peer lacks at these intervals.
const (
	gossipSleep = 10 * time.Millisecond
	querySleep  = 250 * time.Millisecond
)

// Peers says who may take part, and where they are. Its methods are called from many goroutines.
type Peers interface {
	// Allowed says whether a peer may take part. It is asked for each message and must not block.
	Allowed(p peer.ID) bool
	// Known returns the peers that are to be connected to, with their addresses. It is called every second.
	Known() []peer.AddrInfo
	// Whole says whether those are all that there are. It is asked for each transaction and must not block.
	Whole() bool
}

// Timing is how long CometBFT waits for what. Zero values stand for the defaults.
type Timing struct {
	// Propose is how long to wait for a proposal in the first round of a block, and Vote for votes that may still come. Each round waits longer than the one before by
	// half of that. The defaults are 400 and 200 ms.
	Propose, Vote time.Duration
	// Heartbeat is how long there may be no block when there are no transactions: the chain's clock stands still between blocks. The default is 30 s.
	Heartbeat time.Duration
	// Stall is after how long without a block the ledger is not healthy. The default is three heartbeats.
	Stall time.Duration
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&t.Propose, 400*time.Millisecond)
	set(&t.Vote, 200*time.Millisecond)
	set(&t.Heartbeat, 30*time.Second)
	set(&t.Stall, 3*t.Heartbeat)
	return t
}

// Config configures an Engine.
type Config struct {
	// Dir is the folder for blocks, CometBFT's state and its write-ahead log. It is made if need be.
	Dir string
	// Host is the node's host. The engine never closes it, nor connections of it.
	Host host.Host
	// Network is what the host belongs to.
	Network swarm.NetworkID
	// Genesis is where the chain begins. Its chain id is ChainID(Network).
	Genesis *types.GenesisDoc
	// Application executes the blocks. Calls of different kinds come at the same time, as CometBFT's NewConnSyncLocalClientCreator has it: consensus, checks of
	// transactions, queries and snapshots. It belongs to its maker, who may close it when Run has returned.
	Application abci.Application
	// Signer votes; nil means a node without a vote.
	Signer *signer.Signer
	// Peers are the others.
	Peers Peers
	// OthersExpected says whether there may be other nodes that have the ledger: then the only validator looks at what they have before it begins. nil: it is not known, and it begins at once.
	OthersExpected func() bool
	// MaxTransaction is the length limit of what Submit takes, in bytes; 0 means DefaultMaxTransaction.
	MaxTransaction int
	// Timing may be left empty. It should be the same on all nodes.
	Timing Timing
	// Snapshots takes the application's state to other nodes and from them; nil: this node neither gives nor fetches snapshots.
	Snapshots Snapshots
	// Sync says how a node that has no block yet gets the ledger.
	Sync Sync
	// Changes returns the heights from first to last, in ascending order, of the blocks at which the application may have changed validators; nil: it never does. Blocks that this node did not carry out may be missing.
	Changes func(first, last int64) ([]int64, error)
	// Follows returns why the application can't carry out the block of a height, as when that is to follow rules which this program doesn't know: the engine stops before it. nil: it can carry out every block.
	Follows func(height int64) error
	// Broken returns why the application can't write any more, which only a new start mends, or nil. The engine fails then, also where the reason was a full disk. nil: that never happens.
	Broken func() error
	// Registerer gets the engine's metrics while it runs; nil means no metrics.
	Registerer prometheus.Registerer
	// Logger may be nil.
	Logger *slog.Logger
	// FS is the file system for the databases; nil means the machine's.
	FS vfs.FS
}

// ChainID returns the id of a network's chain. It is part of everything that validators sign.
func ChainID(n swarm.NetworkID) string {
	return "moot-" + n.String()[:40] // 200 bits; CometBFT allows 50 characters
}

// Validate returns an error of kind fault.Invalid when no engine can be made of the configuration.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return fault.New(fault.Invalid, "consensus: no folder")
	case c.Host == nil:
		return fault.New(fault.Invalid, "consensus: no host")
	case c.Network == swarm.NetworkID{}:
		return fault.New(fault.Invalid, "consensus: no network id")
	case c.Application == nil:
		return fault.New(fault.Invalid, "consensus: no application")
	case c.Peers == nil:
		return fault.New(fault.Invalid, "consensus: no peers")
	case c.Genesis == nil:
		return fault.New(fault.Invalid, "consensus: no genesis")
	case c.MaxTransaction < 0 || c.MaxTransaction > maxBlockBytes:
		return fault.New(fault.Invalid, "consensus: transactions of %d bytes, want 1 to %d, or 0 for %d", c.MaxTransaction, maxBlockBytes, DefaultMaxTransaction)
	case c.Timing.Propose < 0 || c.Timing.Vote < 0 || c.Timing.Heartbeat < 0 || c.Timing.Stall < 0:
		return fault.New(fault.Invalid, "consensus: a time is negative")
	}
	if err := c.Sync.validate(); err != nil {
		return err
	}
	return c.validateGenesis()
}

func (c *Config) validateGenesis() error {
	g := *c.Genesis
	if g.ChainID != ChainID(c.Network) {
		return fault.New(fault.Invalid, "consensus: the genesis is for chain %q, this network's is %q", g.ChainID, ChainID(c.Network))
	}
	if g.GenesisTime.IsZero() {
		return fault.New(fault.Invalid, "consensus: the genesis has no time") // CometBFT would take the present one, each node its own
	}
	if err := g.ValidateAndComplete(); err != nil {
		return fault.New(fault.Invalid, "consensus: the genesis: %w", err)
	}
	if n := g.ConsensusParams.Block.MaxBytes; n < 1 || n > maxBlockBytes {
		return fault.New(fault.Invalid, "consensus: the genesis allows blocks of %d bytes, want 1 to %d", n, maxBlockBytes)
	}
	if len(g.Validators) > maxValidators {
		return fault.New(fault.Invalid, "consensus: the genesis has %d validators, at most %d", len(g.Validators), maxValidators)
	}
	return nil
}

// withDefaults returns the configuration with its optional values filled in.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxTransaction == 0 {
		c.MaxTransaction = DefaultMaxTransaction
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Follows == nil {
		c.Follows = func(int64) error { return nil }
	}
	if c.Broken == nil {
		c.Broken = func() error { return nil }
	}
	c.Timing, c.Sync = c.Timing.withDefaults(), c.Sync.withDefaults()
	if c.Snapshots == nil {
		c.Sync.Mode = Blocks
	}
	return c
}

// comet returns CometBFT's configuration.
func (c *Config) comet() *cfg.Config {
	o := cfg.DefaultConfig()
	o.SetRoot(c.Dir)
	o.P2P.LibP2PConfig.Enabled = true
	o.P2P.ListenAddress = "tcp://127.0.0.1:0" // of a host that is closed before it does anything; see newSwitch

	// One worker keeps the order of what the gate hands over; consensus does one thing at a time anyway.
	o.P2P.LibP2PConfig.Scaler.Overrides = append(o.P2P.LibP2PConfig.Scaler.Overrides,
		cfg.LibP2PScalerOverride{Reactor: reactorConsensus, MinWorkers: 1, MaxWorkers: 1, ThresholdLatency: o.P2P.LibP2PConfig.Scaler.ThresholdLatency})

	t := c.Timing
	o.Consensus.WalPath = filepath.Join("wal", "wal")
	o.Consensus.TimeoutPropose, o.Consensus.TimeoutProposeDelta = t.Propose, t.Propose/2
	o.Consensus.TimeoutPrevote, o.Consensus.TimeoutPrevoteDelta = t.Vote, t.Vote/2
	o.Consensus.TimeoutPrecommit, o.Consensus.TimeoutPrecommitDelta = t.Vote, t.Vote/2
	o.Consensus.TimeoutCommit, o.Consensus.SkipTimeoutCommit = 0, true
	o.Consensus.CreateEmptyBlocks, o.Consensus.CreateEmptyBlocksInterval = true, t.Heartbeat
	o.Consensus.PeerGossipSleepDuration, o.Consensus.PeerQueryMaj23SleepDuration = gossipSleep, querySleep
	o.Consensus.DoubleSignCheckHeight = 0 // the signer does it

	o.Mempool.Recheck = false
	o.Mempool.Broadcast = false // transactionReactor does it
	o.Mempool.Size, o.Mempool.MaxTxsBytes = mempoolTransactions, mempoolBytes
	o.Mempool.CacheSize, o.Mempool.MaxTxBytes = mempoolSeen, c.MaxTransaction

	o.BlockSync.AdaptiveSync = false
	o.StateSync.ChunkRequestTimeout, o.StateSync.ChunkFetchers, o.StateSync.MaxSnapshotChunks = chunkTime, fetchers, state.MaxChunks
	return o
}
