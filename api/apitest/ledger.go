package apitest

import (
	"context"
	"fmt"
	"time"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// What a Ledger knows.
const (
	// Account is the one account, and Asset the one asset.
	Account = "moot1account"
	Asset   = "EUR@moot1account"
	// Transaction is the id of the one transaction, in block Height.
	Transaction = "00ff"
	Height      = 7
	// Digest is the SHA-256 that it anchors.
	Digest = "abcd"
)

// Ledger is an api.Ledger that knows one transaction, to test how it is asked. Its zero value is ready to use. What rules say of transactions it does not know: handed in is whatever comes.
type Ledger struct{}

var _ api.Ledger = Ledger{}

// Status tells of a ledger at block Height.
func (Ledger) Status(context.Context) (v1.Ledger, error) {
	return v1.Ledger{Network: "aa", Name: "test", Height: Height, Time: time.Unix(1, 0).UTC(), Total: 1}, nil
}

// Genesis returns a document.
func (Ledger) Genesis(context.Context) ([]byte, error) { return []byte(`{"network":"test"}`), nil }

// Submit takes anything but what is empty.
func (Ledger) Submit(_ context.Context, transaction []byte, committed bool) (v1.TransactionStatus, error) {
	if len(transaction) == 0 {
		return v1.TransactionStatus{}, fault.New(fault.Invalid, "no transaction")
	}
	if !committed {
		return v1.TransactionStatus{ID: Transaction, State: v1.TransactionPending}, nil
	}
	return status(), nil
}

// SubmitBatch takes each as Submit does.
func (l Ledger) SubmitBatch(ctx context.Context, transactions [][]byte, committed bool) ([]api.Submitted, error) {
	list := make([]api.Submitted, len(transactions))
	for i, transaction := range transactions {
		list[i].Status, list[i].Err = l.Submit(ctx, transaction, committed)
	}
	return list, nil
}

func status() v1.TransactionStatus {
	return v1.TransactionStatus{ID: Transaction, State: v1.TransactionCommitted, Height: Height, Time: time.Unix(1, 0).UTC(), Applied: true}
}

func only[T any](what, id, known string, doc T) (T, error) {
	if id != known {
		var none T
		return none, fault.New(fault.NotFound, "there is no %s %s", what, id)
	}
	return doc, nil
}

// Transaction knows one.
func (Ledger) Transaction(_ context.Context, id, _ string) (v1.CommittedTransaction, error) {
	return only("transaction", id, Transaction, v1.CommittedTransaction{TransactionStatus: status(), Transaction: v1.Transaction{Operations: []v1.Operation{}}})
}

// TransactionReceipt returns a document that tells what was asked for.
func (Ledger) TransactionReceipt(_ context.Context, id string, since int64) ([]byte, error) {
	return only("transaction", id, Transaction, fmt.Appendf(nil, `{"since":%d}`, since))
}

// BalanceReceipt returns a document that tells what was asked for.
func (Ledger) BalanceReceipt(_ context.Context, account, asset string, since int64) ([]byte, error) {
	return only("account", account, Account, fmt.Appendf(nil, `{"asset":%q,"since":%d}`, asset, since))
}

// Account knows one.
func (Ledger) Account(_ context.Context, id string) (v1.Account, error) {
	return only("account", id, Account, v1.Account{ID: id, Slots: []uint32{}, Balances: []v1.Balance{{Asset: Asset, Amount: "1250", Scale: 2}}, Height: Height})
}

// History has as many transactions as are asked for, and tells of the cursor in the memo.
func (Ledger) History(_ context.Context, account string, opts v1.HistoryOptions) (v1.History, error) {
	one := v1.CommittedTransaction{TransactionStatus: status(), Transaction: v1.Transaction{Memo: opts.Cursor, Operations: []v1.Operation{}}}
	h := v1.History{Cursor: "next"}
	for range opts.Limit {
		h.Transactions = append(h.Transactions, one)
	}
	return only("account", account, Account, h)
}

// Anchors knows one, Digest.
func (Ledger) Anchors(_ context.Context, digest string) (v1.Anchors, error) {
	one := v1.CommittedTransaction{TransactionStatus: status(), Transaction: v1.Transaction{Operations: []v1.Operation{{Kind: "anchor", By: Account, Digest: digest}}}}
	return only("anchor", digest, Digest, v1.Anchors{Transactions: []v1.CommittedTransaction{one}})
}

// Asset knows one.
func (Ledger) Asset(_ context.Context, id string) (v1.Asset, error) {
	return only("asset", id, Asset, v1.Asset{ID: id, Scale: 2, Supply: "1250"})
}

// Block knows one, which is the last.
func (Ledger) Block(_ context.Context, height int64) (v1.Block, error) {
	if height == 0 {
		height = Height
	}
	return only("block", fmt.Sprint(height), fmt.Sprint(Height), v1.Block{Height: height, Transactions: []v1.CommittedTransaction{}})
}

// Validators knows one, which signed all but one of the blocks.
func (Ledger) Validators(context.Context) (v1.Validators, error) {
	one := v1.Validator{Key: "aabb", Power: 1, Operator: Account, Blocks: Height - 1, Signed: Height - 2}
	return v1.Validators{Validators: []v1.Validator{one}, Proposals: []v1.Proposal{}, Total: 1, Window: Height - 1}, nil
}

// Signers knows one.
func (Ledger) Signers(context.Context) (v1.Signers, error) {
	return v1.Signers{Signers: []v1.Signer{{Name: "till", Account: Account, Key: "aabb"}}}, nil
}

// Transfer pays from the one account alone, in the ledger that Status tells of.
func (l Ledger) Transfer(ctx context.Context, t v1.Transfer, key string, committed bool) (v1.TransactionStatus, error) {
	if t.From != Account {
		return v1.TransactionStatus{}, fault.New(fault.Forbidden, "no key of %s", t.From)
	}
	return l.Submit(ctx, []byte(key), committed)
}

// Invites tells of one.
func (Ledger) Invites(context.Context) (v1.Invites, error) {
	return v1.Invites{Invites: []v1.Invite{{ID: Account, State: v1.InviteOpen, By: Account, Uses: 2, Left: 1, Until: time.Unix(2, 0).UTC()}}}, nil
}
