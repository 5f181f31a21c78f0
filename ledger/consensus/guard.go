package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	cs "github.com/cometbft/cometbft/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/proxy"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/ledger/consensus/kv"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

// maxAhead is how far the time of a proposal may be ahead of this node's clock: a node does not vote for one that is further ahead, so that the ledger's time goes on only with the clocks of more than two thirds.
// Blocks that were decided are taken whatever the clock says: it is this node's that is wrong, and with CometBFT's own check, which makes no difference between the two, the node would stop for good.
const maxAhead = time.Minute

// codeBroken is the application's answer to a transaction that it could not check.
const codeBroken = 1

// A guard is what the wrappers here share. CometBFT panics where it cannot go on, and recovers in its consensus routine alone; anywhere else the process would
// end, and with it everything that has nothing to do with the ledger. So the goroutine ends instead, and the engine has failed.
type guard struct {
	fail func(error)
	// finished says that the application has carried out the last block that it can.
	finished atomic.Bool
	// behind is how far the clock is behind the last proposal in nanoseconds, where that is why it was refused, and otherwise 0.
	behind atomic.Int64
	warn   func(msg string, args ...any)
	// syncing says that blocks come from the block sync's routine, which does not recover.
	syncing atomic.Bool
}

// check passes an error on where CometBFT can bear it, and otherwise ends the goroutine.
func (g *guard) check(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kv.ErrClosed):
		runtime.Goexit() // one that woke up after the engine had stopped
	case g.syncing.Load():
		g.fail(err)
		runtime.Goexit()
	}
	return err
}

// guardedDB is a database whose errors go through a guard.
type guardedDB struct {
	dbm.DB
	guard *guard
}

func (d guardedDB) Get(k []byte) ([]byte, error) {
	v, err := d.DB.Get(k)
	return v, d.guard.check(err)
}

func (d guardedDB) Has(k []byte) (bool, error) {
	ok, err := d.DB.Has(k)
	return ok, d.guard.check(err)
}

func (d guardedDB) Set(k, v []byte) error     { return d.guard.check(d.DB.Set(k, v)) }
func (d guardedDB) SetSync(k, v []byte) error { return d.guard.check(d.DB.SetSync(k, v)) }
func (d guardedDB) Delete(k []byte) error     { return d.guard.check(d.DB.Delete(k)) }
func (d guardedDB) DeleteSync(k []byte) error { return d.guard.check(d.DB.DeleteSync(k)) }

func (d guardedDB) Iterator(start, end []byte) (dbm.Iterator, error) {
	it, err := d.DB.Iterator(start, end)
	return it, d.guard.check(err)
}

func (d guardedDB) ReverseIterator(start, end []byte) (dbm.Iterator, error) {
	it, err := d.DB.ReverseIterator(start, end)
	return it, d.guard.check(err)
}

func (d guardedDB) NewBatch() dbm.Batch { return guardedBatch{d.DB.NewBatch(), d.guard} }

type guardedBatch struct {
	dbm.Batch
	guard *guard
}

func (b guardedBatch) Write() error     { return b.guard.check(b.Batch.Write()) }
func (b guardedBatch) WriteSync() error { return b.guard.check(b.Batch.WriteSync()) }

// guardedConns are connections to the application whose errors go through a guard.
type guardedConns struct {
	proxy.AppConns
	guard *guard
	clock func() time.Time
	log   *slog.Logger
	// address is the validator's, or nil, and signer is told of its precommits in blocks, and of each block that was decided.
	address []byte
	signer  *signer.Signer
	// seen returns the signatures with which this node saw a block decided, or nil.
	seen func(height int64) *types.Commit
	// keepBelow keeps, before the blocks below a height are removed, what of them is needed for ever.
	keepBelow func(height int64) error
	// follows says why the application can't carry out the block of a height, or returns nil, and height is that of the block that was carried out last.
	follows func(height int64) error
	height  *atomic.Int64
}

// stopBefore stops the engine when the application can't carry out the block of a height, and returns why.
func (c guardedConns) stopBefore(height int64) error {
	err := c.follows(height)
	if err != nil {
		c.guard.finished.Store(true)
		c.guard.fail(err)
	}
	return err
}

func (c guardedConns) Consensus() proxy.AppConnConsensus {
	return guardedConsensus{c.AppConns.Consensus(), c}
}

// recovered calls the application and makes a panic an error.
func recovered[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the application panicked: %v", r)
		}
	}()
	return f()
}

type guardedConsensus struct {
	proxy.AppConnConsensus
	conns guardedConns
}

