package api

import (
	"context"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Ledger is what the HTTP API needs of a node that keeps the ledger. Ids, accounts and assets are as people write them; errors carry a fault.Kind.
type Ledger interface {
	// Status tells how the ledger fares.
	Status(ctx context.Context) (v1.Ledger, error)
	// Genesis returns the genesis document.
	Genesis(ctx context.Context) ([]byte, error)
	// Submit hands in an encoded transaction and waits until it is in a block when committed is set, or until the node has passed it on. Handed in again, it is the same transaction.
	Submit(ctx context.Context, transaction []byte, committed bool) (v1.TransactionStatus, error)
	// SubmitBatch is Submit for many, with an answer for each in order. The error is for what concerns all of them. It keeps none of the bytes.
	SubmitBatch(ctx context.Context, transactions [][]byte, committed bool) ([]Submitted, error)
	// Transaction returns a transaction that is in a block: of the ledger with the id of, which the present one goes on from, or of the present one where that is its id or empty.
	Transaction(ctx context.Context, id, of string) (v1.CommittedTransaction, error)
	// TransactionReceipt and BalanceReceipt return proofs for somebody who trusts the block at height since, or the genesis when that is 0.
	TransactionReceipt(ctx context.Context, id string, since int64) ([]byte, error)
	BalanceReceipt(ctx context.Context, account, asset string, since int64) ([]byte, error)
	Account(ctx context.Context, id string) (v1.Account, error)
	History(ctx context.Context, account string, opts v1.HistoryOptions) (v1.History, error)
	// Anchors returns the first of the transactions that anchored a SHA-256, up to v1.MaxAnchors. It is fault.NotFound when there is none.
	Anchors(ctx context.Context, digest string) (v1.Anchors, error)
	Asset(ctx context.Context, id string) (v1.Asset, error)
	// Block returns a block; height 0 means the last.
	Block(ctx context.Context, height int64) (v1.Block, error)
	Validators(ctx context.Context) (v1.Validators, error)
	// Signers lists the keys that the node was told to sign transfers with.
	Signers(ctx context.Context) (v1.Signers, error)
	// Transfer signs a transfer with keys of Signers, and is then as Submit. The same transfer under the same key is the same transaction; another one under it is fault.Conflict, and so is one that is meant for another
	// ledger. It is fault.Forbidden where the node has not enough keys of the account that pays.
	Transfer(ctx context.Context, t v1.Transfer, key string, committed bool) (v1.TransactionStatus, error)
	// Invites lists the invites that were not revoked, in the order of their accounts.
	Invites(ctx context.Context) (v1.Invites, error)
}

// Submitted is what became of one transaction of a batch.
type Submitted struct {
	Status v1.TransactionStatus
	// Err is what Submit would have returned.
	Err error
}

// noLedger is the Ledger of a node that keeps none.
type noLedger struct{}

var errNoLedger = fault.New(fault.NotFound, "this node keeps no ledger: its network is open and has none, or it runs with --ledger=false")

func (noLedger) Status(context.Context) (v1.Ledger, error) { return v1.Ledger{}, errNoLedger }

func (noLedger) Genesis(context.Context) ([]byte, error) { return nil, errNoLedger }

func (noLedger) Submit(context.Context, []byte, bool) (v1.TransactionStatus, error) {
	return v1.TransactionStatus{}, errNoLedger
}

func (noLedger) SubmitBatch(context.Context, [][]byte, bool) ([]Submitted, error) {
	return nil, errNoLedger
}

func (noLedger) Transaction(context.Context, string, string) (v1.CommittedTransaction, error) {
	return v1.CommittedTransaction{}, errNoLedger
}

func (noLedger) TransactionReceipt(context.Context, string, int64) ([]byte, error) {
	return nil, errNoLedger
}

func (noLedger) BalanceReceipt(context.Context, string, string, int64) ([]byte, error) {
	return nil, errNoLedger
}

func (noLedger) Account(context.Context, string) (v1.Account, error) {
	return v1.Account{}, errNoLedger
}

func (noLedger) History(context.Context, string, v1.HistoryOptions) (v1.History, error) {
	return v1.History{}, errNoLedger
}

func (noLedger) Anchors(context.Context, string) (v1.Anchors, error) {
	return v1.Anchors{}, errNoLedger
}

func (noLedger) Asset(context.Context, string) (v1.Asset, error) { return v1.Asset{}, errNoLedger }

func (noLedger) Block(context.Context, int64) (v1.Block, error) { return v1.Block{}, errNoLedger }

func (noLedger) Validators(context.Context) (v1.Validators, error) {
	return v1.Validators{}, errNoLedger
}

func (noLedger) Signers(context.Context) (v1.Signers, error) { return v1.Signers{}, errNoLedger }

func (noLedger) Transfer(context.Context, v1.Transfer, string, bool) (v1.TransactionStatus, error) {
	return v1.TransactionStatus{}, errNoLedger
}

func (noLedger) Invites(context.Context) (v1.Invites, error) { return v1.Invites{}, errNoLedger }
