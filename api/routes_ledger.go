package api

import (
	"bytes"
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	// signPath is where the node is asked to sign.
	signPath = "/v1/ledger/transfers"
	// maxTransferBody is the most bytes of a transfer as a document.
	maxTransferBody = 4 << 10
)

// latest stands for the height of the last block.
const latest = "latest"

func (r *routes) ledgerRoutes() {
	tags := []string{"ledger"}
	get := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: "/v1/ledger" + path, Tags: tags, Summary: summary}
	}
	handle(r, get("get-ledger", "", "How the ledger fares at this node"), r.getLedger)
	handle(r, r.bytes(get("get-genesis", "/genesis", "The document that the ledger began with")), r.getGenesis)
	handle(r, huma.Operation{
		OperationID: "submit-transaction", Method: http.MethodPost, Path: "/v1/ledger/transactions", Tags: tags,
		Summary: "Hand in a signed transaction. The same may be handed in again, here or at another node: it happens once",
		RequestBody: &huma.RequestBody{
			Description: "The transaction, encoded",
			Content:     map[string]*huma.MediaType{v1.TransactionType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		},
		MaxBodyBytes: v1.MaxTransaction + 1,
	}, r.submitTransaction)
	handle(r, huma.Operation{
		OperationID: "submit-batch", Method: http.MethodPost, Path: "/v1/ledger/batches", Tags: tags,
		Summary: "Hand in many signed transactions, each for itself: the answer tells what became of each, in order",
		RequestBody: &huma.RequestBody{
			Description: "The encoded transactions, before each its length in 24 bits, big-endian: at most " + strconv.Itoa(v1.MaxBatch) + " and " + strconv.Itoa(v1.MaxBatchBytes) + " bytes",
			Content:     map[string]*huma.MediaType{v1.BatchType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		},
		MaxBodyBytes: v1.MaxBatchBytes + 1,
	}, r.submitBatch)
	handle(r, get("list-signers", "/signers", "The keys that this node was told to sign transfers with"), r.listSigners)
	handle(r, huma.Operation{
		OperationID: "sign-transfer", Method: http.MethodPost, Path: signPath, Tags: tags,
		Summary:      "Have the node sign a transfer with a key of its own (--sign-with) and hand it in. The same again is the same transaction. A token is needed in any case",
		MaxBodyBytes: maxTransferBody,
	}, r.signTransfer)
	handle(r, get("get-transaction", "/transactions/{id}", "A transaction that is in a block, and what became of it"), r.getTransaction)
	handle(r, r.bytes(get("get-transaction-receipt", "/receipts/transactions/{id}", "The proof of what became of a transaction, which can be checked without a network")), r.transactionReceipt)
	handle(r, r.bytes(get("get-balance-receipt", "/receipts/balances/{account}", "The proof of what an account has of an asset")), r.balanceReceipt)
	handle(r, get("get-account", "/accounts/{account}", "Keys, slots and balances of an account"), r.getAccount)
	handle(r, get("get-history", "/history/{account}", "The transactions that concern an account, newest first"), r.getHistory)
	handle(r, get("get-anchors", "/anchors/{digest}", "The transactions that anchored a SHA-256, oldest first"), r.getAnchors)
	handle(r, get("get-asset", "/assets/{asset}", "Scale, cap and supply of an asset"), r.getAsset)
	handle(r, get("get-block", "/blocks/{height}", "A block with its transactions"), r.getBlock)
	handle(r, get("list-validators", "/validators", "Who has voting power, and what is voted on"), r.listValidators)
	handle(r, get("list-invites", "/invites", "The invites that were made and not revoked"), r.listInvites)
}

// bytes makes the answer of an operation a JSON document that comes as it is.
func (r *routes) bytes(op huma.Operation) huma.Operation {
	schema := r.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[map[string]any](), true, "")
	op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{typeJSON: {Schema: schema}}}}
	return op
}

// rawDocument is a JSON document that comes as it is.
type rawDocument struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func rawOf(body []byte, err error) (*rawDocument, error) {
	if err != nil {
		return nil, err
	}
	return &rawDocument{typeJSON, body}, nil
}

func documentOf[T any](doc T, err error) (*document[T], error) {
	if err != nil {
		return nil, err
	}
	return &document[T]{doc}, nil
}

func (r *routes) getLedger(ctx context.Context, _ *struct{}) (*document[v1.Ledger], error) {
	return documentOf(r.ledger.Status(ctx))
}

func (r *routes) getGenesis(ctx context.Context, _ *struct{}) (*rawDocument, error) {
	return rawOf(r.ledger.Genesis(ctx))
}

// WaitInput says what a submission waits for.
type WaitInput struct {
	Wait string `query:"wait" enum:"accepted,committed" default:"committed" doc:"accepted: this node has checked it and passed it on; committed: it is in a block"`
}

type submitInput struct {
	WaitInput
	RawBody []byte
}

type transferInput struct {
	WaitInput
	Key  string `header:"Idempotency-Key" required:"true" minLength:"16" maxLength:"64" pattern:"^[!-~]+$" doc:"Chosen at random by the caller for one payment: sent again with the same document it is the same payment"`
	Body v1.Transfer
}

func (r *routes) listSigners(ctx context.Context, _ *struct{}) (*document[v1.Signers], error) {
	list, err := r.ledger.Signers(ctx)
	list.Signers = notNil(list.Signers)
	return documentOf(list, err)
}

