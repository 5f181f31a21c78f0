package consensus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	dbm "github.com/cometbft/cometbft-db"
	cfg "github.com/cometbft/cometbft/config"
	cs "github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/evidence"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/lp2p"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/proxy"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/statesync"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/gate"
	"github.com/folkmoot/folkmoot/ledger/consensus/kv"
)

// The spaces of the engine's store.
const (
	spaceBlocks   = 'b'
	spaceEvidence = 'e'
	spaceState    = 's'
	spaceOwn      = 'o'
)

// reactorConsensus is the name by which CometBFT's block sync finds the consensus.
const reactorConsensus = "CONSENSUS"

// busCapacity is how many events may wait for their readers.
const busCapacity = 256

// keyGenesis is where the hash of the genesis is kept, in spaceOwn.
var keyGenesis = []byte("genesis")

// parts are what an engine is made of while it runs.
type parts struct {
	guard   *guard
	store   *kv.Store
	blocks  *store.BlockStore
	states  sm.Store
	conns   guardedConns
	bus     *types.EventBus
	pool    *mempool.CListMempool
	proofs  *evidencePool
	gossip  *evidenceReactor
	reactor *consensusReactor
	state   *cs.State

	history   *history
	genesis   *types.GenesisDoc
	blocksync *blockReactor
	spreader  *transactionReactor
	snapshots *snapshotReactor
	first     sm.State      // from which the start went on
	fresh     bool          // there is no block yet, and others may have some: see Engine.begin
	held      bool          // the only validator looks at what others have before it begins: see others.hold
	renewed   chan struct{} // closed by renew
	renewOnce sync.Once
	gate      *gate.Gate
	swtch     *lp2p.Switch
	stopped   chan struct{}      // closed when the switch has stopped; nil until it is asked to
	endWaits  context.CancelFunc // ends what waits for other nodes
}

// builder holds what the steps of assemble share.
type builder struct {
	parts
	engine *Engine
	comet  *cfg.Config
	log    logger
	chain  sm.State // after the handshake
	key    []byte   // the validator's address, or nil
	sync   bool     // blocks are fetched from others first
	noWait bool     // a full disk is a failure, and not waited for
}

// assemble opens the databases, brings the application to their height, and puts the parts together. If it fails, nothing is left open.
func (e *Engine) assemble(ctx context.Context) (_ *parts, err error) {
	b := &builder{engine: e, comet: e.cfg.comet(), parts: parts{renewed: make(chan struct{})}}
	b.guard = &guard{fail: e.fail, warn: e.cfg.Logger.Warn}
	b.log = logger{to: e.cfg.Logger.With("part", "cometbft"), failed: func(reason any) {
		e.fail(stopped(reason))
	}}
	defer func() {
		if r := recover(); r != nil { // CometBFT's way to say that databases and application contradict one another
			err = fmt.Errorf("panic: %v", r)
		}
		if err != nil {
			err = errors.Join(err, b.undo())
		}
	}()
	for _, step := range []func(context.Context) error{b.openStores, b.startApplication, b.handshake, b.checkSigner, b.build} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &b.parts, nil
}

// undo closes what was opened by the steps so far.
func (b *builder) undo() error {
	var err error
	if b.endWaits != nil {
		b.endWaits()
	}
	if b.gate != nil {
		err = b.gate.Close()
	}
	if b.proofs != nil {
		err = errors.Join(err, b.proofs.asker.close())
	}
	if b.bus != nil {
		err = errors.Join(err, b.bus.Stop())
	}
	if b.conns.AppConns != nil {
		err = errors.Join(err, b.conns.Stop())
	}
	if b.store != nil {
		err = errors.Join(err, b.store.Close())
	}
	return err
}

func (b *builder) space(prefix byte) dbm.DB { return guardedDB{b.store.Space(prefix), b.guard} }

func (b *builder) openStores(context.Context) (err error) {
	c := &b.engine.cfg
	b.store, err = kv.Open(kv.Config{Dir: filepath.Join(c.Dir, chainDir), FS: c.FS, NoWait: b.noWait, Logger: c.Logger})
	if err != nil {
		return err
	}
	if err := b.sameGenesis(); err != nil {
		return err
	}
	b.blocks = store.NewBlockStore(b.space(spaceBlocks))
	b.states = sm.NewStore(b.space(spaceState), sm.StoreOptions{})
	b.history = &history{blocks: b.blocks, states: b.states, own: b.space(spaceOwn), hints: c.Changes}
	return nil
}

// sameGenesis notes the genesis of a new chain, and refuses another one later.
func (b *builder) sameGenesis() error {
	data, err := cmtjson.Marshal(b.engine.cfg.Genesis)
	if err != nil {
		return fmt.Errorf("encode the genesis: %w", err)
	}
	want := sha256.Sum256(data)
	own := b.space(spaceOwn)
	got, err := own.Get(keyGenesis)
	if err != nil {
		return fmt.Errorf("read the genesis: %w", err)
	}
	if got == nil {
		return own.SetSync(keyGenesis, want[:])
	}
	if !bytes.Equal(got, want[:]) {
		return fault.New(fault.Conflict, "the chain in %s began with another genesis", b.engine.cfg.Dir)
	}
	return nil
}

