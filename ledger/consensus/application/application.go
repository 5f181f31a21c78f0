package application

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// clockLeeway is how far another node's clock may be ahead when it passes on a transaction that is valid for as long as one may be. Blocks have the validators' time, and decide.
const clockLeeway = 10 * time.Second

// maxExecuted is how many proposals of one height are kept carried out. There is one unless rounds fail.
const maxExecuted = 4

// Config configures an Application.
type Config struct {
	// Store keeps the state. It is of the genesis's network.
	Store *state.Store
	// Genesis is what the ledger begins with.
	Genesis *ledger.Genesis
	// Keeper keeps snapshots of the state for other nodes; nil: none are taken.
	Keeper *state.Keeper
	// Kept is how many of the newest blocks are kept, MinKept or more; 0: all are.
	Kept int64
	// Committed is called after each block, in order, and must not block; nil: nobody.
	Committed func(Block)
	// Checked is called with how many transactions' signatures were found good and wrong; nil: nobody.
	Checked func(good, wrong int)
	// Saw is called with the transactions of each envelope whose signatures are good, once, and when it was taken up, and must not block; nil: nobody.
	Saw func(began time.Time, transactions []*ledger.Transaction)
	// Logger may be nil.
	Logger *slog.Logger
}

// Block is one that was committed.
type Block struct {
	// Height, Time in milliseconds since 1970, and what became of those transactions that were carried out.
	Height, Time int64
	Results      []ledger.Result
	// PassedOver are the transactions that were in the block and may not be, with the reasons.
	PassedOver []PassedOver
}

// PassedOver is a transaction that a block holds and that is as if it were not there.
type PassedOver struct {
	ID ledger.TransactionID
	// Transaction tells it from others of the same id, which say the same and are signed otherwise: they may be good.
	Transaction *ledger.Transaction
	Reason      error
}

// Application is an abci.Application. CometBFT calls it from many goroutines, but for blocks from one at a time.
type Application struct {
	abci.BaseApplication
	cfg     Config
	network ledger.Hash
	checked *checked

	mu       sync.Mutex
	executed []*execution // proposals of the height that is being agreed on, guarded by mu
	decided  *execution   // guarded by mu

	restorer *state.Restorer // of the one goroutine that fetches the state, before there is a block
}

// New returns an application that belongs to one consensus.Engine.
func New(cfg Config) *Application {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Checked == nil {
		cfg.Checked = func(int, int) {}
	}
	network := cfg.Genesis.ID()
	return &Application{cfg: cfg, network: network, checked: newChecked(network, cfg.Checked, cfg.Saw)}
}

// AddChecked tells the application of an envelope that was made on this node of transactions whose signatures are good, so that they are not checked once more.
func (a *Application) AddChecked(envelope []byte, transactions []*ledger.Transaction) {
	a.checked.add(envelope, transactions)
}

// Info tells CometBFT which block was the last.
func (a *Application) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	tip := a.cfg.Store.Tip()
	if tip.Height == 0 {
		return &abci.ResponseInfo{}, nil
	}
	return &abci.ResponseInfo{LastBlockHeight: tip.Height, LastBlockAppHash: tip.Root[:]}, nil
}

// InitChain makes the state of the genesis. Where that was done before the first block, it is done already: that of a successor is, when its home is made.
func (a *Application) InitChain(_ context.Context, r *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	if err := a.found(); err != nil {
		return nil, err
	}
	tip := a.cfg.Store.Tip()
	if tip.Height != 0 {
		return nil, fault.New(fault.Conflict, "the state is of block %d, and the chain is to begin", tip.Height)
	}
	return &abci.ResponseInitChain{AppHash: tip.Root[:]}, nil
}

// Follows returns a *ledger.UnknownRulesError when the block of a height is to follow rules that this program doesn't know; nil: it can be carried out.
func (a *Application) Follows(height int64) error {
	v := a.cfg.Store.View()
	if v.Tip == (state.Tip{}) {
		return v.Close() // the rules of a genesis are the first
	}
	rules, err := ledger.CurrentRules(v)
	if err = errors.Join(err, v.Close()); err != nil {
		return err
	}
	return rules.Known(height)
}

// What CheckTx answers; 0 is good.
const (
	codeMalformed = 1
	codeUseless   = 2
)