func (r *routes) signTransfer(ctx context.Context, in *transferInput) (*document[v1.TransactionStatus], error) {
	return documentOf(r.ledger.Transfer(ctx, in.Body, in.Key, in.Wait != v1.WaitAccepted))
}

func (r *routes) submitTransaction(ctx context.Context, in *submitInput) (*document[v1.TransactionStatus], error) {
	return documentOf(r.ledger.Submit(ctx, bytes.Clone(in.RawBody), in.Wait != v1.WaitAccepted))
}

func (r *routes) submitBatch(ctx context.Context, in *submitInput) (*document[v1.Batch], error) {
	if len(in.RawBody) > v1.MaxBatchBytes {
		return nil, fault.New(fault.TooLarge, "the batch has more than %d bytes: hand it in in parts", v1.MaxBatchBytes)
	}
	transactions, err := v1.SplitBatch(in.RawBody)
	if err != nil {
		return nil, fault.As(fault.Invalid, err)
	}
	list, err := r.ledger.SubmitBatch(ctx, transactions, in.Wait != v1.WaitAccepted)
	if err != nil {
		return nil, err
	}
	answer := v1.Batch{Transactions: make([]v1.Submitted, len(list))}
	for i := range list {
		if err := list[i].Err; err != nil {
			answer.Transactions[i].Problem = (*v1.Problem)(problemOf(err))
		} else {
			answer.Transactions[i].Status = &list[i].Status
		}
	}
	return &document[v1.Batch]{answer}, nil
}

// TransactionInput names a transaction.
type TransactionInput struct {
	ID string `path:"id" doc:"Id of the transaction, in hexadecimal"`
}

type getTransactionInput struct {
	TransactionInput
	Ledger string `query:"ledger" doc:"Id of the ledger that it is to be in, in hexadecimal, of those that the present one goes on from; absent: the present one"`
}

func (r *routes) getTransaction(ctx context.Context, in *getTransactionInput) (*document[v1.CommittedTransaction], error) {
	return documentOf(r.ledger.Transaction(ctx, in.ID, in.Ledger))
}

// SinceInput says from where a proof is to lead.
type SinceInput struct {
	Since int64 `query:"since" minimum:"0" doc:"Height of the block that is trusted; absent: the genesis is"`
}

type transactionReceiptInput struct {
	TransactionInput
	SinceInput
}

func (r *routes) transactionReceipt(ctx context.Context, in *transactionReceiptInput) (*rawDocument, error) {
	return rawOf(r.ledger.TransactionReceipt(ctx, in.ID, in.Since))
}

// AccountInput names an account.
type AccountInput struct {
	Account string `path:"account" doc:"Id of the account"`
}

type balanceReceiptInput struct {
	AccountInput
	SinceInput
	Asset string `query:"asset" required:"true" doc:"CODE@ISSUER"`
}

func (r *routes) balanceReceipt(ctx context.Context, in *balanceReceiptInput) (*rawDocument, error) {
	return rawOf(r.ledger.BalanceReceipt(ctx, in.Account, in.Asset, in.Since))
}

func (r *routes) getAccount(ctx context.Context, in *AccountInput) (*document[v1.Account], error) {
	return documentOf(r.ledger.Account(ctx, in.Account))
}

type historyInput struct {
	AccountInput
	Cursor string `query:"cursor" doc:"Of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The most transactions of a page"`
}

func (r *routes) getHistory(ctx context.Context, in *historyInput) (*document[v1.History], error) {
	return documentOf(r.ledger.History(ctx, in.Account, v1.HistoryOptions{Cursor: in.Cursor, Limit: in.Limit}))
}

type anchorsInput struct {
	Digest string `path:"digest" doc:"SHA-256 of a file, or of a record's signed envelope, in hexadecimal"`
}

func (r *routes) getAnchors(ctx context.Context, in *anchorsInput) (*document[v1.Anchors], error) {
	return documentOf(r.ledger.Anchors(ctx, in.Digest))
}

type assetInput struct {
	Asset string `path:"asset" doc:"CODE@ISSUER"`
}

func (r *routes) getAsset(ctx context.Context, in *assetInput) (*document[v1.Asset], error) {
	return documentOf(r.ledger.Asset(ctx, in.Asset))
}

type blockInput struct {
	Height string `path:"height" doc:"Height of the block, or latest"`
}

func (r *routes) getBlock(ctx context.Context, in *blockInput) (*document[v1.Block], error) {
	height := int64(0)
	if in.Height != latest {
		var err error
		if height, err = strconv.ParseInt(in.Height, 10, 64); err != nil || height < 1 {
			return nil, fault.New(fault.Invalid, "%q is no height of a block: want a number from 1, or latest", in.Height)
		}
	}
	return documentOf(r.ledger.Block(ctx, height))
}

func (r *routes) listValidators(ctx context.Context, _ *struct{}) (*document[v1.Validators], error) {
	return documentOf(r.ledger.Validators(ctx))
}

func (r *routes) listInvites(ctx context.Context, _ *struct{}) (*document[v1.Invites], error) {
	list, err := r.ledger.Invites(ctx)
	list.Invites = notNil(list.Invites)
	return documentOf(list, err)
}
