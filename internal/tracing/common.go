package tracing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// commonKey is that of the id of a trace in a context.
type commonKey struct{}

// Common begins the span of something that all peers know by one id, such as a transaction of the ledger. The first half of the id is that of the trace, so that what each peer records of it comes together without a word
// between them. It is recorded if the trace is of this node's share, and within the allowance of one peer: whoever makes such things chooses their ids, nearly. began is when it began.
func (t *Tracer) Common(name string, id [32]byte, began time.Time) (context.Context, trace.Span) {
	traceID := trace.TraceID(id[:16])
	if t == nil || !traceID.IsValid() || !t.share(traceID) || !t.peers.Allow("", time.Now()) {
		return context.Background(), none
	}
	ctx := context.WithValue(context.Background(), commonKey{}, traceID)
	return t.tracer.Start(ctx, name, trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindConsumer))
}

// Past records beneath the span in ctx, if that is recorded, one that is over.
func Past(ctx context.Context, name string, began, ended time.Time) {
	_, span := start(ctx, name, trace.SpanKindInternal, trace.WithTimestamp(began))
	span.End(trace.WithTimestamp(ended))
}

// IDs makes the ids of traces and spans: random ones, but for the traces of Common. It is the IDGenerator of OpenTelemetry's SDK, which a provider of New must have (sdk/trace.WithIDGenerator).
type IDs struct{}

// NewIDs returns the ids of a span that is the first of its trace at this node.
func (IDs) NewIDs(ctx context.Context) (id trace.TraceID, span trace.SpanID) {
	id, common := ctx.Value(commonKey{}).(trace.TraceID)
	for !common && !id.IsValid() {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
		binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id, IDs{}.NewSpanID(ctx, id)
}

// NewSpanID returns the id of another span of a trace.
func (IDs) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
