package consensus

import (
	"bytes"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

// TestPruning: a node that keeps few blocks goes on, is started again, says which blocks it does not have, and still leads from the genesis to those that it has.
func TestPruning(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 1<<40)
	n.kept = application.MinKept
	v := n.validator(2*application.MinKept + 50)
	check := func() {
		t.Helper()
		s := v.engine.Status()
		if kept := s.Height - s.Base + 1; s.Base == 1 || kept < application.MinKept {
			t.Errorf("%d blocks are kept, from %d on", kept, s.Base)
		}
		if _, err := v.engine.AppHash(s.Base); err != nil {
			t.Errorf("the lowest block: %v", err)
		}
		path, err := v.engine.Path(0, s.Height)
		if err != nil {
			t.Fatal(err)
		}
		if len(path.Steps) != 0 {
			t.Errorf("%d changes of validators", len(path.Steps))
		}
		view := v.store.View()
		defer view.Close()
		if first, err := view.First(); err != nil || first != s.Base {
			t.Errorf("the state has blocks from %d on, the chain from %d: %v", first, s.Base, err)
		}
	}
	check()
	late := n.node(Sync{Mode: State, find: 50 * time.Millisecond})
	late.start()
	eventually(t, "that it says what keeps it", func() bool { return late.engine.Status().Fetching.Note != "" })
	if err := late.engine.Health(); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without blocks and snapshots: %v", err)
	}
}

// TestChangesStay: when the blocks at which validators changed are gone, paths over them are the same as before, here and at a node that fetched the state.
func TestChangesStay(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 20)
	v := n.node(Sync{Mode: Blocks})
	v.signer = n.signer
	v.start()
	at := n.setPower(v, 20)
	v.reach(at + 45)
	v.halt()
	n.beat = time.Second
	v.start()
	path, err := v.engine.Path(0, at+10)
	if err != nil || len(path.Steps) != 1 {
		t.Fatalf("%d changes of validators: %v", len(path.Steps), err)
	}
	err = v.engine.use(func(p *parts) error {
		if err := p.history.keepBelow(at + 5); err != nil {
			return err
		}
		chain, err := p.states.Load()
		if err != nil {
			return err
		}
		if _, _, err = p.blocks.PruneBlocks(at+5, chain); err != nil {
			return err
		}
		return p.states.PruneStates(1, at+5, at+5)
	})
	if err != nil {
		t.Fatal(err)
	}
	late := n.node(Sync{Mode: State})
	late.start()
	late.like(v)
	height := max(at+10, late.engine.Status().Base)
	v.reach(height)
	for _, node := range []*chainNode{v, late} {
		again, err := node.engine.Path(0, height)
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Steps) != 1 || !bytes.Equal(again.Steps[0].Append(nil), path.Steps[0].Append(nil)) {
			t.Errorf("the path has %d changes of validators, or another", len(again.Steps))
		}
		if h, err := again.Verify(n.chainID(), light.Root{Genesis: n.genesis}); err != nil || h.Height != height || h.Power != 20 {
			t.Errorf("it leads to %+v: %v", h, err)
		}
	}
}

func (n *chainNet) chainID() string { return ChainID(NetworkID(n.genesis)) }

// setPower gives the validator another power, and returns the block in which that happened.
func (n *chainNet) setPower(v *chainNode, power uint64) int64 {
	n.t.Helper()
	n.propose(v, ledger.SetPower{Validator: n.signer.PublicKey(), Power: power})
	var changes []int64
	eventually(n.t, "a change of validators", func() bool {
		view := v.store.View()
		defer view.Close()
		var err error
		changes, err = view.ValidatorChanges(1, 1<<40)
		if err != nil {
			n.t.Fatal(err)
		}
		return len(changes) > 0
	})
	return changes[0]
}

// propose has the validator's operator, who has all or nearly all power, give powers.
func (n *chainNet) propose(v *chainNode, powers ...ledger.SetPower) {
	t := n.t
	t.Helper()
	tx := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(10 * time.Minute).UnixMilli()}}
	for _, p := range powers {
		p.Operator = n.operator.ID()
		tx.Operations = append(tx.Operations, &ledger.Propose{By: n.operator.ID(), Proposal: ledger.Proposal{SetPower: &p}})
	}
	if err := tx.Sign(n.genesis.ID(), n.operator.ID(), &n.operator, n.key); err != nil {
		t.Fatal(err)
	}
	data, err := ledger.EncodeTransaction(tx)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.engine.Submit(t.Context(), application.EncodeEnvelope(1, [][]byte{data})); err != nil {
		t.Fatal(err)
	}
}
