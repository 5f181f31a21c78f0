package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// TestPromisesHoldByTheLedgersTime: what was signed under a key is not forgotten while a block may hold it, however late it is by the clock; then it is, and makes room.
func TestPromisesHoldByTheLedgersTime(t *testing.T) {
	const good = fault.Kind(255) // no error
	s := &signing{now: func() time.Time { return time.UnixMilli(1_000_000) }, seen: make(map[string]promise)}
	first, second := promise{ledger.TransactionID{1}, 500}, promise{ledger.TransactionID{2}, 900}
	for _, step := range []struct {
		p    promise
		tip  int64
		want fault.Kind
	}{
		{first, 100, good},
		{first, 499, good},
		{second, 499, fault.Conflict},
		{second, 500, good},
		{first, 500, fault.Conflict},
	} {
		if err := s.promise("key", step.p, step.tip); err == nil != (step.want == good) || err != nil && fault.KindOf(err) != step.want {
			t.Errorf("%v when a block is of %d: %v", step.p.id, step.tip, err)
		}
	}
	for i := range maxRemembered - 1 {
		if err := s.promise(fmt.Sprint(i), first, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.promise("one more", first, 499); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("over the bound: %v", err)
	}
	if err := s.promise("one more", second, 500); err != nil || len(s.seen) != 2 {
		t.Errorf("once the others are late: %v, %d are remembered", err, len(s.seen))
	}
}
