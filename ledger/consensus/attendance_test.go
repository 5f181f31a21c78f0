package consensus

import (
	"testing"

	"github.com/folkmoot/folkmoot/ledger"
)

// TestRoll counts who signed a window that moves on, and reads each block once.
func TestRoll(t *testing.T) {
	always, never, late := ledger.PublicKey{1}, ledger.PublicKey{2}, ledger.PublicKey{3}
	const joined = 150
	var read []int64
	source := func(height int64) ([]rollCall, error) {
		read = append(read, height)
		calls := []rollCall{{always, true}, {never, false}}
		if height >= joined {
			calls = append(calls, rollCall{late, height%2 == 0})
		}
		return calls, nil
	}
	var r roll
	for _, c := range []struct {
		base, last, first int64
		reads             int
		late              Attended
	}{
		{1, 0, 0, 0, Attended{}},
		{1, 5, 1, 5, Attended{}},
		{1, 120, 21, 100, Attended{}},
		{1, 120, 21, 0, Attended{}},
		{1, 159, 60, 39, Attended{10, 5, 1}},
		{158, 160, 158, 1, Attended{3, 2, 0}},
		{158, 161, 158, 1, Attended{4, 2, 1}},
	} {
		read = nil
		a, err := r.count(c.base, c.last, source)
		if err != nil {
			t.Fatal(err)
		}
		counted := 0
		if c.first > 0 {
			counted = int(c.last - c.first + 1)
		}
		if a.First != c.first || a.Of[always] != (Attended{counted, counted, 0}) || a.Of[never] != (Attended{counted, 0, counted}) || a.Of[late] != c.late {
			t.Errorf("blocks %d to %d: %+v", c.base, c.last, a)
		}
		if len(read) != c.reads || len(r.calls) > MaxAttendance {
			t.Errorf("blocks %d to %d: read %v, and remembers %d", c.base, c.last, read, len(r.calls))
		}
	}
}

// TestRollStopsAtAGap: nothing is counted across a block of which the commit is missing.
func TestRollStopsAtAGap(t *testing.T) {
	var r roll
	a, err := r.count(1, 10, func(height int64) ([]rollCall, error) {
		if height == 7 {
			return nil, nil
		}
		return []rollCall{{ledger.PublicKey{1}, true}}, nil
	})
	if err != nil || a.First != 8 || a.Last != 10 || a.Of[ledger.PublicKey{1}] != (Attended{3, 3, 0}) {
		t.Errorf("%+v, %v", a, err)
	}
}

// checkAttendance looks at who signed the last block that is counted, which was made by three of four validators while one was away: the three of them had to.
func checkAttendance(t *testing.T, n *testNet, away *testNode) {
	t.Helper()
	a, err := n.nodes[0].engine.Attendance()
	if err != nil {
		t.Fatal(err)
	}
	if absent := a.Of[ledger.PublicKey(away.signer.PublicKey())]; a.First < 1 || absent.Blocks != int(a.Last-a.First+1) || absent.Signed >= absent.Blocks {
		t.Errorf("of blocks %d to %d the one that is away signed %+v", a.First, a.Last, absent)
	}
	r := &n.nodes[0].engine.roll
	r.mu.Lock()
	calls := r.calls[a.Last]
	r.mu.Unlock()
	if len(calls) != 4 {
		t.Fatalf("%d validators at block %d", len(calls), a.Last)
	}
	for _, c := range calls {
		if want := c.key != ledger.PublicKey(away.signer.PublicKey()); c.signed != want {
			t.Errorf("block %d: %s signed: %v, want %v", a.Last, c.key, c.signed, want)
		}
	}
}