func (b *builder) startApplication(context.Context) error {
	c := &b.engine.cfg
	b.conns = guardedConns{guard: b.guard, clock: b.engine.clock, log: c.Logger, keepBelow: b.history.keepBelow, follows: c.Follows, height: new(atomic.Int64)}
	if c.Signer != nil {
		key, err := c.Signer.GetPubKey()
		if err != nil {
			return err
		}
		b.key = key.Address()
		b.conns.address, b.conns.signer, b.conns.seen = b.key, c.Signer, b.blocks.LoadSeenCommit
	}
	conns := proxy.NewAppConns(proxy.NewConnSyncLocalClientCreator(guardedApplication{c.Application}), proxy.NopMetrics())
	conns.SetLogger(b.log)
	if err := conns.Start(); err != nil {
		return fmt.Errorf("connect to the application: %w", err)
	}
	b.conns.AppConns = conns
	bus := types.NewEventBusWithBufferCapacity(busCapacity)
	bus.SetLogger(b.log)
	if err := bus.Start(); err != nil {
		return fmt.Errorf("start the event bus: %w", err)
	}
	b.bus = bus
	return nil
}

// handshake has the application execute the blocks that it lacks.
func (b *builder) handshake(ctx context.Context) error {
	genesis := *b.engine.cfg.Genesis // CometBFT fills in what is missing
	if err := genesis.ValidateAndComplete(); err != nil {
		return err
	}
	b.parts.genesis = &genesis
	state, err := b.states.LoadFromDBOrGenesisDoc(&genesis)
	if err != nil {
		return fmt.Errorf("load the chain's state: %w", err)
	}
	if err := b.dropUnfinished(ctx, state); err != nil {
		return err
	}
	h := cs.NewHandshaker(b.states, state, b.blocks, &genesis)
	h.SetLogger(b.log)
	h.SetEventBus(b.bus)
	if err := h.HandshakeWithContext(ctx, b.conns); err != nil {
		return fmt.Errorf("bring the application to height %d: %w", b.blocks.Height(), err)
	}
	if b.chain, err = b.states.Load(); err != nil {
		return fmt.Errorf("load the chain's state: %w", err)
	}
	b.first = b.chain.Copy()
	b.engine.fetched.Store(b.chain.LastBlockHeight)
	return nil
}

// dropUnfinished makes the application's state that of the genesis again where it was fetched, and the process ended before the chain's was written down.
func (b *builder) dropUnfinished(ctx context.Context, chain sm.State) error {
	if b.engine.cfg.Snapshots == nil || chain.LastBlockHeight > 0 || b.blocks.Height() > 0 {
		return nil
	}
	info, err := b.conns.Query().Info(ctx, proxy.RequestInfo)
	if err != nil {
		return fmt.Errorf("ask the application for its height: %w", err)
	}
	if info.LastBlockHeight == 0 {
		return nil
	}
	return b.engine.cfg.Snapshots.Reset()
}

// checkSigner looks for the validator's signature in the newest commit, which is in no block yet.
func (b *builder) checkSigner(context.Context) error {
	if b.key == nil {
		return nil
	}
	b.conns.witness(b.blocks.LoadSeenCommit(b.chain.LastBlockHeight))
	return nil
}

// mayBeBehind says whether a node without blocks has to ask others how far they are. A validator of the genesis without which nothing is decided, or nearly so, has missed nothing, and must not wait for anybody.
func (b *builder) mayBeBehind() bool {
	c := &b.engine.cfg.Sync
	if !b.sync || b.chain.LastBlockHeight > 0 || b.blocks.Height() > 0 || c.Mode == Blocks && c.Trust == nil {
		return false
	}
	_, own := b.chain.Validators.GetByAddress(b.key)
	return !indispensable(own, b.chain.Validators) || c.Mode == State || c.Trust != nil
}

// alone says whether this node's is the only validator.
func (b *builder) alone() bool {
	return b.chain.Validators.Size() == 1 && b.chain.Validators.HasAddress(b.key)
}

// mustLook says whether the only validator, which has its vote, has to look at what others have before it begins: it may have signed blocks that its data, put back from somewhere, do not have.
func (b *builder) mustLook() bool {
	e := b.engine
	return b.key != nil && b.alone() && b.chain.LastBlockHeight > 0 && !e.looked && e.cfg.Signer.Barred() == nil && e.cfg.OthersExpected != nil && e.cfg.OthersExpected()
}

