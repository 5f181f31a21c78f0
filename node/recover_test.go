package node_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
	"github.com/folkmoot/folkmoot/node"
)

// receiptOf returns the receipt of a transaction, as its document is read.
func (n *town) receiptOf(i int, id string) *receipt.Receipt {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*patience)
	defer cancel()
	return receiptOf(ctx, n.t, n.client(i), id)
}

// show is how the ledger of a home stands whose node does not run.
func (n *town) show(i int) node.LedgerAtRest {
	n.t.Helper()
	l, err := node.ReadLedger(n.t.Context(), n.homes[i])
	if err != nil {
		n.t.Fatal(err)
	}
	return l
}

// recover is what a survivor finds or does.
func (n *town) recover(i int, agreed ledger.Hash, keep ...ledger.PublicKey) node.Recovered {
	n.t.Helper()
	done, err := node.Recover(n.t.Context(), n.homes[i], node.RecoverOptions{Keep: keep, Agreed: agreed})
	if err != nil {
		n.t.Fatal(err)
	}
	return done
}

// TestRecover: of four validators two are gone for good. The other two found a successor from the last block, and everything goes on.
func TestRecover(t *testing.T) {
	t.Parallel()
	n := newTown(t, 4)
	ctx := t.Context()
	bystander := loopback(t.TempDir(), n.addresses()...) // keeps records only, all along
	bystander.Network, bystander.NoLedger = "", true
	if _, err := node.JoinHome(bystander.Home, n.genesis); err != nil {
		t.Fatal(err)
	}
	records, _ := start(t, bystander)
	untilAlive(t, records, 5)
	if _, err := n.client(0).PutRecord(ctx, "kept", []byte("before"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	before := n.pay(0, 10)
	old := n.receiptOf(0, before.ID)
	n.eventually("all have it", func() bool { return n.bobs(1) == "10" })

	// Survivor 1 goes first and lacks what the others agree on, until the others are gone, too.
	n.stop(1)
	n.pay(0, 5)
	if _, err := node.Recover(ctx, n.homes[0], node.RecoverOptions{Keep: n.keys[:2]}); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("recovered under a node that runs: %v", err)
	}
	n.stop(3)
	n.stop(2)
	n.stop(0)
	n.destroy(3)
	n.destroy(2)

	ahead, behind := n.show(0), n.show(1)
	if ahead.Last.Height <= behind.Last.Height || len(ahead.Validators) != 4 || ahead.Own == nil || *ahead.Own != n.keys[0] {
		t.Fatalf("%+v and %+v", ahead, behind)
	}
	plan := n.recover(0, ledger.Hash{}, n.keys[1], n.keys[0])
	if plan.Done || plan.Kept != 2 || plan.Power != 4 || n.show(0).Genesis.ID() != n.genesis.ID() {
		t.Fatalf("a plan did something: %+v", plan)
	}
	agreed := plan.Genesis.ID()
	if _, err := node.Recover(ctx, n.homes[1], node.RecoverOptions{Keep: n.keys[:2], Agreed: agreed}); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "imports") {
		t.Fatalf("recovered from another block than agreed on: %v", err)
	}
	n.passOn(0, 1, behind.Last.Height+1, ahead.Last.Height)
	if got := n.recover(1, ledger.Hash{}, n.keys[0], n.keys[1]); got.Genesis.ID() != agreed {
		t.Fatalf("another successor: %+v and %+v", got, plan)
	}
	stranger := ledger.PublicKey{1}
	for name, opts := range map[string]node.RecoverOptions{"nobody": {}, "a stranger": {Keep: []ledger.PublicKey{stranger}}, "one twice": {Keep: []ledger.PublicKey{n.keys[0], n.keys[0]}}} {
		if _, err := node.Recover(ctx, n.homes[0], opts); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s as validator: %v", name, err)
		}
	}
	for i := range 2 {
		if done := n.recover(i, agreed, n.keys[0], n.keys[1]); !done.Done {
			t.Fatalf("%+v", done)
		}
		n.recover(i, agreed, n.keys[0], n.keys[1]) // once more does no harm
	}

	n.brokenOff(1, agreed)

	// What was there is there, and goes on.
	n.bootstrap = records.Addrs()
	n.start(0)
	n.start(1)
	n.wantPowers(0, 2)
	if got := n.bobs(0); got != "15" {
		t.Fatalf("Bob has %s after the succession, want 15", got)
	}
	after := n.pay(1, 1)
	n.eventually("both go on", func() bool { return n.bobs(0) == "16" })
	r, err := n.client(1).GetRecord(ctx, "kept", client.GetOptions{})
	if err != nil || string(r.Value) != "before" {
		t.Errorf("the record: %q, %v", r.Value, err)
	}
	if _, err := n.client(1).PutRecord(ctx, "kept", []byte("after"), client.PutOptions{}); err != nil {
		t.Error(err)
	}
	// What is signed for the old ledger is nothing to the new one.
	stale := n.ann.sign(t, n.genesis.ID(), &ledger.Transfer{Asset: n.eur, From: n.ann.id, To: n.bob.id, Amount: ledger.NewAmount(1)})
	if _, err := n.client(0).SubmitTransaction(ctx, stale, v1.SubmitOptions{}); err == nil {
		t.Error("a transaction of the old ledger is taken")
	}
	n.verify(old, plan.Genesis, before.Height)
	n.verify(n.receiptOf(0, after.ID), plan.Genesis, after.Height)
	anchorRecord(ctx, t, n.client(0), n.ann, plan.Genesis) // records are of the network, whichever ledger it has
	n.newcomer(plan.Genesis)
	n.restoredHeir(old, before)
}

