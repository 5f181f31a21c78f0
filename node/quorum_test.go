package node_test

import (
	"context"
	"strings"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// TestNoQuorumInTime: who waits for less than the node's own limit is told that there is no quorum, and not that the node did not answer.
func TestNoQuorumInTime(t *testing.T) {
	t.Parallel()
	n := newTown(t, 2)
	n.idle(0, 1)
	n.stop(1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	data := n.ann.sign(t, n.ledgerID(0), &ledger.Transfer{Asset: n.eur, From: n.ann.id, To: n.bob.id, Amount: ledger.NewAmount(1)})
	_, err := n.client(0).SubmitTransaction(ctx, data, v1.SubmitOptions{Wait: v1.WaitCommitted})
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no quorum") {
		t.Fatal(err)
	}
	n.start(1)
	n.eventually("it comes into a block when the other is back", func() bool { return n.bobs(0) == "1" })
}
