package consensus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
)

// app is a deterministic application: its hash covers all transactions and all misbehaviour, in order. It keeps nothing on disk, so that each start replays
// the blocks.
type app struct {
	abci.BaseApplication

	mu         sync.Mutex
	height     int64
	hash       []byte
	txs        []string
	misbehaved []abci.Misbehavior
	breakAt    func(height int64) error // called for each block with transactions unless nil; may panic
	pending    func()
}

func (a *app) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &abci.ResponseInfo{LastBlockHeight: a.height, LastBlockAppHash: a.hash}, nil
}

func (a *app) CheckTx(_ context.Context, r *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	switch {
	case bytes.HasPrefix(r.Tx, []byte("bad")):
		return &abci.ResponseCheckTx{Code: 7, Log: "it is bad"}, nil
	case bytes.HasPrefix(r.Tx, []byte("panic")):
		panic("the application has a fault")
	case bytes.HasPrefix(r.Tx, []byte("error")):
		return nil, errors.New("the application is ill")
	}
	return &abci.ResponseCheckTx{}, nil
}

func (a *app) FinalizeBlock(_ context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	a.mu.Lock()
	broken := a.breakAt
	a.mu.Unlock()
	if broken != nil && len(r.Txs) > 0 {
		if err := broken(r.Height); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	hash := a.hash
	mix := func(data []byte) {
		h := sha256.Sum256(append(bytes.Clone(hash), data...))
		hash = h[:]
	}
	results := make([]*abci.ExecTxResult, len(r.Txs))
	var txs []string
	for i, tx := range r.Txs {
		mix(tx)
		results[i] = &abci.ExecTxResult{}
		txs = append(txs, string(tx))
	}
	for _, m := range r.Misbehavior {
		mix(fmt.Append(nil, m.Type, m.Height, m.Validator.Address))
	}
	a.pending = func() {
		a.height, a.hash = r.Height, hash
		a.txs = append(a.txs, txs...)
		a.misbehaved = append(a.misbehaved, r.Misbehavior...)
	}
	return &abci.ResponseFinalizeBlock{TxResults: results, AppHash: hash}, nil
}

func (a *app) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending()
	return &abci.ResponseCommit{}, nil
}

func (a *app) has(tx string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.txs {
		if t == tx {
			return true
		}
	}
	return false
}

func (a *app) at() (height int64, hash string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.height, fmt.Sprintf("%x", a.hash)
}

func (a *app) caught() []abci.Misbehavior {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]abci.Misbehavior(nil), a.misbehaved...)
}

func (a *app) breakWith(f func(height int64) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.breakAt = f
}
