package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

// RestConfig configures a Rest.
type RestConfig struct {
	// Dir, Genesis, Application and Changes are as in Config.
	Dir         string
	Genesis     *types.GenesisDoc
	Application abci.Application
	Changes     func(first, last int64) ([]int64, error)
	// Logger may be nil.
	Logger *slog.Logger
}

// A Rest is a chain at rest: CometBFT's databases and the application at the same block, with no network and nobody who votes. It is not safe for concurrent use.
type Rest struct {
	engine *Engine
	b      *builder
}

// OpenRest opens the databases of a chain, and has the application carry out the blocks that it lacks. It is fault.NotFound when there is no chain, and fault.Conflict when it is in use or began with another genesis.
func OpenRest(ctx context.Context, cfg RestConfig) (_ *Rest, err error) {
	if _, err := os.Stat(filepath.Join(cfg.Dir, chainDir)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fault.New(fault.NotFound, "there is no chain in %s", cfg.Dir)
		}
		return nil, fmt.Errorf("open the chain: %w", err)
	}
	c := Config{Dir: cfg.Dir, Genesis: cfg.Genesis, Application: cfg.Application, Changes: cfg.Changes, Logger: cfg.Logger}
	r := &Rest{engine: &Engine{cfg: c.withDefaults(), failed: make(chan struct{}), paused: make(chan struct{})}}
	r.b = &builder{engine: r.engine, comet: c.comet(), noWait: true}
	r.b.guard = &guard{fail: r.engine.fail}
	r.b.log = logger{to: r.engine.cfg.Logger.With("part", "cometbft"), failed: func(reason any) { r.engine.fail(fmt.Errorf("%v", reason)) }}
	for _, step := range []func(context.Context) error{r.b.openStores, r.b.startApplication, r.b.handshake} {
		if err := r.do(ctx, step); err != nil {
			return nil, errors.Join(fmt.Errorf("open the chain in %s: %w", cfg.Dir, err), r.b.undo())
		}
	}
	return r, nil
}

// do calls a step, and makes a panic, CometBFT's way to say that databases and application contradict one another, an error.
func (r *Rest) do(ctx context.Context, step func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return step(ctx)
}

// Close closes the databases.
func (r *Rest) Close() error { return r.b.undo() }

// Last is the last block of a chain.
type Last struct {
	// Height is 0 when there is no block yet.
	Height int64
	Hash   ledger.Hash
	// Time is the block's.
	Time time.Time
	// AppHash is the root of the state after the block.
	AppHash ledger.Hash
	// Signed and Power are the voting power of those who signed the block, as far as is known here, and of all.
	Signed, Power int64
}

// Last returns the last block.
func (r *Rest) Last() (Last, error) {
	state := r.b.chain
	last := Last{Height: state.LastBlockHeight, Time: state.LastBlockTime.UTC()}
	copy(last.AppHash[:], state.AppHash)
	if last.Height == 0 {
		return last, nil
	}
	header, err := loadHeader(r.b.blocks, last.Height)
	if err != nil {
		return Last{}, err
	}
	copy(last.Hash[:], header.Hash())
	last.Power = state.LastValidators.TotalVotingPower()
	commit := r.b.blocks.LoadSeenCommit(last.Height)
	if commit == nil {
		return Last{}, fault.New(fault.NotFound, "the signatures of block %d are not here", last.Height)
	}
	for i, s := range commit.Signatures {
		if _, v := state.LastValidators.GetByIndex(int32(i)); v != nil && s.BlockIDFlag == types.BlockIDFlagCommit {
			last.Signed += v.VotingPower
		}
	}
	return last, nil
}

// Path is as that of an Engine.
func (r *Rest) Path(since, to int64) (light.Path, error) { return r.b.history.path(since, to) }

// Add adds the block that follows the last one, with the commit for it, and carries it out. It is fault.Invalid when more than two thirds of the validators have not signed it, or it does not follow.
func (r *Rest) Add(ctx context.Context, block *types.Block, commit *types.Commit) error {
	state := r.b.chain
	parts, err := block.MakePartSet(types.BlockPartSizeBytes)
	if err != nil {
		return fault.New(fault.Invalid, "block %d: %w", block.Height, err)
	}
	id := types.BlockID{Hash: block.Hash(), PartSetHeader: parts.Header()}
	switch {
	case block.Height != state.LastBlockHeight+1:
		return fault.New(fault.Invalid, "block %d does not follow block %d", block.Height, state.LastBlockHeight)
	case !bytes.Equal(block.LastBlockID.Hash, state.LastBlockID.Hash):
		return fault.New(fault.Invalid, "block %d follows another block %d than this node's", block.Height, state.LastBlockHeight)
	}
	if err := state.Validators.VerifyCommit(state.ChainID, id, block.Height, commit); err != nil {
		return fault.New(fault.Invalid, "block %d: %w", block.Height, err)
	}
	return r.do(ctx, func(ctx context.Context) error {
		r.b.blocks.SaveBlock(block, parts, commit)
		return r.b.handshake(ctx)
	})
}
