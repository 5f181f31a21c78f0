package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// idOf returns different ids.
func idOf(n int) [32]byte { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))) }

func commonRecorder(t *testing.T, share func(trace.TraceID) bool) (*Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	kept := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(kept), sdk.WithIDGenerator(IDs{}))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	return New(provider, share), kept
}

// TestCommon: two nodes' spans of one thing are in one trace, those of other things in others, and what is beneath them as well.
func TestCommon(t *testing.T) {
	began := time.Now().Add(-time.Second)
	var roots []sdk.ReadOnlySpan
	for range 2 {
		tracer, kept := commonRecorder(t, all)
		for i := range 2 {
			ctx, span := tracer.Common("thing", idOf(i), began)
			Past(ctx, "part", began, began.Add(time.Millisecond))
			span.End()
		}
		_, other := tracer.Request(t.Context(), "GET", "")
		other.End()
		ended := kept.Ended()
		if len(ended) != 5 {
			t.Fatalf("%d spans", len(ended))
		}
		for i := range 2 {
			part, root := ended[2*i], ended[2*i+1]
			id := idOf(i)
			if got := root.SpanContext().TraceID(); got != trace.TraceID(id[:16]) || root.Parent().IsValid() || !root.StartTime().Equal(began) {
				t.Errorf("%s beneath %v since %s, want %x", got, root.Parent(), root.StartTime(), id[:16])
			}
			if part.Parent().SpanID() != root.SpanContext().SpanID() || part.SpanContext().TraceID() != root.SpanContext().TraceID() || part.EndTime().Sub(part.StartTime()) != time.Millisecond {
				t.Errorf("the part: %+v", part)
			}
		}
		if id := ended[4].SpanContext().TraceID(); id == ended[1].SpanContext().TraceID() || !id.IsValid() {
			t.Errorf("the request's trace is %s", id)
		}
		roots = append(roots, ended[1])
	}
	if a, b := roots[0].SpanContext(), roots[1].SpanContext(); a.TraceID() != b.TraceID() || a.SpanID() == b.SpanID() {
		t.Errorf("two nodes: %+v and %+v", a, b)
	}
}

// TestCommonIsBounded: nothing is recorded without a Tracer, outside of its share, of a trace without an id, and beyond the allowance.
func TestCommonIsBounded(t *testing.T) {
	recorded := func(tracer *Tracer, id [32]byte) bool {
		ctx, span := tracer.Common("thing", id, time.Now())
		defer span.End()
		Past(ctx, "part", time.Now(), time.Now())
		return span.IsRecording()
	}
	if recorded(nil, idOf(0)) {
		t.Error("a nil Tracer records")
	}
	tracer, _ := commonRecorder(t, nobody)
	if recorded(tracer, idOf(0)) {
		t.Error("outside of the share")
	}
	tracer, kept := commonRecorder(t, all)
	if recorded(tracer, [32]byte{16: 1}) {
		t.Error("without an id")
	}
	n := 0
	for i := range 4 * peerBurst {
		if recorded(tracer, idOf(i)) {
			n++
		}
	}
	if n < peerBurst || n > 2*peerBurst || len(kept.Ended()) != 2*n {
		t.Errorf("%d of %d are recorded, with %d spans", n, 4*peerBurst, len(kept.Ended()))
	}
}
