package replica_test

import (
	"testing"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/replica"
)

// TestJoin: a node that fetches all blocks and one that fetches the state come to the same, though all validators have changed meanwhile; and receipts of the latter lead from the genesis.
func TestJoin(t *testing.T) {
	n := newNet(t, 1)
	n.every, n.sync = 10, consensus.Sync{Mode: consensus.Blocks}
	second := n.addNode()
	n.start()
	first := n.nodes[0]
	bank, ann := newPerson(t), newPerson(t)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	n.commit(first, n.sign([]ledger.Operation{&ledger.DefineAsset{Asset: eur}, &ledger.Issue{Asset: eur, To: ann.id, Amount: amount(100)}}, bank))
	pay := func(at *node) replica.Place {
		return n.commit(at, n.sign([]ledger.Operation{&ledger.Transfer{Asset: eur, From: ann.id, To: bank.id, Amount: amount(1)}}, ann))
	}
	place := pay(first)
	genesis := light.Root{Genesis: n.genesis}
	old, err := first.replica.TransactionReceipt(t.Context(), place.Result.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	n.replaceValidator(first, second)
	changed := second.replica.Tip().Height
	for second.replica.Tip().Height < changed+12 { // a snapshot comes after the change
		pay(second)
	}
	eventually(t, "a snapshot", func() bool {
		list := second.replica.Snapshots()
		return len(list) > 0 && list[len(list)-1] > changed
	})

	blocks := n.addNode()
	blocks.start()
	n.sync = consensus.Sync{Mode: consensus.State}
	late := n.addNode()
	late.start()
	for _, node := range []*node{blocks, late} {
		eventually(t, "a node that has everything", func() bool { return !node.replica.Engine().Syncing })
	}
	after := pay(late)
	n.everywhere(after)
	n.agree()
	if base := late.replica.Engine().Base; base <= changed {
		t.Fatalf("it has blocks from %d on, and so did not fetch the state after block %d", base, changed)
	}

	// What happened after it came, and what anybody has now, it proves to who knows nothing but the genesis.
	r, err := late.replica.TransactionReceipt(t.Context(), after.Result.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.Verify(genesis); err != nil || s.Result != after.Result || len(r.Path.Steps) != 2 {
		t.Errorf("over %d changes of validators: %+v, %v", len(r.Path.Steps), s, err)
	}
	b, err := late.replica.BalanceReceipt(t.Context(), bank.id, eur, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := b.Verify(genesis); err != nil || s.Account != bank.id {
		t.Errorf("a balance: %+v, %v", s, err)
	}
	if _, err := old.Verify(genesis); err != nil {
		t.Errorf("a receipt from before all that: %v", err)
	}
}
