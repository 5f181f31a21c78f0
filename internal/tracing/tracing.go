// Package tracing follows requests over the peers that they touch, by spans of OpenTelemetry. Where nothing is recorded it costs next to nothing: spans begin beneath another one only, and
// the first one of a node needs a Tracer. What becomes of spans is the affair of package otlp.
package tracing

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/allowance"
)

// scope names what makes the spans.
const scope = "github.com/folkmoot/folkmoot"

const (
	// peerRate is how many requests a second each peer may have recorded here, and peerBurst how many at once after a pause. A peer chooses the ids of its traces, and with them which ones this node takes for
	// those of its share.
	peerRate  = 200
	peerBurst = 400
	// maxPeers is how many peers are counted apart. While there are so many, requests of others are not recorded.
	maxPeers = 4096
)

// none is the span of what is not recorded.
var none trace.Span = noop.Span{}

// A Tracer begins the spans that are the first of this node. A nil Tracer records nothing.
type Tracer struct {
	tracer trace.Tracer
	share  func(trace.TraceID) bool
	peers  *allowance.Each[peer.ID]
}

// New returns a Tracer that makes its spans with provider. share tells whether a trace that another peer began is one of those that this node records.
func New(provider trace.TracerProvider, share func(trace.TraceID) bool) *Tracer {
	return &Tracer{tracer: provider.Tracer(scope), share: share, peers: allowance.New[peer.ID](peerRate, peerBurst, maxPeers)}
}

// Request begins the span of a request that a caller of this node makes; parent is the traceparent that came with it, or empty. A good one says whether the request is recorded, since callers are let in before; without one the
// provider's sampler does.
func (t *Tracer) Request(ctx context.Context, name, parent string) (context.Context, trace.Span) {
	if t == nil {
		return ctx, none
	}
	if sc, ok := ParseParent(parent); ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	return t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
}

// Serve begins the span of a request of another peer whose parent is in ctx (trace.ContextWithRemoteSpanContext). It is recorded if the peer records it, the trace belongs to this node's share and the peer is
// within its allowance. Else nothing beneath it is either.
func (t *Tracer) Serve(ctx context.Context, from peer.ID, name string) (context.Context, trace.Span) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return ctx, none
	}
	if t == nil || !sc.IsSampled() || !t.share(sc.TraceID()) || !t.peers.Allow(from, time.Now()) {
		return trace.ContextWithSpan(ctx, none), none
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	SetPeer(span, from)
	return ctx, span
}

// Start begins a span beneath the one in ctx, if that is recorded.
func Start(ctx context.Context, name string) (context.Context, trace.Span) {
	return start(ctx, name, trace.SpanKindInternal)
}

// Call is Start for a request to another peer.
func Call(ctx context.Context, name string, to peer.ID) (context.Context, trace.Span) {
	ctx, span := start(ctx, name, trace.SpanKindClient)
	SetPeer(span, to)
	return ctx, span
}

func start(ctx context.Context, name string, kind trace.SpanKind, more ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !recorded(parent) {
		return ctx, none
	}
	return parent.TracerProvider().Tracer(scope).Start(ctx, name, append(more, trace.WithSpanKind(kind))...)
}

// recorded tells whether a span of this node is recorded, or was until it ended: what began beneath it may go on.
func recorded(span trace.Span) bool {
	sc := span.SpanContext()
	return sc.IsSampled() && !sc.IsRemote()
}

// SetPeer says which peer a span has to do with.
func SetPeer(span trace.Span, p peer.ID) {
	if span.IsRecording() {
		span.SetAttributes(attribute.String("moot.peer", p.String()))
	}
}

// Carry returns to, beneath the span in from: for what goes on when from is over.
func Carry(to, from context.Context) context.Context {
	if span := trace.SpanFromContext(from); recorded(span) {
		return trace.ContextWithSpan(to, span)
	}
	return to
}

// End ends a span, with the kind of *err if that is an error. Its text is left out: it may hold keys and what other peers say. It is for defer.
func End(span trace.Span, err *error) {
	if span.IsRecording() && *err != nil {
		span.SetStatus(codes.Error, fault.KindOf(*err).String())
	}
	span.End()
}
