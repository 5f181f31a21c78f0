package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// maxReceipt is the most bytes of a receipt or a genesis that a node may answer.
const maxReceipt = 64 << 20

// Ledger tells how the ledger fares at the node. It is fault.NotFound where the node keeps none.
func (c *Client) Ledger(ctx context.Context) (v1.Ledger, error) {
	return document[v1.Ledger](ctx, c, call{method: http.MethodGet, path: "/v1/ledger"})
}

// Genesis returns the genesis document of the ledger.
func (c *Client) Genesis(ctx context.Context) ([]byte, error) {
	return c.ledgerBytes(ctx, call{method: http.MethodGet, path: "/v1/ledger/genesis"})
}

// SubmitTransaction hands in an encoded transaction. The same may be handed in again.
func (c *Client) SubmitTransaction(ctx context.Context, encoded []byte, opts v1.SubmitOptions) (v1.TransactionStatus, error) {
	if len(encoded) > v1.MaxTransaction {
		return v1.TransactionStatus{}, fault.New(fault.TooLarge, "the transaction has %d bytes: at most %d are allowed", len(encoded), v1.MaxTransaction)
	}
	return document[v1.TransactionStatus](ctx, c, call{method: http.MethodPost, path: "/v1/ledger/transactions", query: waitQuery(opts), body: encoded, contentType: v1.TransactionType})
}

func waitQuery(opts v1.SubmitOptions) url.Values {
	query := url.Values{}
	if opts.Wait != "" {
		query.Set("wait", opts.Wait)
	}
	return query
}

// Submitted is what became of one transaction of a batch.
type Submitted struct {
	Status v1.TransactionStatus
	// Err is what SubmitTransaction would have returned.
	Err error
}

// SubmitBatch hands in 1 to v1.MaxBatch encoded transactions of v1.MaxBatchBytes together (v1.BatchRoom) in one request, and returns an answer for each, in order. The error is for the request as a whole, after which
// any of them may have been handed in. The same may be handed in again.
func (c *Client) SubmitBatch(ctx context.Context, transactions [][]byte, opts v1.SubmitOptions) ([]Submitted, error) {
	body, err := batchOf(transactions)
	if err != nil {
		return nil, err
	}
	answer, err := document[v1.Batch](ctx, c, call{method: http.MethodPost, path: "/v1/ledger/batches", query: waitQuery(opts), body: body, contentType: v1.BatchType})
	if err != nil {
		return nil, err
	}
	if len(answer.Transactions) != len(transactions) {
		return nil, fault.New(fault.Internal, "%s answered for %d transactions, and %d were handed in", c.URL(), len(answer.Transactions), len(transactions))
	}
	list := make([]Submitted, len(transactions))
	for i, one := range answer.Transactions {
		switch {
		case one.Problem != nil:
			list[i].Err = fault.New(fault.ParseKind(one.Problem.Kind), "%s", one.Problem.Detail)
		case one.Status != nil:
			list[i].Status = *one.Status
		default:
			list[i].Err = fault.New(fault.Internal, "%s answered nothing for transaction %d of %d", c.URL(), i+1, len(transactions))
		}
	}
	return list, nil
}

func batchOf(transactions [][]byte) ([]byte, error) {
	if len(transactions) == 0 || len(transactions) > v1.MaxBatch {
		return nil, fault.New(fault.Invalid, "a batch of %d transactions: want 1 to %d", len(transactions), v1.MaxBatch)
	}
	size := 0
	for i, t := range transactions {
		if len(t) > v1.MaxTransaction {
			return nil, fault.New(fault.TooLarge, "transaction %d has %d bytes: at most %d are allowed", i+1, len(t), v1.MaxTransaction)
		}
		size += v1.BatchRoom(len(t))
	}
	if size > v1.MaxBatchBytes {
		return nil, fault.New(fault.TooLarge, "a batch of %d bytes: at most %d are allowed", size, v1.MaxBatchBytes)
	}
	body := make([]byte, 0, size)
	for _, t := range transactions {
		body = v1.AppendToBatch(body, t)
	}
	return body, nil
}

