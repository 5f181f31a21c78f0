// Package otlp sends spans to a collector by OTLP over HTTP. It does so in the background, from a queue that is bounded: what does not fit is dropped, and nobody waits.
package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
)

const (
	// DefaultSample is the share of traces that is recorded where a Config does not say.
	DefaultSample = 1.0
	// flushTime is how long Close waits for the collector.
	flushTime = 2 * time.Second
	// tracesPath is the collector's where a URL names none.
	tracesPath = "/v1/traces"
	// Bounds of a span; what is over them is left out.
	maxAttributes = 32
	maxEvents     = 32
	maxText       = 256
)

// Config says where spans go.
type Config struct {
	// To is the collector's URL, http or https; without a path it means /v1/traces there.
	To string
	// Sample is the share of traces that is recorded, above 0 to 1; 0 means DefaultSample, less than 0 none but those that callers of the node want recorded.
	Sample float64
	// About is said of the node, beside what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, which win.
	About map[string]string
	// Logger is told when spans can't be sent, and when they can be again.
	Logger *slog.Logger
}

// Validate returns an error of kind fault.Invalid when the configuration can't work.
func (c *Config) Validate() error {
	if _, err := target(c.To); err != nil {
		return err
	}
	if !(c.Sample <= 1) {
		return fault.New(fault.Invalid, "trace sample: %v is not from 0 to 1", c.Sample)
	}
	return nil
}

// target returns the URL of requests.
func target(to string) (string, error) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fault.New(fault.Invalid, "trace to %q: want the URL of a collector such as http://127.0.0.1:4318", to)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	return u.String(), nil
}

// Exporter sends spans until it is closed.
type Exporter struct {
	provider *sdk.TracerProvider
	sender   *sender
	share    sdk.Sampler
	flush    time.Duration // flushTime, but in tests
}

// Open begins to send spans. Headers, certificates, compression and timeouts are those that the variables OTEL_EXPORTER_OTLP_… say, the queue's sizes those of OTEL_BSP_…. It does not wait for the collector.
func Open(cfg Config) (*Exporter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	to, err := target(cfg.To)
	if err != nil {
		return nil, err
	}
	about, err := describe(cfg.About)
	if err != nil {
		return nil, err
	}
	client, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(to))
	if err != nil {
		return nil, fmt.Errorf("trace to %s: %w", to, err)
	}
	if cfg.Sample == 0 {
		cfg.Sample = DefaultSample
	}
	e := &Exporter{sender: newSender(client, to, cfg.Logger), share: sdk.TraceIDRatioBased(cfg.Sample), flush: flushTime}
	limits := sdk.NewSpanLimits()
	limits.AttributeCountLimit, limits.EventCountLimit, limits.LinkCountLimit, limits.AttributeValueLengthLimit = maxAttributes, maxEvents, maxEvents, maxText
	counters := e.sender.counters
	queue := gatekeeper{sdk.NewBatchSpanProcessor(e.sender, sdk.WithMaxQueueSize(int(counters.room))), counters}
	e.provider = sdk.NewTracerProvider(sdk.WithSpanProcessor(queue), sdk.WithSampler(sdk.ParentBased(e.share)), sdk.WithIDGenerator(tracing.IDs{}), sdk.WithResource(about), sdk.WithRawSpanLimits(limits))
	return e, nil
}

func describe(about map[string]string) (*resource.Resource, error) {
	var list []attribute.KeyValue
	for name, value := range about {
		list = append(list, attribute.String(name, value))
	}
	r, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithAttributes(list...), resource.WithFromEnv())
	if err != nil {
		return nil, fault.New(fault.Invalid, "describe the node in traces (OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	return r, nil
}

// Tracer returns what begins spans that are sent. Of the traces that other peers record it takes the share that it takes of its own, by the same rule: nodes with the same share take the same.
func (e *Exporter) Tracer() *tracing.Tracer {
	return tracing.New(e.provider, func(id trace.TraceID) bool {
		return e.share.ShouldSample(sdk.SamplingParameters{ParentContext: context.Background(), TraceID: id}).Decision == sdk.RecordAndSample
	})
}

// Close sends what has ended and waits for that, two seconds at most. What ends later is dropped.
func (e *Exporter) Close() error {
	late := time.AfterFunc(e.flush, e.sender.giveUp)
	defer late.Stop()
	err := e.provider.Shutdown(context.Background()) // its own way of giving up leaves its goroutine behind
	e.sender.giveUp()
	if err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

// A sender sends batches of spans, and tells the log when that begins to fail or to succeed, not each time.
type sender struct {
	next     sdk.SpanExporter
	counters *counters
	to       string
	logger   *slog.Logger
	ctx      context.Context // ends when it gives up
	giveUp   context.CancelFunc

	mu      sync.Mutex
	failing bool // guarded by mu
}

func newSender(next sdk.SpanExporter, to string, logger *slog.Logger) *sender {
	s := &sender{next: next, counters: newCounters(), to: to, logger: logger}
	s.ctx, s.giveUp = context.WithCancel(context.Background())
	return s
}

// ExportSpans implements sdk.SpanExporter. It returns no error: the SDK would write it to standard error.
func (s *sender) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := s.next.ExportSpans(ctx, spans)
	s.counters.leave(len(spans), err)
	s.note(err)
	return nil
}

func (s *sender) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && !s.failing:
		s.logger.Warn("spans can't be sent and are dropped", "to", s.to, "error", err)
	case err == nil && s.failing:
		s.logger.Info("spans are sent again", "to", s.to)
	}
	s.failing = err != nil
}

// Shutdown implements sdk.SpanExporter.
func (s *sender) Shutdown(ctx context.Context) error { return s.next.Shutdown(ctx) }
