package replica

import (
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// TestKeepBlocks: old blocks go, but none of the last hour, whose transactions must not come again; and what is gone is told from what never was.
func TestKeepBlocks(t *testing.T) {
	begin := time.Now()
	h := newHand(t, begin, ledger.DefaultLimits())
	h.app = application.New(application.Config{Store: h.store, Genesis: h.cfg.Genesis, Kept: application.MinKept, Committed: h.committed})
	id, key := newAccount(t)
	old := h.anchor(id, key, begin.Add(30*time.Minute))
	h.block(begin.Add(time.Minute), envelope(old))
	for i := range 300 {
		if h.block(begin.Add(time.Minute + time.Duration(i)*time.Second)); h.retain > 1 {
			t.Fatalf("after block %d the blocks below %d go, of the last hour", h.height, h.retain)
		}
	}
	if _, _, err := h.Transaction(old.ID(h.network)); err != nil {
		t.Errorf("a transaction of the last hour: %v", err)
	}
	if list, err := h.History(id, state.Position{}, 10); err != nil || len(list) != 1 {
		t.Errorf("its history has %d transactions: %v", len(list), err)
	}

	// The state forgets what is over an hour old with the next transaction.
	at := begin.Add(2 * time.Hour)
	h.block(at, envelope(h.anchor(id, key, at.Add(time.Minute))))
	if want := h.height - application.MinKept + 1; h.retain != want {
		t.Fatalf("after block %d the lowest is %d, want %d", h.height, h.retain, want)
	}
	if first, err := h.First(); first != h.retain || err != nil {
		t.Errorf("it says that the lowest block is %d, and not %d: %v", first, h.retain, err)
	}
	_, _, err := h.Transaction(old.ID(h.network))
	if fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "this node keeps") {
		t.Errorf("a transaction whose block is gone: %v", err)
	}
	if _, err = h.Block(1); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "not kept by this node") {
		t.Errorf("a block that is gone: %v", err)
	}
	if _, err = h.Block(h.height + 1); fault.KindOf(err) != fault.NotFound || strings.Contains(err.Error(), "kept") {
		t.Errorf("a block that never was: %v", err)
	}
	if list, err := h.History(id, state.Position{}, 10); err != nil || len(list) != 1 {
		t.Errorf("the history of what is gone has %d transactions: %v", len(list), err)
	}
	if _, err := Open(Config{Genesis: h.cfg.Genesis, KeepBlocks: 1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("one block to keep: %v", err)
	}
}
