package replica

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
)

// TestWitness: what comes into a block ends with it, what does not when it is given up or the node stops, and no more is followed than there may be.
func TestWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := tracetest.NewSpanRecorder()
		provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(kept), sdk.WithIDGenerator(tracing.IDs{}))
		defer provider.Shutdown(context.Background())
		done := map[ledger.TransactionID]bool{}
		w := newWitness(tracing.New(provider, func(trace.TraceID) bool { return true }), ledger.Hash{1}, func(_ []*ledger.Transaction, ids []ledger.TransactionID) (fresh []bool) {
			for _, id := range ids {
				fresh = append(fresh, !done[id])
			}
			return fresh
		})
		made := uint64(0)
		see := func(n int) (list []*ledger.Transaction) {
			for range n {
				made++
				list = append(list, &ledger.Transaction{Body: ledger.Body{Salt: made, Operations: []ledger.Operation{&ledger.Anchor{}}}})
			}
			w.saw(time.Now(), list)
			return list
		}
		list := see(3)
		w.saw(time.Now(), list[:1]) // in another envelope, too
		w.committed(application.Block{Height: 7, Results: []ledger.Result{{ID: list[0].ID(w.network)}, {ID: ledger.TransactionID{9}}}})
		ended := transactionsOf(kept)
		if len(ended) != 1 || ended[0].Status().Code == codes.Error || len(w.open) != 2 {
			t.Fatalf("%d ended, %d are open", len(ended), len(w.open))
		}
		done[list[0].ID(w.network)] = true
		w.saw(time.Now(), list[:1]) // in a second envelope, too late
		w.committed(application.Block{Height: 8, PassedOver: []application.PassedOver{
			{ID: list[1].ID(w.network), Transaction: list[1], Reason: fault.New(fault.Conflict, "it may not be")},
			{ID: list[2].ID(w.network), Transaction: list[2], Reason: fault.New(fault.Full, "no room")},
		}})
		if ended = transactionsOf(kept); len(ended) != 2 || ended[1].Status().Description != "conflict" || len(w.open) != 1 {
			t.Fatalf("%d ended, %d are open", len(ended), len(w.open))
		}
		time.Sleep(witnessTime + time.Second)
		w.committed(application.Block{Height: 9})
		see(1)
		if ended = transactionsOf(kept); len(ended) != 3 || ended[2].Status().Code != codes.Error || len(w.open) != 1 {
			t.Fatalf("%d ended, %d are open after %s", len(ended), len(w.open), witnessTime)
		}
		for range 2 * maxWitnessed / 100 {
			see(100)
			time.Sleep(time.Second)
		}
		if len(w.open) != maxWitnessed {
			t.Errorf("%d are open, want %d", len(w.open), maxWitnessed)
		}
		w.end()
		if ended = transactionsOf(kept); len(w.open) != 0 || len(ended) != maxWitnessed+3 {
			t.Errorf("%d are open at the end, %d ended", len(w.open), len(ended))
		}
	})
	var none *witness
	none.committed(application.Block{})
	none.end()
}

func transactionsOf(kept *tracetest.SpanRecorder) (list []sdk.ReadOnlySpan) {
	for _, s := range kept.Ended() {
		if s.Name() == "transaction" {
			list = append(list, s)
		}
	}
	return list
}
