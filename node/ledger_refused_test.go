package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
)

// problem is an answer to a request that was refused, RFC 9457, or to one that was not.
type problem struct {
	Status int
	Detail string
	kind   string // media type
	body   []byte
}

// handIn hands in what may be a transaction, without the help of the client.
func handIn(ctx context.Context, t *testing.T, url string, data []byte) (p problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/ledger/transactions?wait=committed", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", v1.TransactionType)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if p.body, err = io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(p.body, &p); err != nil {
		t.Fatalf("%s: %v: %s", answer.Status, err, p.body)
	}
	p.Status, p.kind = answer.StatusCode, answer.Header.Get("Content-Type")
	return p
}

// TestLedgerRefusals: whatever is wrong with a transaction is told over HTTP by a problem document with the reason, and nothing comes of it.
func TestLedgerRefusals(t *testing.T) {
	bank, ann, bob := newSignatory(t), newSignatory(t), newSignatory(t)
	cfg := loopback(t.TempDir())
	cfg.Network = ""
	genesis := found(t, cfg.Home, newSignatory(t).id)
	n, _ := start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c, url := clientOf(t, n), n.APIURL()
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	network := genesis.ID()
	done, err := c.SubmitTransaction(ctx, bank.sign(t, network, &ledger.DefineAsset{Asset: eur}, &ledger.Issue{Asset: eur, To: ann.id, Amount: ledger.NewAmount(10)}), v1.SubmitOptions{})
	if err != nil || !done.Applied {
		t.Fatalf("%+v, %v", done, err)
	}
	pay := func(amount uint64) ledger.Operation {
		return &ledger.Transfer{Asset: eur, From: ann.id, To: bob.id, Amount: ledger.NewAmount(amount)}
	}
	same := func(*ledger.Transaction) {}
	good := ann.sign(t, network, pay(1))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	many := make([]ledger.Operation, ledger.MaxOperations)
	for i := range many {
		many[i] = &ledger.Anchor{By: ann.id, Digest: ledger.Hash{byte(i)}}
	}
	thief := newSignatory(t)
	thief.id = ann.id

	for _, tt := range []struct {
		what   string
		data   []byte
		status int
		reason string
	}{
		{"nothing", nil, http.StatusBadRequest, "body is required"},
		{"no transaction", []byte("hello"), http.StatusBadRequest, "a transaction of version 104"},
		{"one that is cut off", good[:len(good)-1], http.StatusBadRequest, "malformed"},
		{"one with something behind it", append(bytes.Clone(good), 0), http.StatusBadRequest, "malformed"},
		{"more bytes than any may have", make([]byte, v1.MaxTransaction+1), http.StatusRequestEntityTooLarge, ""},
		{"a wrong signature", flipped, http.StatusBadRequest, "signature"},
		{"one that somebody else signed for the payer", thief.sign(t, network, pay(1)), http.StatusForbidden, "keys"},
		{"one that is signed for another network", ann.sign(t, ledger.Hash{1}, pay(1)), http.StatusBadRequest, "signature"},
		{"one whose time is over", ann.signWith(t, network, func(tx *ledger.Transaction) { tx.ValidUntil = time.Now().Add(-time.Minute).UnixMilli() }, pay(1)), http.StatusBadRequest, "valid until"},
		{"one that is valid for too long", ann.signWith(t, network, func(tx *ledger.Transaction) { tx.ValidUntil = time.Now().Add(2 * time.Hour).UnixMilli() }, pay(1)), http.StatusBadRequest, "valid"},
		{"an asset that is not there", bank.sign(t, network, &ledger.Issue{Asset: ledger.AssetID{Code: "USD", Issuer: bank.id}, To: ann.id, Amount: ledger.NewAmount(1)}), http.StatusNotFound, "no such asset"},
		{"more than there is", ann.sign(t, network, pay(11)), http.StatusPreconditionFailed, "insufficient balance"},
		{"a slot that was used otherwise", ann.signWith(t, network, func(tx *ledger.Transaction) { tx.Slot = &ledger.Slot{Account: ann.id, Number: 1, Sequence: 7} }, pay(1)), http.StatusPreconditionFailed, "slot"},
	} {
		p := handIn(ctx, t, url, tt.data)
		if p.Status != tt.status || p.kind != "application/problem+json" || !strings.Contains(p.Detail, tt.reason) {
			t.Errorf("%s: %d %s %s, want %d and %q", tt.what, p.Status, p.kind, p.body, tt.status, tt.reason)
		}
	}

	// As many operations as may be, and one more.
	if p := handIn(ctx, t, url, ann.signWith(t, network, same, many...)); p.Status != http.StatusOK {
		t.Errorf("%d operations: %d %s", len(many), p.Status, p.body)
	}
	balance(ctx, t, c, ann, "10")

	// Who comes again gets the same answer, and nothing happens a second time.
	for range 3 {
		if p := handIn(ctx, t, url, good); p.Status != http.StatusOK {
			t.Errorf("a transfer: %d %s", p.Status, p.body)
		}
	}
	balance(ctx, t, c, ann, "9")

	// Of two who spend the same at once one can.
	var all sync.WaitGroup
	answers := make([]problem, 2)
	for i := range answers {
		data := ann.sign(t, network, pay(6))
		all.Go(func() { answers[i] = handIn(ctx, t, url, data) })
	}
	all.Wait()
	applied := 0
	for _, p := range answers {
		var s v1.TransactionStatus
		if err := json.Unmarshal(p.body, &s); err != nil {
			t.Fatal(err)
		}
		switch {
		case p.Status == http.StatusOK && s.Applied:
			applied++
		case p.Status == http.StatusOK && s.Failure == "insufficient balance": // both came into blocks
		case p.Status == http.StatusPreconditionFailed && strings.Contains(p.Detail, "insufficient balance"):
		default:
			t.Errorf("one of two who spend the same: %d %s", p.Status, p.body)
		}
	}
	if applied != 1 {
		t.Errorf("%d of two who spend the same could", applied)
	}
	balance(ctx, t, c, ann, "3")
	balance(ctx, t, c, bob, "7")
}

// balance checks what somebody has of the one asset.
func balance(ctx context.Context, t *testing.T, c *client.Client, of *signatory, want string) {
	t.Helper()
	a, err := c.Account(ctx, of.id.String())
	if err != nil || len(a.Balances) != 1 || a.Balances[0].Amount != want {
		t.Errorf("the account has %+v, %v; want %s", a.Balances, err, want)
	}
}
