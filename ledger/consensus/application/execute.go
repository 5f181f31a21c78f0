package application

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtcrypto "github.com/cometbft/cometbft/proto/tendermint/crypto"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// addressSize is the number of bytes of a validator's address: the first of the SHA-256 of its key.
const addressSize = 20

// request is a block to be carried out.
type request struct {
	height, time int64
	hash         []byte
	envelopes    [][]*ledger.Transaction
	misbehaved   []abci.Misbehavior
}

// execution is what a block leads to.
type execution struct {
	height     int64
	hash       []byte
	pending    *state.Pending
	validators []ledger.ValidatorPower
	block      Block
}

// execute carries out a block on the last one. It writes nothing.
func (a *Application) execute(r request) (*execution, error) {
	v := a.cfg.Store.View()
	x, err := a.executeOn(v, r)
	if err = errors.Join(err, v.Close()); err != nil {
		return nil, fmt.Errorf("carry out block %d: %w", r.height, err)
	}
	return x, nil
}

func (a *Application) executeOn(v *state.View, r request) (*execution, error) {
	b, err := ledger.NewBlock(v, v, a.network, r.height, r.time)
	if err != nil {
		return nil, err
	}
	if err := punish(v, b, r.misbehaved); err != nil {
		return nil, err
	}
	block := &state.Block{Height: r.height, Time: r.time}
	x := &execution{height: r.height, hash: r.hash, block: Block{Height: r.height, Time: r.time}}
	if err := b.Expect(slices.Concat(r.envelopes...)); err != nil {
		return nil, err
	}
	for _, transactions := range r.envelopes {
		for _, t := range transactions {
			switch _, err := b.Include(t); {
			case err == nil:
				block.Transactions = append(block.Transactions, t)
			case fault.KindOf(err) == fault.Internal:
				return nil, err
			default:
				x.block.PassedOver = append(x.block.PassedOver, PassedOver{t.ID(a.network), t, err})
			}
		}
	}
	outcome, err := b.Finish()
	if err != nil {
		return nil, err
	}
	block.Results, block.Changes = outcome.Results, outcome.Changes
	x.block.Results, x.validators = outcome.Results, outcome.Validators
	x.pending, err = a.cfg.Store.Prepare(block)
	return x, err
}

// punish takes their power from validators of whose misbehaviour there is evidence. Evidence names addresses, and may be of somebody who has no power any more.
func punish(v *state.View, b *ledger.Block, misbehaved []abci.Misbehavior) error {
	if len(misbehaved) == 0 {
		return nil
	}
	guilty := make(map[string]bool, len(misbehaved))
	for i := range misbehaved {
		guilty[string(misbehaved[i].Validator.Address)] = true
	}
	var keys []ledger.PublicKey
	err := v.Ascend(ledger.Validators(), func(key, _ []byte) bool {
		var k ledger.PublicKey
		copy(k[:], key[1:])
		if sum := sha256.Sum256(k[:]); guilty[string(sum[:addressSize])] {
			keys = append(keys, k)
		}
		return true
	})
	for i := 0; i < len(keys) && err == nil; i++ {
		err = b.Misbehaved(keys[i])
	}
	return err
}

// FinalizeBlock carries out a block that was decided, unless that was done when it was proposed.
func (a *Application) FinalizeBlock(_ context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	x := a.kept(r.Height, r.Hash)
	if x == nil {
		envelopes, err := a.open(r.Txs)
		if err != nil {
			return nil, fmt.Errorf("block %d was decided against the rules: %w", r.Height, err)
		}
		if x, err = a.execute(request{r.Height, r.Time.UnixMilli(), r.Hash, envelopes, r.Misbehavior}); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	a.decided = x
	a.mu.Unlock()
	answer := &abci.ResponseFinalizeBlock{TxResults: make([]*abci.ExecTxResult, len(r.Txs))}
	for i := range answer.TxResults {
		answer.TxResults[i] = new(abci.ExecTxResult) // what became of transactions is part of the state
	}
	root := x.pending.Tip().Root
	answer.AppHash = root[:]
	for _, p := range x.validators {
		key := cmtcrypto.PublicKey{Sum: &cmtcrypto.PublicKey_Ed25519{Ed25519: append([]byte(nil), p.Key[:]...)}}
		answer.ValidatorUpdates = append(answer.ValidatorUpdates, abci.ValidatorUpdate{PubKey: key, Power: int64(p.Power)})
	}
	return answer, nil
}

// Commit makes the decided block the last one.
func (a *Application) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	a.mu.Lock()
	x := a.decided
	a.executed, a.decided = nil, nil
	a.mu.Unlock()
	if x == nil {
		return nil, errors.New("no block was decided")
	}
	if err := a.cfg.Store.Commit(x.pending); err != nil {
		return nil, err
	}
	a.takeSnapshot(x.height)
	if a.cfg.Committed != nil {
		a.cfg.Committed(x.block)
	}
	retain, err := a.prune(x.height)
	if err != nil { // they are removed later
		a.cfg.Logger.Warn("ledger: old blocks stay", "error", err)
	}
	return &abci.ResponseCommit{RetainHeight: retain}, nil
}
