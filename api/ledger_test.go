package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// TestLedgerThroughTheClient: what the client asks arrives, and what is answered comes back.
func TestLedgerThroughTheClient(t *testing.T) {
	s := serve(t, api.Config{Ledger: apitest.Ledger{}})
	c, err := client.New(s.URL(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if l, err := c.Ledger(ctx); err != nil || l.Height != apitest.Height || l.Name != "test" {
		t.Errorf("ledger %+v, %v", l, err)
	}
	if g, err := c.Genesis(ctx); err != nil || string(g) != `{"network":"test"}` {
		t.Errorf("genesis %s, %v", g, err)
	}
	if got, err := c.SubmitTransaction(ctx, []byte{1}, v1.SubmitOptions{Wait: v1.WaitAccepted}); err != nil || got.State != v1.TransactionPending {
		t.Errorf("accepted: %+v, %v", got, err)
	}
	for _, wait := range []string{"", v1.WaitCommitted} {
		if got, err := c.SubmitTransaction(ctx, []byte{1}, v1.SubmitOptions{Wait: wait}); err != nil || got.State != v1.TransactionCommitted || !got.Applied || got.Height != apitest.Height {
			t.Errorf("wait %q: %+v, %v", wait, got, err)
		}
	}
	if got, err := c.Transaction(ctx, apitest.Transaction); err != nil || got.ID != apitest.Transaction {
		t.Errorf("transaction %+v, %v", got, err)
	}
	if got, err := c.TransactionReceipt(ctx, apitest.Transaction, 5); err != nil || string(got) != `{"since":5}` {
		t.Errorf("receipt %s, %v", got, err)
	}
	if got, err := c.BalanceReceipt(ctx, apitest.Account, apitest.Asset, 0); err != nil || string(got) != `{"asset":"EUR@moot1account","since":0}` {
		t.Errorf("receipt %s, %v", got, err)
	}
	if got, err := c.Account(ctx, apitest.Account); err != nil || got.Balances[0].Amount != "1250" {
		t.Errorf("account %+v, %v", got, err)
	}
	if got, err := c.History(ctx, apitest.Account, v1.HistoryOptions{Cursor: "here", Limit: 3}); err != nil || len(got.Transactions) != 3 || got.Transactions[0].Transaction.Memo != "here" || got.Cursor != "next" {
		t.Errorf("history %+v, %v", got, err)
	}
	if got, err := c.Asset(ctx, apitest.Asset); err != nil || got.ID != apitest.Asset {
		t.Errorf("asset %+v, %v", got, err)
	}
	if got, err := c.Anchors(ctx, apitest.Digest); err != nil || len(got.Transactions) != 1 || got.Transactions[0].Transaction.Operations[0].Digest != apitest.Digest {
		t.Errorf("anchors %+v, %v", got, err)
	}
	for _, height := range []int64{0, apitest.Height} {
		if got, err := c.Block(ctx, height); err != nil || got.Height != apitest.Height {
			t.Errorf("block %d: %+v, %v", height, got, err)
		}
	}
	if v, err := c.Validators(ctx); err != nil || v.Window != apitest.Height-1 || v.Validators[0].Signed != v.Validators[0].Blocks-1 {
		t.Errorf("validators %+v, %v", v, err)
	}
	if list, err := c.Signers(ctx); err != nil || len(list.Signers) != 1 || list.Signers[0].Account != apitest.Account {
		t.Errorf("signers %+v, %v", list, err)
	}
	for what, err := range map[string]error{
		"transaction": second(c.Transaction(ctx, "none")), "account": second(c.Account(ctx, "none")), "asset": second(c.Asset(ctx, "none")), "block": second(c.Block(ctx, 99)), "anchor": second(c.Anchors(ctx, "none")),
	} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.SubmitTransaction(ctx, make([]byte, v1.MaxTransaction+1), v1.SubmitOptions{}); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestBatches: each transaction of a batch has its own answer, and what makes no sense as a whole is refused.
func TestBatches(t *testing.T) {
	s := serve(t, api.Config{Ledger: apitest.Ledger{}})
	c, err := client.New(s.URL(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.SubmitBatch(t.Context(), [][]byte{{1}, {}, {2}}, v1.SubmitOptions{})
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, one := range got {
		if i == 1 {
			if fault.KindOf(one.Err) != fault.Invalid || one.Err.Error() != "no transaction" {
				t.Errorf("the empty one: %v", one.Err)
			}
		} else if one.Err != nil || !one.Status.Applied || one.Status.Height != apitest.Height {
			t.Errorf("transaction %d: %+v", i+1, one)
		}
	}
	if got, err := c.SubmitBatch(t.Context(), [][]byte{{1}}, v1.SubmitOptions{Wait: v1.WaitAccepted}); err != nil || got[0].Status.State != v1.TransactionPending {
		t.Errorf("accepted: %+v, %v", got, err)
	}
	for what, list := range map[string][][]byte{"none": nil, "many": make([][]byte, v1.MaxBatch+1)} {
		if _, err := c.SubmitBatch(t.Context(), list, v1.SubmitOptions{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	large := make([]byte, v1.MaxTransaction)
	for what, list := range map[string][][]byte{"one": {make([]byte, v1.MaxTransaction+1)}, "all": slices.Repeat([][]byte{large}, v1.MaxBatchBytes/len(large)+1)} {
		if _, err := c.SubmitBatch(t.Context(), list, v1.SubmitOptions{}); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("%s is too large: %v", what, err)
		}
	}
	for body, want := range map[string]int{
		"": http.StatusBadRequest, "\x00\x00": http.StatusBadRequest, "\x00\x00\x09x": http.StatusBadRequest, "\xff\xff\xffx": http.StatusBadRequest,
		strings.Repeat("\x00", 3*(v1.MaxBatch+1)): http.StatusBadRequest, strings.Repeat("x", v1.MaxBatchBytes+1): http.StatusRequestEntityTooLarge,
	} {
		if a := askWith(t, s, "POST", "/v1/ledger/batches", body); a.StatusCode != want {
			t.Errorf("%d bytes: %s %s", len(body), a.Status, a.body)
		}
	}
	if a := askWith(t, serve(t, api.Config{}), "POST", "/v1/ledger/batches", "\x00\x00\x01x"); a.StatusCode != http.StatusNotFound {
		t.Errorf("without a ledger: %s %s", a.Status, a.body)
	}
}

// TestLedgerRequests: what makes no sense is refused.
func TestLedgerRequests(t *testing.T) {
	s := serve(t, api.Config{Ledger: apitest.Ledger{}})
	for path, want := range map[string]int{
		"/v1/ledger/blocks/0": http.StatusBadRequest, "/v1/ledger/blocks/x": http.StatusBadRequest, "/v1/ledger/history/moot1account?limit=0": http.StatusBadRequest,
		"/v1/ledger/history/moot1account?limit=201": http.StatusBadRequest, "/v1/ledger/receipts/transactions/00ff?since=-1": http.StatusBadRequest,
		"/v1/ledger/receipts/balances/moot1account": http.StatusBadRequest, "/v1/ledger/blocks/latest": http.StatusOK,
	} {
		if a := ask(t, s, "GET", path); a.StatusCode != want {
			t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
	}
	if a := askWith(t, s, "POST", "/v1/ledger/transactions?wait=never", "x"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("wait=never: %s %s", a.Status, a.body)
	}
	if a := askWith(t, s, "POST", "/v1/ledger/transactions", strings.Repeat("x", v1.MaxTransaction+1)); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %s %s", a.Status, a.body)
	}
	none := serve(t, api.Config{})
	for _, path := range []string{"/v1/ledger", "/v1/ledger/genesis", "/v1/ledger/transactions/00", "/v1/ledger/accounts/x", "/v1/ledger/validators", "/v1/ledger/blocks/1"} {
		if a := ask(t, none, "GET", path); a.StatusCode != http.StatusNotFound || !strings.Contains(string(a.body), "keeps no ledger") {
			t.Errorf("without a ledger, %s: %s %s", path, a.Status, a.body)
		}
	}
}
