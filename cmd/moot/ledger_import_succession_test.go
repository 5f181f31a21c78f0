package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// succeed has another ledger go on from this one, with the same validator. The node keeps the old one's blocks.
func (f *fakeLedger) succeed(t *testing.T) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tip := f.store.Tip()
	g, err := ledger.NewSuccessor(ledger.Predecessor{Genesis: f.genesis, Height: tip.Height, Block: ledger.Hash{1}, State: ledger.Hash(tip.Root)}, time.UnixMilli(tip.Time), f.genesis.Limits, f.genesis.Validators)
	if err != nil {
		return err
	}
	cfg := state.Config{Dir: t.TempDir(), Network: g.ID(), CacheBytes: 1 << 20}
	v := f.store.View()
	if err := errors.Join(state.Succeed(cfg, g, v.Snapshot()), v.Close()); err != nil {
		return err
	}
	store, err := state.Open(cfg)
	if err != nil {
		return err
	}
	old := f.store
	t.Cleanup(func() {
		if err := old.Close(); err != nil {
			t.Error(err)
		}
	})
	f.older = append(f.older, olderLedger{f.network, old})
	f.genesis, f.network, f.store = g, g.ID(), store
	f.roots = map[int64]ledger.Hash{0: ledger.Hash(store.Tip().Root)}
	return nil
}

// forget says whether the node has the blocks of earlier ledgers no more.
func (f *fakeLedger) forget(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = yes
}

// olderLedger is one that the present one goes on from.
type olderLedger struct {
	network ledger.Hash
	store   *state.Store
}

// transactionIn answers for a transaction of an earlier ledger, as a node does.
func (f *fakeLedger) transactionIn(of string, r *http.Request) (any, error) {
	id, err := ledger.ParseHash(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	for _, old := range f.older {
		if old.network.String() != of {
			continue
		}
		if f.forgotten {
			return nil, fault.New(fault.Conflict, "this node does not have all of the ledger %s", of)
		}
		before := fakeLedger{network: old.network, store: old.store}
		return before.find(ledger.TransactionID(id))
	}
	return nil, fault.New(fault.Invalid, "the ledger does not go on from %s", of)
}

// TestLedgerImportAcrossSuccessions: another ledger goes on from the one that an import was sent to, when of some lines it is known that they are paid, of some it is not though they are, and some never arrived. The same
// command goes on, and in the end each line is paid once.
func TestLedgerImportAcrossSuccessions(t *testing.T) {
	b, f := newTown(t)
	first := writeList(t, "to,amount,asset,memo", "bob,1,EUR,paid and known")
	b.imported(exitDone, first, "--from", "ann")
	open := []string{writeList(t, "to,amount,asset,memo", "bob,2,EUR,paid"), writeList(t, "to,amount,asset,memo", "bob,4,EUR,not arrived")}
	f.behave(0, fault.New(fault.Internal, "out of order"))
	for _, list := range open {
		b.imported(exitFailed, list, "--from", "ann")
	}
	f.behave(0, nil)
	f.takeKept(t, open[0])
	refused := writeList(t, "to,amount,asset,memo", "bob,1000,EUR,too much")
	b.imported(exitConflict, refused, "--from", "ann")
	if err := f.succeed(t); err != nil {
		t.Fatal(err)
	}

	// A node that does not know what was in the old one's blocks is no help, and nothing is paid through it.
	f.forget(true)
	for _, list := range open {
		got := b.moot("ledger", "import", list, "--from", "ann")
		if got.code != exitConflict || !strings.Contains(got.err, "does not have all of the ledger") || !strings.Contains(got.err, "--api") {
			t.Errorf("%+v", got)
		}
	}
	contains(t, b.l("balances bob"), "3.00 EUR")
	f.forget(false)

	// Nor does one whose program can't be asked for the old one's: it would say of all of it that it is in no block.
	f.mu.Lock()
	f.before = true
	f.mu.Unlock()
	for _, list := range open {
		if got := b.moot("ledger", "import", list, "--from", "ann"); got.code == exitDone || !strings.Contains(got.err, "older") {
			t.Errorf("%+v", got)
		}
	}
	contains(t, b.l("balances bob"), "3.00 EUR")
	f.mu.Lock()
	f.before = false
	f.mu.Unlock()
	for _, list := range append(open, first) {
		if s := b.imported(exitDone, list, "--from", "ann"); !s.Complete {
			t.Errorf("%+v", s)
		}
	}
	contains(t, b.l("balances bob"), "7.00 EUR")
	if s := b.imported(exitConflict, refused, "--from", "ann", "--retry-failed"); s.Failed != 1 {
		t.Errorf("%+v", s)
	}

	// And once more, with a journal that tells of two ledgers already.
	late := writeList(t, "to,amount,asset,memo", "bob,8,EUR,later")
	f.behave(0, fault.New(fault.Internal, "out of order"))
	b.imported(exitFailed, late, "--from", "ann")
	f.behave(0, nil)
	if err := f.succeed(t); err != nil {
		t.Fatal(err)
	}
	for _, list := range append(open, first, late) {
		if s := b.imported(exitDone, list, "--from", "ann"); !s.Complete {
			t.Errorf("%+v", s)
		}
	}
	contains(t, b.l("balances bob"), "15.00 EUR")
	if s := b.imported(exitDone, late, "--from", "ann"); s.PaidNow != 0 {
		t.Errorf("%+v", s)
	}
}

// TestLedgerImportDuringASuccession: the node comes back with another ledger while an import runs, after it has taken a payment for the old one without an answer.
func TestLedgerImportDuringASuccession(t *testing.T) {
	b, f := newTown(t)
	list := writeList(t, "to,amount,asset,memo", "bob,1,EUR,a")
	f.mu.Lock()
	f.drop, f.onDrop = 1, func() {
		go func() {
			if err := f.succeed(t); err != nil {
				t.Error(err)
			}
		}()
	}
	f.mu.Unlock()
	got := b.moot("ledger", "import", list, "--from", "ann")
	if got.code != exitDone && got.code != exitConflict {
		t.Errorf("%+v", got)
	}
	if s := b.imported(exitDone, list, "--from", "ann"); !s.Complete {
		t.Errorf("%+v", s)
	}
	contains(t, b.l("balances bob"), "1.00 EUR")
}
