package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	cmtcrypto "github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"

	"github.com/folkmoot/folkmoot/api/ledgerdoc"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// fakeLedger is a node's ledger for the commands: the real rules on a real state, with real signatures, one block for each transaction. Only the agreement of many is left out: one validator signs the headers.
type fakeLedger struct {
	t         testing.TB
	genesis   *ledger.Genesis
	network   ledger.Hash
	store     *state.Store
	validator cmtcrypto.PrivKey

	mu    sync.Mutex
	roots map[int64]ledger.Hash // after each block
	drop  int                   // how many submissions are carried out without an answer
	say   error                 // what submissions are answered instead of being carried out
	ahead time.Duration         // how far the time of blocks is ahead
	pause time.Duration         // how long a submission takes

	onDrop    func()        // is called when an answer is dropped; nil: nothing is
	older     []olderLedger // which this one goes on from
	forgotten bool          // the node does not have their blocks
	before    bool          // the node's program is of the release before
}

// newFakeLedger serves a ledger whose one validator is spoken for by an account, until the test ends.
func newFakeLedger(t testing.TB, operator ledger.AccountID) (*fakeLedger, string) {
	t.Helper()
	f := &fakeLedger{t: t, validator: cmted25519.GenPrivKey(), roots: make(map[int64]ledger.Hash)}
	f.genesis = &ledger.Genesis{Network: "town", Created: time.Unix(1_700_000_000, 0).UTC(), Limits: ledger.DefaultLimits(), Validators: []ledger.GenesisValidator{
		{Key: ledger.PublicKey(f.validator.PubKey().Bytes()), Power: 10, Operator: operator},
	}}
	f.network = f.genesis.ID()
	var err error
	if f.store, err = state.Open(state.Config{Dir: t.TempDir(), Network: f.network, CacheBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := f.commit(&state.Block{Changes: f.genesis.Entries()}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(f.handler())
	t.Cleanup(func() {
		server.Close()
		if err := f.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, server.URL
}

// behave sets how submissions are answered from now on: see drop and say.
func (f *fakeLedger) behave(drop int, say error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop, f.say = drop, say
}

func (f *fakeLedger) commit(b *state.Block) error {
	p, err := f.store.Prepare(b)
	if err == nil {
		err = f.store.Commit(p)
	}
	f.roots[b.Height] = ledger.Hash(f.store.Tip().Root)
	return err
}

// execute puts a transaction into the next block.
func (f *fakeLedger) execute(t *ledger.Transaction) error {
	v := f.store.View()
	defer v.Close()
	height, now := v.Tip.Height+1, max(time.Now().Add(f.ahead).UnixMilli(), v.Tip.Time+1)
	b, err := ledger.NewBlock(v, v, f.network, height, now)
	if err != nil {
		return err
	}
	if _, err := b.Include(t); err != nil {
		return err
	}
	o, err := b.Finish()
	if err != nil {
		return err
	}
	return f.commit(&state.Block{Height: height, Time: now, Transactions: []*ledger.Transaction{t}, Results: o.Results, Changes: o.Changes})
}

func (f *fakeLedger) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"GET /v1/ledger":                            f.status,
		"GET /v1/ledger/genesis":                    func(*http.Request) (any, error) { return f.genesis, nil },
		"GET /v1/ledger/transactions/{id}":          f.transaction,
		"GET /v1/ledger/receipts/transactions/{id}": f.transactionReceipt,
		"GET /v1/ledger/receipts/balances/{id}":     f.balanceReceipt,
		"GET /v1/ledger/accounts/{id}":              f.account,
		"GET /v1/ledger/history/{id}":               f.history,
		"GET /v1/ledger/assets/{id}":                f.asset,
		"GET /v1/ledger/blocks/{height}":            f.block,
		"GET /v1/ledger/validators":                 f.validators,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.answer(w)(answer(r))
		})
	}
	mux.HandleFunc("POST /v1/ledger/transactions", f.submit)
	mux.HandleFunc("POST /v1/ledger/batches", f.submitBatch)
	return mux
}

func (f *fakeLedger) answer(w http.ResponseWriter) func(any, error) {
	return func(doc any, err error) {
		if err != nil {
			w.Header().Set("Content-Type", v1.ProblemType)
			w.WriteHeader(http.StatusTeapot)
			doc = v1.Problem{Kind: fault.KindOf(err).String(), Detail: err.Error(), Status: http.StatusTeapot}
		} else {
			w.Header().Set("Content-Type", "application/json")
		}
		if data, ok := doc.([]byte); ok {
			_, err = w.Write(data)
		} else {
			err = json.NewEncoder(w).Encode(doc)
		}
		if err != nil {
			f.t.Error(err)
		}
	}
}

func (f *fakeLedger) submit(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	time.Sleep(f.pause)
	if f.say != nil {
		f.answer(w)(nil, f.say)
		return
	}
	data, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Query().Get("wait") != v1.WaitCommitted || r.Header.Get("Content-Type") != v1.TransactionType {
		f.t.Errorf("%v: a submission of type %s for %s", err, r.Header.Get("Content-Type"), r.URL)
	}
	status, err := f.take(data)
	if f.drop > 0 {
		f.drop--
		panic(http.ErrAbortHandler)
	}
	f.answer(w)(status, err)
}

// submitBatch does for each of many what submit does for one.
func (f *fakeLedger) submitBatch(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	time.Sleep(f.pause)
	data, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Query().Get("wait") != v1.WaitCommitted || r.Header.Get("Content-Type") != v1.BatchType {
		f.t.Errorf("%v: a submission of type %s for %s", err, r.Header.Get("Content-Type"), r.URL)
	}
	list, err := v1.SplitBatch(data)
	if err != nil {
		f.t.Error(err)
	}
	answer := v1.Batch{Transactions: make([]v1.Submitted, len(list))}
	for i, transaction := range list {
		status, err := v1.TransactionStatus{}, f.say
		if err == nil {
			status, err = f.take(transaction)
		}
		if err != nil {
			answer.Transactions[i].Problem = &v1.Problem{Kind: fault.KindOf(err).String(), Detail: err.Error(), Status: http.StatusTeapot}
		} else {
			answer.Transactions[i].Status = &status
		}
	}
	if f.say == nil && f.drop > 0 {
		f.drop--
		if f.onDrop != nil {
			f.onDrop()
		}
		panic(http.ErrAbortHandler)
	}
	f.answer(w)(answer, nil)
}

// take carries a transaction out unless that was done before.
func (f *fakeLedger) take(data []byte) (v1.TransactionStatus, error) {
	t, err := ledger.ParseTransaction(data)
	if err == nil {
		err = ledger.VerifySignatures(f.network, []*ledger.Transaction{t})[0]
	}
	if err != nil {
		return v1.TransactionStatus{}, err
	}
	id := t.ID(f.network)
	if _, err := f.find(id); err != nil {
		if err := f.execute(t); err != nil {
			return v1.TransactionStatus{}, err
		}
	}
	found, err := f.find(id)
	return found.TransactionStatus, err
}

func (f *fakeLedger) view(read func(*state.View) error) error {
	v := f.store.View()
	return errors.Join(read(v), v.Close())
}

func (f *fakeLedger) find(id ledger.TransactionID) (found v1.CommittedTransaction, err error) {
	err = f.view(func(v *state.View) error {
		at, ok, err := v.Find(id)
		if err != nil || !ok {
			return errors.Join(err, fault.New(fault.NotFound, "transaction %s is in no block", id))
		}
		b, err := v.Block(at.Height)
		if err == nil {
			found = f.committed(b, int(at.Index))
		}
		return err
	})
	return found, err
}

func (f *fakeLedger) committed(b *state.Block, index int) v1.CommittedTransaction {
	r := b.Results[index]
	out := v1.CommittedTransaction{Transaction: ledgerdoc.FromTransaction(f.network, b.Transactions[index])}
	out.TransactionStatus = v1.TransactionStatus{ID: r.ID.String(), State: v1.TransactionCommitted, Height: b.Height, Time: time.UnixMilli(b.Time).UTC(), Applied: r.Code == ledger.Applied}
	if !out.Applied {
		out.Failure, out.Operation = r.Code.String(), int(r.Operation)+1
	}
	return out
}

func (f *fakeLedger) status(*http.Request) (any, error) {
	tip := f.store.Tip()
	l := v1.Ledger{Network: f.network.String(), Name: f.genesis.Network, Height: tip.Height, Time: time.UnixMilli(tip.Time).UTC(), Root: ledger.Hash(tip.Root).String(), Power: 10, Total: 10}
	if tip.Height > 0 {
		l.Trust = fmt.Sprintf("%d:%X", tip.Height, f.header(tip.Height).Hash())
		l.Trust = strings.ToLower(l.Trust)
	}
	v := f.store.View()
	rules, err := ledger.CurrentRules(v)
	if !f.before {
		l.Rules = ledgerdoc.FromRules(&rules, tip.Height)
	}
	return l, errors.Join(err, v.Close())
}

func (f *fakeLedger) transaction(r *http.Request) (any, error) {
	if of := r.URL.Query().Get("ledger"); of != "" && of != f.network.String() && !f.before { // which has no such parameter, and passes over it
		return f.transactionIn(of, r)
	}
	id, err := ledger.ParseHash(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return f.find(ledger.TransactionID(id))
}

func (f *fakeLedger) account(r *http.Request) (any, error) {
	id, err := ledger.ParseAccountID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	doc := v1.Account{ID: id.String(), Balances: []v1.Balance{}}
	err = f.view(func(v *state.View) error {
		doc.Height = v.Tip.Height
		var a ledger.Account
		value, err := v.Get(ledger.AccountKey(id))
		if err = errors.Join(err, a.Unmarshal(value)); err != nil {
			return err
		}
		doc.Slots = a.Slots[:]
		if a.KeySet != nil {
			doc.Threshold = a.KeySet.Threshold
			for _, k := range a.KeySet.Keys {
				doc.Keys = append(doc.Keys, k.String())
			}
		}
		return v.Ascend(ledger.BalancesOf(id), func(key, value []byte) bool {
			_, asset, keyErr := ledger.ParseBalanceKey(key)
			amount, valueErr := ledger.UnmarshalBalance(value)
			known, assetErr := loadAsset(v, asset)
			err = errors.Join(err, keyErr, valueErr, assetErr)
			doc.Balances = append(doc.Balances, v1.Balance{Asset: asset.String(), Amount: amount.String(), Scale: known.Scale})
			return err == nil
		})
	})
	return doc, err
}

func loadAsset(v *state.View, id ledger.AssetID) (a ledger.Asset, err error) {
	value, err := v.Get(ledger.AssetKey(id))
	if err == nil && value == nil {
		err = fault.New(fault.NotFound, "there is no asset %s", id)
	}
	if err == nil {
		err = a.Unmarshal(value)
	}
	return a, err
}

func (f *fakeLedger) asset(r *http.Request) (any, error) {
	id, err := ledger.ParseAssetID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	var doc v1.Asset
	err = f.view(func(v *state.View) error {
		a, err := loadAsset(v, id)
		doc = v1.Asset{ID: id.String(), Scale: a.Scale, Supply: a.Supply.String()}
		if !a.Cap.IsZero() {
			doc.Cap = a.Cap.String()
		}
		return err
	})
	return doc, err
}

func (f *fakeLedger) history(r *http.Request) (any, error) {
	id, err := ledger.ParseAccountID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > v1.MaxHistory {
		return nil, fault.New(fault.Invalid, "a limit of %d", limit)
	}
	var before state.Position
	if c := r.URL.Query().Get("cursor"); c != "" {
		if _, err := fmt.Sscanf(c, "%d-%d", &before.Height, &before.Index); err != nil {
			return nil, fault.New(fault.Invalid, "no cursor: %w", err)
		}
	}
	doc := v1.History{Transactions: []v1.CommittedTransaction{}}
	err = f.view(func(v *state.View) error {
		at, err := v.History(id, before, limit)
		for _, p := range at {
			b, blockErr := v.Block(p.Height)
			if err = errors.Join(err, blockErr); err != nil {
				return err
			}
			doc.Transactions = append(doc.Transactions, f.committed(b, int(p.Index)))
		}
		if len(at) == limit {
			doc.Cursor = fmt.Sprintf("%d-%d", at[limit-1].Height, at[limit-1].Index)
		}
		return err
	})
	return doc, err
}

func (f *fakeLedger) block(r *http.Request) (any, error) {
	height := f.store.Tip().Height
	if text := r.PathValue("height"); text != "latest" {
		height, _ = strconv.ParseInt(text, 10, 64)
	}
	doc := v1.Block{Height: height, Transactions: []v1.CommittedTransaction{}}
	err := f.view(func(v *state.View) error {
		b, err := v.Block(height)
		if err == nil && b == nil {
			err = fault.New(fault.NotFound, "there is no block %d", height)
		}
		if err != nil {
			return err
		}
		doc.Hash, doc.Time = ledger.Hash(f.header(height).Hash()).String(), time.UnixMilli(b.Time).UTC()
		for i := range b.Transactions {
			doc.Transactions = append(doc.Transactions, f.committed(b, i))
		}
		return nil
	})
	return doc, err
}

func (f *fakeLedger) validators(*http.Request) (any, error) {
	doc := v1.Validators{Validators: []v1.Validator{}, Proposals: []v1.Proposal{}}
	err := f.view(func(v *state.View) error {
		var wrong error
		err := v.Ascend(ledger.Validators(), func(key, value []byte) bool {
			var one ledger.Validator
			wrong = errors.Join(wrong, one.Unmarshal(value))
			doc.Validators = append(doc.Validators, v1.Validator{Key: ledger.PublicKey(key[1:]).String(), Power: one.Power, Operator: one.Operator.String()})
			doc.Total += one.Power
			return true
		})
		err = errors.Join(err, v.Ascend(ledger.Proposals(), func(key, value []byte) bool {
			var one ledger.OpenProposal
			wrong = errors.Join(wrong, one.Unmarshal(value))
			p := v1.Proposal{ID: ledger.Hash(key[1:]).String(), Proposes: ledgerdoc.FromProposal(&one.Proposal), Until: time.UnixMilli(one.Until).UTC()}
			for _, operator := range one.Votes {
				p.Votes = append(p.Votes, operator.String())
			}
			doc.Proposals = append(doc.Proposals, p)
			return true
		}))
		return errors.Join(err, wrong)
	})
	return doc, err
}
