package tracing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/fault"
)

const sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParents(t *testing.T) {
	sc, ok := ParseParent(sampled)
	if !ok || sc.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || sc.SpanID().String() != "b7ad6b7169203331" || !sc.IsSampled() || !sc.IsRemote() {
		t.Fatalf("%+v, %t", sc, ok)
	}
	if got := AppendParent(nil, sc); string(got) != sampled || len(got) != ParentSize {
		t.Errorf("written %q", got)
	}
	for text, wantSampled := range map[string]bool{sampled[:53] + "00": false, sampled[:53] + "03": true, sampled[:53] + "fe": false} {
		if sc, ok := ParseParent([]byte(text)); !ok || sc.IsSampled() != wantSampled || sc.TraceFlags()&^trace.FlagsSampled != 0 {
			t.Errorf("%s: %+v, %t", text, sc, ok)
		}
	}
	for _, text := range []string{
		"", sampled[:54], sampled + "-", sampled + "0", "01" + sampled[2:], "ff" + sampled[2:], "0x" + sampled[2:], strings.ToUpper(sampled), " " + sampled[1:],
		strings.Replace(sampled, "0af7651916cd43dd8448eb211c80319c", strings.Repeat("0", 32), 1), strings.Replace(sampled, "b7ad6b7169203331", strings.Repeat("0", 16), 1),
		strings.ReplaceAll(sampled, "-", "_"), sampled[:53] + "0g", sampled[:53] + "0\x00", strings.Replace(sampled, "0af", "0ä", 1),
	} {
		if sc, ok := ParseParent(text); ok {
			t.Errorf("%q: taken for %+v", text, sc)
		}
	}
}

func FuzzParseParent(f *testing.F) {
	f.Add([]byte(sampled))
	f.Add([]byte(sampled[:53] + "ff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		sc, ok := ParseParent(data)
		if fromText, okText := ParseParent(string(data)); ok != okText || !sc.Equal(fromText) {
			t.Fatalf("bytes %+v, text %+v", sc, fromText)
		}
		if !ok {
			return
		}
		again, ok := ParseParent(AppendParent(nil, sc))
		if !ok || !again.Equal(sc) || !bytes.Equal(AppendParent(nil, sc)[:flagsAt], data[:flagsAt]) {
			t.Fatalf("%q: %+v, then %+v", data, sc, again)
		}
	})
}

// recorder returns a Tracer of which all is kept that it records, whose share is what share says.
func recorder(t *testing.T, sample float64, share func(trace.TraceID) bool) (*Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	kept := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(kept), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(sample))))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	return New(provider, share), kept
}

func all(trace.TraceID) bool    { return true }
func nobody(trace.TraceID) bool { return false }

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		sample  float64
		parent  string
		records bool
	}{
		{1, "", true}, {0, "", false}, {1, "rubbish", true}, {0, sampled, true}, {1, sampled[:53] + "00", false},
	} {
		tracer, kept := recorder(t, c.sample, all)
		ctx, span := tracer.Request(t.Context(), "GET", c.parent)
		_, below := Start(ctx, "below")
		below.End()
		span.End()
		if got := len(kept.Ended()) == 2; got != c.records {
			t.Errorf("sample %v, parent %q: recorded %d spans", c.sample, c.parent, len(kept.Ended()))
		}
		if c.parent == sampled && kept.Ended()[1].Parent().SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("parent %s", kept.Ended()[1].Parent().SpanID())
		}
	}
}

// TestServing holds what another peer can have recorded here.
func TestServing(t *testing.T) {
	for name, c := range map[string]struct {
		share   func(trace.TraceID) bool
		parent  string
		records bool
	}{
		"of the share":     {all, sampled, true},
		"not of the share": {nobody, sampled, false},
		"not sampled":      {all, sampled[:53] + "00", false},
		"no parent":        {all, "", false},
	} {
		tracer, kept := recorder(t, 1, c.share)
		ctx := t.Context()
		if sc, ok := ParseParent(c.parent); ok {
			ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
		}
		ctx, span := tracer.Serve(ctx, "peer", "serve")
		_, below := Start(ctx, "below")
		below.End()
		span.End()
		if got := len(kept.Ended()) == 2; got != c.records || len(kept.Ended()) == 1 {
			t.Errorf("%s: recorded %d spans", name, len(kept.Ended()))
		}
		if !c.records && trace.SpanContextFromContext(ctx).IsSampled() {
			t.Errorf("%s: the context says that it is recorded", name)
		}
	}
}

