package consensus

import (
	"context"
	"errors"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/mempool"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
)

// Submit hands in a transaction for a coming block. That it returns nil says no more than that the application would take it. An error is fault.Invalid when
// the application refuses it, fault.TooLarge, fault.Full when too many wait, fault.Conflict when the same was handed in a short time ago, and
// fault.Unavailable when the engine does not run or has failed.
func (e *Engine) Submit(ctx context.Context, tx []byte) error {
	if err := e.Ready(); err != nil {
		return fault.As(fault.Unavailable, err)
	}
	p, err := e.running()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if err := e.unlessFailed(func() error { return submit(p.pool, tx) }); err != nil {
		return fmt.Errorf("submit a transaction: %w", err)
	}
	p.spreader.spread(tx)
	return nil
}

// unlessFailed calls f, which uses the pool, and returns what it does, or why the engine has failed or paused. A part of CometBFT that fails while it changes the pool keeps the pool's lock for ever: so only a goroutine waits
// for that, which holds nothing that others need.
func (e *Engine) unlessFailed(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-e.failed:
		return fault.As(fault.Unavailable, e.reason())
	case <-e.pausing():
		return fault.New(fault.Unavailable, "the disk of this node is full")
	}
}

// submit puts a transaction into a pool.
func submit(pool *mempool.CListMempool, tx types.Tx) error {
	var answer *abci.ResponseCheckTx
	err := pool.CheckTx(tx, func(r *abci.ResponseCheckTx) { answer = r }, mempool.TxInfo{})
	switch {
	case errors.Is(err, mempool.ErrTxInCache):
		return fault.As(fault.Conflict, err)
	case errors.As(err, new(mempool.ErrTxTooLarge)), errors.As(err, new(mempool.ErrPreCheck)):
		return fault.As(fault.TooLarge, err)
	case errors.As(err, new(mempool.ErrMempoolIsFull)):
		return fault.As(fault.Full, err)
	case err != nil:
		return err
	case answer.IsErr():
		return fault.New(fault.Invalid, "the transaction is refused: %s (code %d)", answer.Log, answer.Code)
	}
	return nil
}

// waiting returns what reads a pool.
func (e *Engine) waiting(pool *mempool.CListMempool) func() (types.Txs, error) {
	return func() (types.Txs, error) {
		var all types.Txs
		err := e.unlessFailed(func() error {
			all = pool.ReapMaxTxs(-1)
			return nil
		})
		if err != nil { // all may be written to yet
			return nil, err
		}
		return all, nil
	}
}

// Read gives f CometBFT's databases to read from. They are open until f returns, and no longer.
func (e *Engine) Read(f func(blocks *store.BlockStore, states sm.Store) error) error {
	return e.use(func(p *parts) error { return f(p.blocks, p.states) })
}

// Drop forgets those transactions that wait for a block of which useless says that none will hold them. CometBFT itself forgets what was in a block, and nothing else.
func (e *Engine) Drop(useless func(tx []byte) bool) error {
	p, err := e.running()
	if err != nil {
		return err
	}
	return e.unlessFailed(func() error { return p.drop(useless) })
}

func (p *parts) drop(useless func(tx []byte) bool) error {
	for _, tx := range p.pool.ReapMaxTxs(-1) {
		if !useless(tx) {
			continue
		}
		if err := p.pool.RemoveTxByKey(tx.Key()); err != nil && !errors.Is(err, mempool.ErrTxNotFound) { // it came into a block meanwhile
			return fmt.Errorf("forget a transaction: %w", err)
		}
	}
	return nil
}
