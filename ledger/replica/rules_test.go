package replica_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// stoppedBefore waits until a node has stopped before the block of a height for its rules, and checks that it says so, that it takes nothing, and that what was before can be read.
func (n *node) stoppedBefore(height int64, anybody ledger.AccountID, later *ledger.Transaction) {
	t := n.net.t
	t.Helper()
	eventually(t, "the node to stop before new rules", func() bool { return n.replica.Engine().Failure != nil })
	var unknown *ledger.UnknownRulesError
	failure := n.replica.Engine().Failure
	if !errors.As(failure, &unknown) || unknown.Version != ledger.RulesVersion+1 || unknown.Height != height || !strings.Contains(failure.Error(), "install a program that knows version") {
		t.Errorf("the node stopped for: %v", failure)
	}
	if err := n.replica.Health(); fault.KindOf(err) != fault.Internal {
		t.Errorf("health: %v", err)
	}
	if tip := n.replica.Tip(); tip.Height != height-1 {
		t.Errorf("the node stopped at block %d, want %d", tip.Height, height-1)
	}
	if _, err := n.replica.Submit(t.Context(), n.net.encode(later)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a transaction after that: %v", err)
	}
	if a, err := n.replica.Account(anybody); err != nil || len(a.Balances) != 1 {
		t.Errorf("an account after that: %v, %v", a, err)
	}
}

// TestUnknownRules: nodes stop before a block whose rules they don't know, all of them at the same one, and stop there again when they are started once more. One that comes later does too.
func TestUnknownRules(t *testing.T) {
	n := newNet(t, 2)
	n.start()
	bank := newPerson(t)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	n.everywhere(n.commit(n.nodes[0], n.sign([]ledger.Operation{&ledger.DefineAsset{Asset: eur, Scale: 2}, &ledger.Issue{Asset: eur, To: bank.id, Amount: amount(1)}}, bank)))
	from := n.nodes[0].replica.Tip().Height + 8
	rules := ledger.Proposal{ActivateRules: &ledger.ActivateRules{Version: ledger.RulesVersion + 1, Height: from}}
	for i, node := range n.nodes {
		var op ledger.Operation = &ledger.Propose{By: node.operator.id, Proposal: rules}
		if i > 0 {
			op = &ledger.Vote{By: node.operator.id, Proposal: ledger.ProposalID(n.genesis.ID(), &rules)}
		}
		n.everywhere(n.commit(node, n.sign([]ledger.Operation{op}, node.operator)))
	}
	if r, err := n.nodes[1].replica.Rules(); err != nil || r.At(from-1) != ledger.RulesVersion || r.At(from) != ledger.RulesVersion+1 {
		t.Errorf("rules %+v, %v", r, err)
	}
	later := n.sign([]ledger.Operation{&ledger.Anchor{By: bank.id}}, bank)
	for _, node := range n.nodes {
		node.stoppedBefore(from, bank.id, later)
	}
	for _, node := range n.nodes {
		node.end()
		node.start()
	}
	for _, node := range n.nodes {
		node.stoppedBefore(from, bank.id, later)
	}
	for _, node := range n.nodes {
		node.end()
	}
}

// end stops a replica that has failed, whose Run tells why.
func (n *node) end() {
	t := n.net.t
	t.Helper()
	n.stop()
	n.stop = nil
	select {
	case err := <-n.done:
		if err == nil {
			t.Error("the replica tells no failure")
		}
	case <-time.After(patience):
		t.Fatal("the replica did not stop")
	}
	if err := n.replica.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