func TestEachPeerHasItsAllowance(t *testing.T) {
	tracer, kept := recorder(t, 1, all)
	sc, _ := ParseParent(sampled)
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), sc)
	for range 4 * peerBurst {
		_, span := tracer.Serve(ctx, "greedy", "serve")
		span.End()
	}
	if n := len(kept.Ended()); n < peerBurst || n >= 3*peerBurst {
		t.Errorf("%d of %d recorded, want about %d", n, 4*peerBurst, peerBurst)
	}
	before := len(kept.Ended())
	_, span := tracer.Serve(ctx, peer.ID("other"), "serve")
	span.End()
	if len(kept.Ended()) != before+1 {
		t.Error("another peer has no allowance left")
	}
}

func TestErrorsAreToldByTheirKind(t *testing.T) {
	tracer, kept := recorder(t, 1, all)
	ctx, span := tracer.Request(t.Context(), "GET", "")
	do := func() (err error) {
		_, span := Call(ctx, "call", "peer")
		defer End(span, &err)
		return fault.New(fault.NotFound, "the key secret is not there")
	}
	if err := do(); err == nil {
		t.Fatal("no error")
	}
	span.End()
	status := kept.Ended()[0].Status()
	if status.Code != codes.Error || status.Description != fault.NotFound.String() {
		t.Errorf("status %+v", status)
	}
}

func TestNothingWithoutATracer(t *testing.T) {
	var tracer *Tracer
	ctx, span := tracer.Request(t.Context(), "GET", sampled)
	if span.IsRecording() || trace.SpanContextFromContext(ctx).IsValid() {
		t.Error("recorded")
	}
	sc, _ := ParseParent(sampled)
	if _, span := tracer.Serve(trace.ContextWithRemoteSpanContext(t.Context(), sc), "peer", "serve"); span.IsRecording() {
		t.Error("served and recorded")
	}
	ctx = t.Context()
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := Call(ctx, "call", "peer")
		ctx, below := Start(ctx, "below")
		ctx = Carry(ctx, ctx)
		err := errors.ErrUnsupported
		End(below, &err)
		End(span, &err)
		_ = ctx
	}); n > 0 {
		t.Errorf("%v allocations where nothing is recorded", n)
	}
}

// BenchmarkUnrecorded is what a request that is not recorded costs at one holder: three spans that are none.
func BenchmarkUnrecorded(b *testing.B) {
	ctx := b.Context()
	var err error
	for b.Loop() {
		ctx, put := Start(ctx, "put")
		ctx, call := Call(ctx, "call put", "peer")
		_, commit := Start(ctx, "commit")
		End(commit, &err)
		End(call, &err)
		End(put, &err)
	}
}

func TestLogEntriesBearTheTrace(t *testing.T) {
	tracer, _ := recorder(t, 1, all)
	var out bytes.Buffer
	l := slog.New(LogHandler(slog.NewJSONHandler(&out, nil))).With("part", "x")
	l.InfoContext(t.Context(), "outside")
	if strings.Contains(out.String(), "trace_id") {
		t.Error(out.String())
	}
	out.Reset()
	ctx, span := tracer.Request(t.Context(), "GET", sampled)
	l.InfoContext(ctx, "inside")
	span.End()
	var entry map[string]string
	if err := json.Unmarshal(out.Bytes(), &entry); err != nil {
		t.Fatal(err)
	}
	if entry["trace_id"] != "0af7651916cd43dd8448eb211c80319c" || entry["span_id"] != span.SpanContext().SpanID().String() || entry["part"] != "x" {
		t.Errorf("%v", entry)
	}
}
