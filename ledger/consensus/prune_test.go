package consensus

import (
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
)

// TestPruning: a node that keeps few blocks goes on, is started again, says which blocks it does not have, and still leads from the genesis to those that it has.
func TestPruning(t *testing.T) {
	n := newChainNet(t, 1<<40)
	n.beat, n.kept = 10*time.Millisecond, application.MinKept
	v := n.validator(1)
	eventually(t, "that blocks are removed", func() bool { return v.engine.Status().Base > 1 })
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
	v.halt()
	n.beat = 2 * time.Second
	v.start()
	check()
	late := n.node(Sync{Mode: State, find: 50 * time.Millisecond})
	late.start()
	eventually(t, "that it says what keeps it", func() bool { return late.engine.Status().Fetching.Note != "" })
	if err := late.engine.Health(); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without blocks and snapshots: %v", err)
	}
}
