package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
	"github.com/folkmoot/folkmoot/node"
)

// signatory is somebody with an account of one key.
type signatory struct {
	key  ed25519.PrivateKey
	keys ledger.KeySet
	id   ledger.AccountID
}

func newSignatory(t *testing.T) *signatory {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(public)}}
	return &signatory{key, keys, keys.ID()}
}

// sign returns an encoded transaction that p signs.
func (p *signatory) sign(t *testing.T, network ledger.Hash, operations ...ledger.Operation) []byte {
	t.Helper()
	return p.signWith(t, network, func(*ledger.Transaction) {}, operations...)
}

// signWith is sign with something of the body changed before. No two are the same.
func (p *signatory) signWith(t *testing.T, network ledger.Hash, change func(*ledger.Transaction), operations ...ledger.Operation) []byte {
	t.Helper()
	tx := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(10 * time.Minute).UnixMilli(), Salt: mathrand.Uint64(), Operations: operations}}
	change(tx)
	if err := tx.Sign(network, p.id, &p.keys, p.key); err != nil {
		t.Fatal(err)
	}
	data, err := ledger.EncodeTransaction(tx)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// found makes a home a validator's, of a network that is founded with it.
func found(t *testing.T, home string, operator ledger.AccountID) *ledger.Genesis {
	t.Helper()
	key, err := node.ValidatorKey(home)
	if err != nil {
		t.Fatal(err)
	}
	g, err := node.NewGenesis("test", []ledger.GenesisValidator{{Key: key, Power: 1, Operator: operator}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.JoinHome(home, g); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestLedger: a node founds a network, another follows it and takes transactions, a third keeps records only.
func TestLedger(t *testing.T) {
	operator, ann := newSignatory(t), newSignatory(t)
	founder := loopback(t.TempDir())
	founder.Network = ""
	genesis := found(t, founder.Home, operator.id)
	first, _ := start(t, founder)

	follower := loopback(t.TempDir(), first.Addrs()...)
	follower.Network = ""
	if _, err := node.JoinHome(follower.Home, genesis); err != nil {
		t.Fatal(err)
	}
	second, stopSecond := start(t, follower)
	recordsOnly := loopback(t.TempDir(), first.Addrs()...)
	recordsOnly.Network, recordsOnly.NoLedger = "", true
	if _, err := node.JoinHome(recordsOnly.Home, genesis); err != nil {
		t.Fatal(err)
	}
	third, _ := start(t, recordsOnly)

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := clientOf(t, second)
	eventuallyLedger(ctx, t, "the follower keeps the ledger with the founder", func() bool {
		l, err := c.Ledger(ctx)
		return err == nil && l.Peers == 1 && l.Height > 0 && l.Total == 1 && l.Power == 0 && l.Name == "test"
	})
	eur := ledger.AssetID{Code: "EUR", Issuer: ann.id}
	done, err := c.SubmitTransaction(ctx, ann.sign(t, genesis.ID(), &ledger.DefineAsset{Asset: eur, Scale: 2}, &ledger.Issue{Asset: eur, To: ann.id, Amount: ledger.NewAmount(1250)}), v1.SubmitOptions{})
	if err != nil || !done.Applied {
		t.Fatalf("%+v, %v", done, err)
	}
	account, err := c.Account(ctx, ann.id.String())
	if err != nil || len(account.Balances) != 1 || account.Balances[0].Amount != "1250" || account.Balances[0].Scale != 2 {
		t.Errorf("%+v, %v", account, err)
	}
	r := receiptOf(ctx, t, c, done.ID)
	if s, err := r.Verify(light.Root{Genesis: genesis}); err != nil || s.Height != done.Height {
		t.Errorf("the receipt: %+v, %v", s, err)
	}
	if block, err := c.Block(ctx, done.Height); err != nil || len(block.Transactions) != 1 || block.Transactions[0].ID != done.ID {
		t.Errorf("block %+v, %v", block, err)
	}
	if h, err := c.History(ctx, ann.id.String(), v1.HistoryOptions{}); err != nil || len(h.Transactions) != 1 || h.Transactions[0].Transaction.Operations[1].Kind != "issue" {
		t.Errorf("history %+v, %v", h, err)
	}
	if v, err := c.Validators(ctx); err != nil || len(v.Validators) != 1 || v.Validators[0].Operator != operator.id.String() || v.Window < 1 || v.Validators[0].Blocks != v.Window || v.Validators[0].Signed != v.Window {
		t.Errorf("validators %+v, %v", v, err)
	}
	document, err := c.Genesis(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if g, err := ledger.ParseGenesis(document); err != nil || g.ID() != genesis.ID() {
		t.Errorf("the genesis: %v", err)
	}
	if _, err := clientOf(t, third).Ledger(ctx); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a node without the ledger answers %v", err)
	}
	if _, err := c.SubmitTransaction(ctx, []byte("no transaction"), v1.SubmitOptions{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no transaction: %v", err)
	}

	anchorRecord(ctx, t, c, ann, genesis)
	batch := make([][]byte, 5)
	for i := range batch {
		batch[i] = ann.sign(t, genesis.ID(), &ledger.Issue{Asset: eur, To: ann.id, Amount: ledger.NewAmount(uint64(i + 1))})
	}
	batch[1], batch[2] = []byte("no transaction"), ann.sign(t, genesis.ID(), &ledger.Transfer{Asset: eur, From: ann.id, To: operator.id, Amount: ledger.NewAmount(1_000_000)})
	batch[3] = slices.Clone(batch[4])
	batch[3][len(batch[3])-1] ^= 1 // a wrong signature
	answers, err := c.SubmitBatch(ctx, batch, v1.SubmitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, refused := range []bool{false, true, false, true, false} {
		switch a := answers[i]; {
		case refused && fault.KindOf(a.Err) != fault.Invalid:
			t.Errorf("transaction %d of a batch is not refused: %+v", i+1, a)
		case !refused && (a.Err != nil || a.Status.State != v1.TransactionCommitted || a.Status.Applied != (i != 2)):
			t.Errorf("transaction %d of a batch: %+v", i+1, a)
		}
	}

	// A restart goes on where it was.
	if err := stopSecond(); err != nil {
		t.Fatal(err)
	}
	again, _ := start(t, follower)
	c = clientOf(t, again)
	if got, err := c.Transaction(ctx, done.ID); err != nil || got.TransactionStatus != done {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
}

// receiptOf returns the receipt of a transaction, as its document is read.
func receiptOf(ctx context.Context, t *testing.T, c *client.Client, id string) *receipt.Receipt {
	t.Helper()
	data, err := c.TransactionReceipt(ctx, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := receipt.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// anchorRecord writes a record, anchors it, and proves that to somebody who has the genesis.
func anchorRecord(ctx context.Context, t *testing.T, c *client.Client, by *signatory, genesis *ledger.Genesis) {
	t.Helper()
	if _, err := c.PutRecord(ctx, "deed", []byte("the mill is Ann's"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	envelope, err := c.Envelope(ctx, "deed")
	if err != nil {
		t.Fatal(err)
	}
	digest := ledger.Hash(sha256.Sum256(envelope))
	if _, err := c.Anchors(ctx, digest.String()); fault.KindOf(err) != fault.NotFound {
		t.Errorf("before it is anchored: %v", err)
	}
	done, err := c.SubmitTransaction(ctx, by.sign(t, genesis.ID(), &ledger.Anchor{By: by.id, Digest: digest}), v1.SubmitOptions{})
	if err != nil || !done.Applied {
		t.Fatalf("%+v, %v", done, err)
	}
	anchors, err := c.Anchors(ctx, digest.String())
	if err != nil || len(anchors.Transactions) != 1 || anchors.Transactions[0].TransactionStatus != done {
		t.Fatalf("anchors %+v, %v", anchors, err)
	}
	r := receiptOf(ctx, t, c, done.ID)
	r.Record = envelope
	s, err := r.Verify(light.Root{Genesis: genesis})
	if err != nil || s.Record == nil || s.Record.Key != "deed" || string(s.Record.Value) != "the mill is Ann's" {
		t.Errorf("the record is proven as %+v, %v", s.Record, err)
	}
	for i := range envelope {
		r.Record = bytes.Clone(envelope)
		r.Record[i] ^= 1
		if _, err := r.Verify(light.Root{Genesis: genesis}); fault.KindOf(err) != fault.Invalid {
			t.Fatalf("byte %d of the record was changed: %v", i, err)
		}
	}
}

func eventuallyLedger(ctx context.Context, t *testing.T, what string, f func() bool) {
	t.Helper()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: did not come", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestDamagedGenesis: a network's document whose parts don't belong together is refused, and a home stays with its network.
func TestDamagedGenesis(t *testing.T) {
	home := t.TempDir()
	genesis := found(t, home, newSignatory(t).id)
	info, err := node.ReadHome(home)
	if err != nil || info.Open || info.Genesis.ID() != genesis.ID() {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := node.InitHome(home, "test"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("as the open network of the same name: %v", err)
	}
	path := filepath.Join(home, "network.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		if data[i] != '1' { // a power, a digit of a hash or of a time
			continue
		}
		changed := append([]byte(nil), data...)
		changed[i] = '2'
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := node.ReadHome(home); err == nil {
			t.Errorf("read with byte %d changed", i)
		}
	}
}