// restoredHeir checks that a backup of a node of the successor has the predecessor in it, with all that is asked of it afterwards.
func (n *town) restoredHeir(old *receipt.Receipt, before v1.TransactionStatus) {
	t := n.t
	t.Helper()
	ctx := t.Context()
	restored := n.restore(n.backup(1))
	info, err := node.ReadHome(n.homes[restored])
	if err != nil {
		t.Fatal(err)
	}
	n.verify(old, info.Genesis, before.Height)
	var state bytes.Buffer
	if err := node.ExportState(ctx, n.homes[restored], &state); err != nil || state.Len() == 0 {
		t.Errorf("the predecessor's state: %d bytes, %v", state.Len(), err)
	}
	n.stop(1)
	n.start(restored)
	of := n.genesis.ID().String()
	got, err := n.client(restored).TransactionIn(ctx, of, before.ID)
	if err != nil || got.ID != before.ID || got.Height != before.Height || !got.Applied {
		t.Errorf("a transaction of the predecessor: %+v, %v", got, err)
	}
	newcomer := len(n.homes) - 2
	for what, c := range map[string]struct {
		at     int
		of, id string
		want   fault.Kind
	}{
		"in no block":                  {restored, of, strings.Repeat("0", 64), fault.NotFound},
		"of no predecessor":            {restored, strings.Repeat("1", 64), before.ID, fault.Invalid},
		"where there are no data":      {newcomer, of, before.ID, fault.Conflict},
		"in the predecessor, not here": {restored, info.Genesis.ID().String(), before.ID, fault.NotFound},
	} {
		if _, err := n.client(c.at).TransactionIn(ctx, c.of, c.id); fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	n.stop(restored)

	opts := cheap
	opts.NoPredecessors = true
	var small bytes.Buffer
	if err := node.Backup(ctx, n.homes[restored], &small, opts); err != nil {
		t.Fatal(err)
	}
	without := n.restore(small.Bytes())
	if err := node.ExportState(ctx, n.homes[without], new(bytes.Buffer)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a predecessor that is not in the backup: %v", err)
	}
}

// brokenOff checks that a home in which the last step of a succession was not done goes on all the same.
func (n *town) brokenOff(i int, agreed ledger.Hash) {
	n.t.Helper()
	dir := filepath.Join(n.homes[i], "ledger")
	if err := os.Rename(dir, dir+"-"+agreed.String()); err != nil {
		n.t.Fatal(err)
	}
	if err := node.Backup(n.t.Context(), n.homes[i], new(bytes.Buffer), cheap); err != nil {
		n.t.Error(err)
	}
	if info, err := node.ReadHome(n.homes[i]); err != nil || info.Genesis.ID() != agreed {
		n.t.Errorf("%+v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err != nil {
		n.t.Error(err)
	}
}

// passOn has a survivor pass on the blocks that another lacks, up to a height, after forged ones were refused.
func (n *town) passOn(from, to int, first, last int64) {
	n.t.Helper()
	ctx := n.t.Context()
	var blocks bytes.Buffer
	if _, err := node.ExportBlocks(ctx, n.homes[from], &blocks, first); err != nil {
		n.t.Fatal(err)
	}
	data := blocks.Bytes()
	for i := 70; i < len(data); i += 97 { // one byte wrong, anywhere behind the head
		forged := bytes.Clone(data)
		forged[i] ^= 1
		if taken, _, err := node.ImportBlocks(ctx, n.homes[to], bytes.NewReader(forged)); err == nil && taken != last-first+1 {
			n.t.Fatalf("byte %d changed: %d blocks were taken without an error", i, taken)
		}
		if h := n.show(to).Last; h.Height >= first {
			break // a byte of a signature that is not needed, or of the block after: those before were good
		}
	}
	if _, _, err := node.ImportBlocks(ctx, n.homes[to], strings.NewReader("no blocks")); fault.KindOf(err) != fault.Invalid {
		n.t.Fatalf("no blocks were taken: %v", err)
	}
	if _, l, err := node.ImportBlocks(ctx, n.homes[to], &blocks); err != nil || l.Last.Height != last {
		n.t.Fatalf("%+v, %v; want block %d", l.Last, err, last)
	}
}

// verify checks that a receipt is good with each genesis that leads to it, and with no other.
func (n *town) verify(r *receipt.Receipt, successor *ledger.Genesis, height int64) {
	n.t.Helper()
	geneses := []*ledger.Genesis{successor}
	if r.Network == n.genesis.ID() {
		geneses = append(geneses, n.genesis)
	}
	for _, g := range geneses {
		if s, err := r.Verify(light.Root{Genesis: g}); err != nil || s.Height != height {
			n.t.Errorf("the receipt of block %d: %+v, %v", height, s, err)
		}
	}
	early := *successor
	p := *successor.Predecessor
	early.Predecessor = &p
	p.Height = 1
	if _, err := r.Verify(light.Root{Genesis: &early}); err == nil {
		n.t.Error("good beyond the last block that the successor goes on from")
	}
}

// newcomer enters the successor with its genesis and the state of the predecessor.
func (n *town) newcomer(successor *ledger.Genesis) {
	t := n.t
	t.Helper()
	n.stop(1) // where data at rest are read from
	var state bytes.Buffer
	if err := node.ExportState(t.Context(), n.homes[1], &state); err != nil {
		t.Fatal(err)
	}
	n.start(1)
	home := t.TempDir()
	forged := bytes.Clone(state.Bytes())
	forged[len(forged)-10] ^= 1
	for name, data := range map[string][]byte{"forged": forged, "cut": state.Bytes()[:state.Len()-4], "nothing": nil} {
		if _, err := node.JoinSuccessor(home, successor, bytes.NewReader(data)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("entered with a state that is %s: %v", name, err)
		}
	}
	if _, err := node.JoinSuccessor(home, n.genesis, bytes.NewReader(state.Bytes())); fault.KindOf(err) != fault.Invalid {
		t.Errorf("entered a ledger that goes on from none: %v", err)
	}
	if _, err := node.JoinSuccessor(home, successor, &state); err != nil {
		t.Fatal(err)
	}
	n.homes, n.nodes, n.stops = append(n.homes, home), append(n.nodes, nil), append(n.stops, nil)
	i := len(n.homes) - 1
	n.start(i)
	n.eventually("the newcomer has all", func() bool { return n.bobs(i) == "16" })
	n.pay(i, 1)
}
