package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/internal/logtest"
	"github.com/folkmoot/folkmoot/internal/tracing"
)

// TestTracedRequests looks which requests are recorded, beneath which span, and by what name.
func TestTracedRequests(t *testing.T) {
	kept := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(kept), sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	backend := apitest.NewBackend(nil)
	seen := ""
	backend.Intercept(func(ctx context.Context, _ string) error {
		seen = trace.SpanContextFromContext(ctx).TraceID().String()
		return nil
	})
	var log logtest.Buffer
	s := serve(t, api.Config{
		Backend: backend, Tracer: tracing.New(provider, func(trace.TraceID) bool { return true }),
		Logger: slog.New(tracing.LogHandler(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
	})
	const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	parent := "Traceparent: 00-" + id + "-" + span
	for _, c := range []struct {
		method, path string
		headers      []string
		name         string // of the span; empty: there is none
		parent       string
	}{
		{"GET", "/v1/records/secret", []string{parent + "-01"}, "GET /v1/records/{key}", span},
		{"GET", "/v1/records/secret?consistency=one", nil, "GET /v1/records/{key}", ""},
		{"GET", "/v1/node", []string{parent + "-00"}, "", ""},
		{"GET", "/v1/node", []string{parent}, "GET /v1/node", ""},
		{"GET", "/v1/node", []string{parent + "-01", parent + "-01"}, "GET /v1/node", ""},
		{"GET", "/no/such/secret", nil, "GET none", ""},
		{"BREW", "/v1/node", []string{"Content-Length: 0"}, "other none", ""},
		{"GET", "/livez", []string{parent + "-01"}, "", ""},
		{"GET", "/v1/node", []string{parent + "-01", "Sec-Fetch-Site: cross-site"}, "", ""}, // refused
	} {
		before := len(kept.Ended())
		seen = ""
		ask(t, s, c.method, c.path, c.headers...)
		spans := kept.Ended()[before:]
		what := fmt.Sprint(c.method, " ", c.path, c.headers)
		if c.name == "" {
			if len(spans) > 0 {
				t.Errorf("%s: recorded as %s", what, spans[0].Name())
			}
			continue
		}
		if len(spans) != 1 || spans[0].Name() != c.name || spans[0].SpanKind() != trace.SpanKindServer {
			t.Errorf("%s: %d spans, want one by the name of %q", what, len(spans), c.name)
			continue
		}
		got := spans[0]
		switch {
		case c.parent != "" && (got.Parent().SpanID().String() != c.parent || got.SpanContext().TraceID().String() != id):
			t.Errorf("%s: beneath %s of %s", what, got.Parent().SpanID(), got.SpanContext().TraceID())
		case c.parent == "" && (got.Parent().IsValid() || got.SpanContext().TraceID().String() == id):
			t.Errorf("%s: beneath %s, which is nothing to be believed", what, got.Parent().SpanID())
		}
		if seen != "" && seen != got.SpanContext().TraceID().String() {
			t.Errorf("%s: the backend works beneath %s", what, seen)
		}
		if text := fmt.Sprint(got.Name(), got.Attributes()); strings.Contains(text, "secret") {
			t.Errorf("%s: told %s", what, text)
		}
		if !strings.Contains(log.String(), "trace_id="+got.SpanContext().TraceID().String()) {
			t.Errorf("%s: no entry in the log bears its trace", what)
		}
	}
	backend.Intercept(func(context.Context, string) error { panic("of a test") })
	before := len(kept.Ended())
	ask(t, s, "GET", "/v1/node")
	if spans := kept.Ended()[before:]; len(spans) != 1 || spans[0].Status().Code != codes.Error {
		t.Errorf("a request that panicked: %+v", spans)
	}
	if panicked := log.String()[strings.LastIndex(log.String(), "panicked"):]; !strings.Contains(panicked, "trace_id=") {
		t.Errorf("the entry of the panic bears no trace: %.200s", panicked)
	}
}