// build makes CometBFT's parts. Nothing runs yet.
func (b *builder) build(ctx context.Context) error {
	c := b.comet
	ctx, b.endWaits = context.WithCancel(ctx)
	// A validator without a vote, as one that was restored, fetches what others may have like any other node.
	votes := b.key
	if votes != nil && b.engine.cfg.Signer.Barred() != nil {
		votes = nil
	}
	b.held = b.mustLook()
	if b.held {
		votes = nil
	}
	b.sync = votes == nil || !b.alone()
	b.guard.syncing.Store(b.sync)
	b.fresh = b.mayBeBehind()

	b.pool = mempool.NewCListMempool(c.Mempool, b.conns.Mempool(), b.chain.LastBlockHeight,
		mempool.WithPreCheck(sm.TxPreCheck(b.chain)), mempool.WithPostCheck(sm.TxPostCheck(b.chain)))
	b.pool.SetLogger(b.log)
	b.pool.EnableTxsAvailable()
	// Transactions are taken also while blocks are fetched. Otherwise those that are handed in while a network begins are thrown away by nodes that begin a moment later, and are not sent again: the next proposer
	// has none, and a block comes with the heartbeat only.
	b.spreader = newTransactionReactor(mempool.NewReactor(c.Mempool, b.pool, false), b.engine.waiting(b.pool),
		func(tx types.Tx) error { return submit(b.pool, tx) }, b.engine.cfg.Peers.Whole)
	b.spreader.SetLogger(b.log)

	var err error
	now := new(turn)
	if b.proofs, err = b.newEvidencePool(ctx, now); err != nil {
		return err
	}
	b.gossip = &evidenceReactor{Reactor: evidence.NewReactor(b.proofs.Pool), pool: b.proofs}
	b.gossip.SetLogger(b.log)

	// Without CometBFT's own tolerance for times of blocks, which it holds decided blocks to as well: see maxAhead.
	executor := sm.NewBlockExecutor(b.states, b.log, b.conns.Consensus(), b.pool, b.proofs, b.blocks)
	b.blocksync = b.newBlockReactor(executor, votes)

	b.state = cs.NewState(c.Consensus, b.chain.Copy(), executor, b.blocks, b.pool, b.proofs)
	b.state.SetLogger(b.log)
	if b.engine.cfg.Signer != nil {
		b.state.SetPrivValidator(voter{b.engine.cfg.Signer, b.engine, func(v *types.Vote) {
			_, _ = b.state.AddVote(v, "") // it puts the vote into a queue, and has no error to tell
		}})
	}
	b.reactor = &consensusReactor{Reactor: cs.NewReactor(b.state, b.sync), guard: b.guard, turn: now, whole: b.engine.cfg.Peers.Whole, began: b.engine.consensusBegan(b.state)}
	b.reactor.SetLogger(b.log)
	b.reactor.SetEventBus(b.bus)

	conn := &snapshotConn{engine: b.engine}
	b.snapshots = &snapshotReactor{Reactor: statesync.NewReactor(*c.StateSync, conn, b.conns.Query(), statesync.NopMetrics()), engine: b.engine}
	b.snapshots.SetLogger(b.log)
	conn.reactor = b.snapshots
	return b.newSwitch([]lp2p.SwitchReactor{
		{Name: "MEMPOOL", Reactor: b.spreader}, {Name: "BLOCKSYNC", Reactor: b.blocksync}, {Name: reactorConsensus, Reactor: b.reactor},
		{Name: "EVIDENCE", Reactor: b.gossip}, {Name: "STATESYNC", Reactor: b.snapshots},
	})
}

// newSwitch puts the reactors on our host. lp2p makes a host of its own, whose settings it keeps where nobody else can set them: that one is closed, and
// the gate takes its place.
func (b *builder) newSwitch(reactors []lp2p.SwitchReactor) error {
	throwaway := ed25519.GenPrivKey()
	h, err := lp2p.NewHost(b.comet.P2P, throwaway, b.log)
	if err != nil {
		return fmt.Errorf("make CometBFT's host: %w", err)
	}
	if err := h.Host.Close(); err != nil {
		return fmt.Errorf("close CometBFT's host: %w", err)
	}
	c := &b.engine.cfg
	b.gate, err = gate.New(gate.Config{
		Host: c.Host, Network: c.Network, Allowed: c.Peers.Allowed, Left: b.left, MaxMessage: maxMessage, Logger: c.Logger,
	})
	if err != nil {
		return err
	}
	h.Host = b.gate
	info := p2p.DefaultNodeInfo{
		ProtocolVersion: p2p.NewProtocolVersion(version.P2PProtocol, b.chain.Version.Consensus.Block, b.chain.Version.Consensus.App),
		DefaultNodeID:   p2p.ID(c.Host.ID().String()), Network: b.chain.ChainID, Version: version.TMCoreSemVer,
	}
	b.swtch, err = lp2p.NewSwitch(info, h, reactors, p2p.NopMetrics(), b.log)
	if err != nil {
		return fmt.Errorf("make CometBFT's switch: %w", err)
	}
	b.gate.Serve() // not before there is a switch, which must forget who comes again
	return nil
}