// CheckTx says whether an envelope is to be passed on: all its signatures are good, a block has room for it, and at least one of its transactions may be in the next one.
func (a *Application) CheckTx(_ context.Context, r *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	transactions, err := a.checked.open(r.Tx)
	if err == nil && cost(transactions) > a.cfg.Genesis.Limits.BlockCost {
		err = fault.New(fault.TooLarge, "the envelope is more than a block may hold")
	}
	if err != nil {
		return &abci.ResponseCheckTx{Code: codeMalformed, Log: err.Error()}, nil
	}
	if err := a.useful(transactions); err != nil {
		return &abci.ResponseCheckTx{Code: codeUseless, Log: err.Error()}, nil
	}
	return &abci.ResponseCheckTx{}, nil
}

// Useless reports whether none of the transactions of an envelope may be in the next block, as when others have brought them: it would only take room in one.
func (a *Application) Useless(envelope []byte) bool {
	transactions, err := a.checked.open(envelope)
	return err != nil || a.useful(transactions) != nil
}

// useful returns nil when one of the transactions may be in the next block, and otherwise why the first may not.
func (a *Application) useful(transactions []*ledger.Transaction) (err error) {
	v := a.cfg.Store.View()
	defer v.Close()
	now := nextTime(v)
	for _, t := range transactions {
		_, reason := a.try(v, t, min(max(now, t.ValidFrom()), now+clockLeeway.Milliseconds()))
		if reason == nil {
			return nil
		}
		if err == nil {
			err = reason
		}
	}
	return err
}

// Try says what would become of a transaction if it were alone in the next block. Errors are those of ledger.Block's Include.
func (a *Application) Try(t *ledger.Transaction) (ledger.Result, error) {
	v := a.cfg.Store.View()
	defer v.Close()
	return a.try(v, t, nextTime(v))
}

// nextTime returns about the time of the next block but one. That of the next is not known: it is the time of the last one's votes, which may be old when nothing has happened since.
func nextTime(v *state.View) int64 { return max(v.Tip.Time, time.Now().UnixMilli()) }

func (a *Application) try(v *state.View, t *ledger.Transaction, at int64) (ledger.Result, error) {
	b, err := ledger.NewBlock(v, v, a.network, v.Tip.Height+1, at)
	if err != nil {
		return ledger.Result{}, err
	}
	return b.Include(t)
}

// PrepareProposal takes as many of the waiting envelopes, in order, as a block may hold.
func (a *Application) PrepareProposal(_ context.Context, r *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	answer := new(abci.ResponsePrepareProposal)
	var bytes int64
	var total uint32
	for _, tx := range r.Txs {
		transactions, err := a.checked.open(tx)
		if err != nil {
			continue // it was checked when it came: another node's rules or our memory have failed
		}
		n := cost(transactions)
		if bytes+int64(len(tx)) > r.MaxTxBytes || total+n > a.cfg.Genesis.Limits.BlockCost {
			break
		}
		bytes, total = bytes+int64(len(tx)), total+n
		answer.Txs = append(answer.Txs, tx)
	}
	return answer, nil
}

// ProcessProposal accepts a proposal of well-formed envelopes with good signatures that are not more than a block may hold, and carries it out.
func (a *Application) ProcessProposal(_ context.Context, r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	envelopes, err := a.open(r.Txs)
	if err != nil {
		a.cfg.Logger.Warn("ledger: a proposal is refused", "height", r.Height, "error", err)
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	}
	x, err := a.execute(request{r.Height, r.Time.UnixMilli(), r.Hash, envelopes, r.Misbehavior})
	if err != nil {
		return nil, err
	}
	a.keep(x)
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
}

// open opens the envelopes of a block. Errors are those for which a proposal is refused.
func (a *Application) open(txs [][]byte) ([][]*ledger.Transaction, error) {
	envelopes := make([][]*ledger.Transaction, len(txs))
	var total uint32
	for i, tx := range txs {
		transactions, err := a.checked.open(tx)
		if err != nil {
			return nil, fmt.Errorf("envelope %d: %w", i+1, err)
		}
		envelopes[i] = transactions
		if total += cost(transactions); total > a.cfg.Genesis.Limits.BlockCost {
			return nil, fault.New(fault.TooLarge, "the envelopes are more than a block may hold")
		}
	}
	return envelopes, nil
}

// keep keeps a proposal that was carried out. Those of other heights are of no use any more.
func (a *Application) keep(x *execution) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.executed) > 0 && a.executed[0].height != x.height || len(a.executed) == maxExecuted {
		a.executed = nil
	}
	a.executed = append(a.executed, x)
}

// kept returns a proposal that was carried out, nil where none was.
func (a *Application) kept(height int64, hash []byte) *execution {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.executed {
		if x.height == height && string(x.hash) == string(hash) {
			return x
		}
	}
	return nil
}
