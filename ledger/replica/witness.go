package replica

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
)

const (
	// maxWitnessed is how many transactions in no block yet a witness follows at once.
	maxWitnessed = 4096
	// witnessTime is how long it follows one.
	witnessTime = 10 * time.Minute
)

// A witness records what this node sees of transactions, whoever handed them in and wherever: when it had them, how long its check took, and in which block they came. All nodes record that in the trace that has the transaction's id
// (tracing.Tracer.Common), so that one trace shows the transaction on all of them. A nil witness records nothing.
type witness struct {
	tracer  *tracing.Tracer
	network ledger.Hash
	fresh   func([]*ledger.Transaction, []ledger.TransactionID) []bool // which of some transactions are in no block yet

	mu    sync.Mutex
	open  map[ledger.TransactionID]witnessed // guarded by mu
	swept time.Time                          // when open was last searched for what is too old, guarded by mu
}

type witnessed struct {
	span  trace.Span
	began time.Time
}

// newWitness returns nil where nothing is recorded.
func newWitness(tracer *tracing.Tracer, network ledger.Hash, fresh func([]*ledger.Transaction, []ledger.TransactionID) []bool) *witness {
	if tracer == nil {
		return nil
	}
	return &witness{tracer: tracer, network: network, fresh: fresh, open: make(map[ledger.TransactionID]witnessed)}
}

// saw is told of transactions that came in one envelope, which was taken up at a time and has been found good. What is in a block already is passed over: another envelope has brought it.
func (w *witness) saw(began time.Time, transactions []*ledger.Transaction) {
	now := time.Now()
	ids := make([]ledger.TransactionID, len(transactions))
	for i, t := range transactions {
		ids[i] = t.ID(w.network)
	}
	fresh := w.fresh(transactions, ids)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweep(now)
	for i, id := range ids {
		if _, known := w.open[id]; known || len(w.open) == maxWitnessed || !fresh[i] {
			continue
		}
		ctx, span := w.tracer.Common("transaction", id, began)
		if !span.IsRecording() {
			continue
		}
		span.SetAttributes(attribute.String("moot.ledger.transaction", id.String()), attribute.Int("moot.ledger.shared", len(transactions)-1))
		tracing.Past(ctx, "check", began, now) // of the whole envelope
		w.open[id] = witnessed{span, began}
	}
}

// committed is told of each block.
func (w *witness) committed(b application.Block) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open) == 0 {
		return
	}
	for _, result := range b.Results {
		if seen, ok := w.open[result.ID]; ok {
			seen.span.SetAttributes(attribute.Int64("moot.ledger.height", b.Height), attribute.String("moot.ledger.result", result.Code.String()))
			seen.span.End()
			delete(w.open, result.ID)
		}
	}
	for _, p := range b.PassedOver {
		if seen, ok := w.open[p.ID]; ok && fault.KindOf(p.Reason) != fault.Full && p.Transaction.ValidFrom() <= b.Time { // it may not come into a later one either
			w.lose(p.ID, seen, p.Reason)
		}
	}
	w.sweep(time.Now())
}

// sweep ends what came into no block for long, while w.mu is held.
func (w *witness) sweep(now time.Time) {
	if now.Sub(w.swept) < sweepTime {
		return
	}
	w.swept = now
	for id, seen := range w.open {
		if now.Sub(seen.began) > witnessTime {
			w.lose(id, seen, errNoBlock)
		}
	}
}

// errNoBlock is why what came into no block is followed no longer.
var errNoBlock = fault.New(fault.Unavailable, "in no block")

// lose ends the span of what came into no block, while w.mu is held.
func (w *witness) lose(id ledger.TransactionID, seen witnessed, why error) {
	tracing.End(seen.span, &why)
	delete(w.open, id)
}

// end ends all that is open, when the node stops.
func (w *witness) end() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, seen := range w.open {
		w.lose(id, seen, errNoBlock)
	}
}
