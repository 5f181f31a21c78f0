package state_test

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

func TestHistory(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 4)
	defer c.store.Close()
	a, b := c.holders[1], c.holders[2]
	var want []state.Position
	for i := range 25 {
		c.block(c.tx(c.holders[3], &ledger.Anchor{By: c.holders[3].id}), c.tx(a, &ledger.Transfer{Asset: c.eur, From: a.id, To: b.id, Amount: ledger.NewAmount(uint64(i + 1))}))
		want = append(want, state.Position{Height: c.store.Tip().Height, Index: 1})
	}
	want = append([]state.Position{{Height: 2}}, want...)
	slices.Reverse(want)
	v := c.store.View()
	defer v.Close()
	for _, h := range []*holder{a, b} {
		var got []state.Position
		var before state.Position
		for {
			page, err := v.History(h.id, before, 7)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			before = page[len(page)-1]
		}
		if h == a && slices.Equal(got, want[:25]) || h == b && slices.Equal(got, want) {
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("history %v, want %v", got, want)
		}
	}
}

func TestAnchors(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 4)
	defer c.store.Close()
	a := c.holders[1]
	digest, other := ledger.Hash{1}, ledger.Hash{2}
	var want []state.Position
	for i := range 5 {
		spend := &ledger.Transfer{Asset: c.eur, From: a.id, To: c.holders[2].id, Amount: ledger.NewAmount(1 << 60)} // more than there is
		c.block(c.tx(a, &ledger.Anchor{By: a.id, Digest: other}), c.tx(a, &ledger.Anchor{By: a.id, Digest: digest}, &ledger.Anchor{By: a.id, Digest: digest}), c.tx(a, &ledger.Anchor{By: a.id, Digest: digest}, spend))
		if want = append(want, state.Position{Height: c.store.Tip().Height, Index: 1}); i == 2 {
			c.blocks(3, 2)
		}
	}
	anchors := func(digest ledger.Hash, limit int) []state.Position {
		t.Helper()
		v := c.store.View()
		defer v.Close()
		found, err := v.Anchors(digest, limit)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := anchors(digest, 10); !slices.Equal(got, want) {
		t.Errorf("anchored at %v, want %v", got, want)
	}
	if got := anchors(digest, 2); !slices.Equal(got, want[:2]) {
		t.Errorf("the first two are %v, want %v", got, want[:2])
	}
	if got := anchors(ledger.Hash{3}, 10); len(got) != 0 {
		t.Errorf("what nobody anchored is at %v", got)
	}
	if err := c.store.Prune(want[3].Height); err != nil {
		t.Fatal(err)
	}
	if got := anchors(digest, 10); !slices.Equal(got, want[3:]) {
		t.Errorf("after pruning %v, want %v", got, want[3:])
	}
}