// Transaction returns a transaction that is in a block.
func (c *Client) Transaction(ctx context.Context, id string) (v1.CommittedTransaction, error) {
	return document[v1.CommittedTransaction](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/transactions/", segment: id})
}

// TransactionIn returns a transaction that is in a block of the ledger with the id of, the present one or one that it goes on from. It is fault.NotFound only when it is in none, and fault.Conflict when the node does not
// have all of that ledger.
func (c *Client) TransactionIn(ctx context.Context, of, id string) (v1.CommittedTransaction, error) {
	return document[v1.CommittedTransaction](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/transactions/", segment: id, query: url.Values{"ledger": {of}}})
}

// TransactionReceipt returns the proof of what became of a transaction, for somebody who trusts the block at height since, or the genesis when that is 0.
func (c *Client) TransactionReceipt(ctx context.Context, id string, since int64) ([]byte, error) {
	return c.ledgerBytes(ctx, call{method: http.MethodGet, path: "/v1/ledger/receipts/transactions/", segment: id, query: sinceQuery(since)})
}

// BalanceReceipt returns the proof of what an account has of an asset, for somebody who trusts the block at height since, or the genesis when that is 0.
func (c *Client) BalanceReceipt(ctx context.Context, account, asset string, since int64) ([]byte, error) {
	query := sinceQuery(since)
	query.Set("asset", asset)
	return c.ledgerBytes(ctx, call{method: http.MethodGet, path: "/v1/ledger/receipts/balances/", segment: account, query: query})
}

func sinceQuery(since int64) url.Values {
	query := url.Values{}
	if since != 0 {
		query.Set("since", strconv.FormatInt(since, 10))
	}
	return query
}

func (c *Client) ledgerBytes(ctx context.Context, what call) ([]byte, error) {
	what.accept, what.limit = jsonType, maxReceipt
	_, body, err := c.do(ctx, what)
	return body, err
}

// Account returns what is known of an account.
func (c *Client) Account(ctx context.Context, id string) (v1.Account, error) {
	return document[v1.Account](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/accounts/", segment: id})
}

// History returns a page of the transactions that concern an account, newest first.
func (c *Client) History(ctx context.Context, account string, opts v1.HistoryOptions) (v1.History, error) {
	query := url.Values{}
	if opts.Cursor != "" {
		query.Set("cursor", opts.Cursor)
	}
	if opts.Limit != 0 {
		query.Set("limit", strconv.Itoa(opts.Limit))
	}
	return document[v1.History](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/history/", segment: account, query: query})
}

// Anchors returns the transactions that anchored a SHA-256, oldest first, up to v1.MaxAnchors. It is fault.NotFound when there is none.
func (c *Client) Anchors(ctx context.Context, digest string) (v1.Anchors, error) {
	return document[v1.Anchors](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/anchors/", segment: digest})
}

// Asset returns what is known of an asset, CODE@ISSUER.
func (c *Client) Asset(ctx context.Context, id string) (v1.Asset, error) {
	return document[v1.Asset](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/assets/", segment: id})
}

// Block returns a block; height 0 means the last.
func (c *Client) Block(ctx context.Context, height int64) (v1.Block, error) {
	segment := "latest"
	if height != 0 {
		segment = strconv.FormatInt(height, 10)
	}
	return document[v1.Block](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/blocks/", segment: segment})
}

// Validators returns those with voting power, and what they vote on.
func (c *Client) Validators(ctx context.Context) (v1.Validators, error) {
	return document[v1.Validators](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/validators"})
}

// Signers lists the keys that the node was told to sign transfers with.
func (c *Client) Signers(ctx context.Context) (v1.Signers, error) {
	return document[v1.Signers](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/signers"})
}

// Transfer has the node sign a transfer with a key of its own and hand it in. key, v1.MinIdempotencyKey to v1.MaxIdempotencyKey visible letters, is chosen at random for one payment: the same transfer under the same key
// may be asked for again, and happens once.
func (c *Client) Transfer(ctx context.Context, t v1.Transfer, key string, opts v1.SubmitOptions) (v1.TransactionStatus, error) {
	body, err := json.Marshal(t)
	if err != nil {
		return v1.TransactionStatus{}, fault.New(fault.Invalid, "write the transfer: %w", err)
	}
	return document[v1.TransactionStatus](ctx, c, call{
		method: http.MethodPost, path: "/v1/ledger/transfers", query: waitQuery(opts), header: http.Header{v1.HeaderIdempotencyKey: {key}}, body: body, contentType: jsonType,
	})
}

// Invites lists the invites that were made and not revoked.
func (c *Client) Invites(ctx context.Context) (v1.Invites, error) {
	return document[v1.Invites](ctx, c, call{method: http.MethodGet, path: "/v1/ledger/invites"})
}