// ProcessProposal refuses a proposal from the future, and asks the application about others.
func (c guardedConsensus) ProcessProposal(ctx context.Context, r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	if ahead := r.Time.Sub(c.conns.clock()); ahead >= maxAhead {
		if c.conns.guard.behind.Swap(int64(ahead)) == 0 { // once, and not for each block
			c.conns.log.Warn("ledger: this node votes for nothing while its clock is behind that of the ledger", "height", r.Height, "behind", ahead)
		}
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	}
	c.conns.guard.behind.Store(0)
	if c.conns.stopBefore(r.Height) != nil {
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	}
	return c.AppConnConsensus.ProcessProposal(ctx, r)
}

func (c guardedConsensus) FinalizeBlock(ctx context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	if err := c.conns.stopBefore(r.Height); err != nil {
		return nil, c.conns.guard.check(err)
	}
	if c.conns.signer != nil {
		c.conns.tellSigner(r)
	}
	c.conns.height.Store(r.Height)
	v, err := recovered(func() (*abci.ResponseFinalizeBlock, error) { return c.AppConnConsensus.FinalizeBlock(ctx, r) })
	if err != nil {
		err = fmt.Errorf("execute block %d: %w", r.Height, err)
	}
	return v, c.conns.guard.check(err)
}

// tellSigner tells the signer what a block that was decided, and the signatures under it, say of its key: before the node votes on the next one.
func (c guardedConns) tellSigner(r *abci.RequestFinalizeBlock) {
	signed := false
	for _, v := range r.DecidedLastCommit.Votes {
		if v.BlockIdFlag != cmtproto.BlockIDFlagAbsent && bytes.Equal(v.Validator.Address, c.address) {
			signed = true
			c.signer.Witness(r.Height-1, r.DecidedLastCommit.Round, nil)
		}
	}
	c.signer.Decided(r.Height, r.Time, signed)
	c.witness(c.seen(r.Height))
}

// witness tells the signer, if there is one, when its key's precommit is in a commit.
func (c guardedConns) witness(commit *types.Commit) {
	if commit == nil || c.signer == nil {
		return
	}
	for _, s := range commit.Signatures {
		if s.BlockIDFlag != types.BlockIDFlagAbsent && bytes.Equal(s.ValidatorAddress, c.address) {
			c.signer.Witness(commit.Height, commit.Round, s.Signature)
		}
	}
}

func (c guardedConsensus) Commit(ctx context.Context) (*abci.ResponseCommit, error) {
	v, err := recovered(func() (*abci.ResponseCommit, error) { return c.AppConnConsensus.Commit(ctx) })
	if err != nil {
		err = fmt.Errorf("commit a block: %w", err)
	} else if v.RetainHeight > 0 && c.conns.keepBelow != nil {
		if lost := c.conns.keepBelow(v.RetainHeight); lost != nil { // then the blocks stay too
			c.conns.guard.warn("ledger: old blocks stay", "error", lost)
			v = &abci.ResponseCommit{}
		}
	}
	if err == nil {
		_ = c.conns.stopBefore(c.conns.height.Load() + 1) // this block is whole, and CometBFT notes that it is
	}
	return v, c.conns.guard.check(err)
}

// guardedApplication refuses a transaction that the application cannot check, where CometBFT would panic in whatever goroutine it is.
type guardedApplication struct{ abci.Application }

// CheckTx checks a transaction.
func (a guardedApplication) CheckTx(ctx context.Context, r *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	v, err := recovered(func() (*abci.ResponseCheckTx, error) { return a.Application.CheckTx(ctx, r) })
	if err != nil {
		return &abci.ResponseCheckTx{Code: codeBroken, Log: err.Error()}, nil
	}
	return v, nil
}

// consensusReactor is CometBFT's, with an eye on the moment at which it begins.
type consensusReactor struct {
	*cs.Reactor
	guard   *guard
	turn    *turn
	arrival arrival
	whole   func() bool // every node is connected with every other
	// began is called once the consensus routine runs.
	began func()
}

// SwitchToConsensus is called by the block sync when there is nothing left to fetch, in a goroutine that does not recover.
func (r *consensusReactor) SwitchToConsensus(state sm.State, skipWAL bool) {
	defer func() {
		if v := recover(); v != nil {
			r.guard.fail(fmt.Errorf("consensus could not begin: %v", v))
		}
	}()
	r.guard.syncing.Store(false)
	r.Reactor.SwitchToConsensus(state, skipWAL)
	r.began()
}
