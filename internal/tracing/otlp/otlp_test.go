package otlp

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/logtest"
	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/internal/tracing/otlp/otlptest"
)

func open(t *testing.T, cfg Config) *Exporter {
	t.Helper()
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// record records a request with another beneath it.
func record(t *testing.T, e *Exporter, parent string) {
	ctx, span := e.Tracer().Request(t.Context(), "GET", parent)
	_, below := tracing.Start(ctx, "get")
	below.End()
	span.End()
}

func TestSpansReachTheCollector(t *testing.T) {
	var got otlptest.Collector
	server := httptest.NewServer(&got)
	defer server.Close()
	for _, compression := range []string{"none", "gzip"} {
		t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
		e := open(t, Config{To: server.URL, About: map[string]string{"service.instance.id": compression}})
		record(t, e, "")
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		spans := got.Spans()
		if len(spans) < 2 {
			t.Fatalf("%s: %d spans", compression, len(spans))
		}
		below, request := spans[len(spans)-2], spans[len(spans)-1]
		if below.Parent != request.ID || below.Trace != request.Trace || request.Parent != "" || request.Name != "GET" || request.Service != compression {
			t.Errorf("%+v\n%+v", below, request)
		}
	}
}

func TestSamples(t *testing.T) {
	var got otlptest.Collector
	server := httptest.NewServer(&got)
	defer server.Close()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct {
		sample   float64
		least    int
		most     int
		parent   string
		requests int
	}{{0, 40, 40, "", 20}, {1, 40, 40, "", 20}, {-1, 0, 0, "", 20}, {-1, 2, 2, parent, 1}, {0.5, 600, 1400, "", 1000}} {
		before := len(got.Spans())
		e := open(t, Config{To: server.URL, Sample: c.sample})
		for range c.requests {
			record(t, e, c.parent)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(got.Spans()) - before; n < c.least || n > c.most {
			t.Errorf("sample %v, parent %q: %d spans of %d requests, want %d to %d", c.sample, c.parent, n, c.requests, c.least, c.most)
		}
	}
}

func TestFailuresAreToldOnce(t *testing.T) {
	var failing atomic.Bool
	failing.Store(true)
	var got otlptest.Collector
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failing.Load() {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		got.ServeHTTP(w, r)
	}))
	defer server.Close()
	var text logtest.Buffer
	e := open(t, Config{To: server.URL, Logger: slog.New(slog.NewTextHandler(&text, nil))})
	for range 3 {
		record(t, e, "")
		if err := e.provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(text.String(), "can't be sent"); n != 1 {
		t.Errorf("told %d times:\n%s", n, text.String())
	}
	failing.Store(false)
	record(t, e, "")
	if err := e.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "sent again") || len(got.Spans()) != 2 {
		t.Errorf("%d spans, and:\n%s", len(got.Spans()), text.String())
	}
	if c := e.Counts(); c != (Counts{Sent: 2, Failed: 6}) {
		t.Errorf("counted %+v", c)
	}
}

// TestNobodyWaitsForTheCollector has one that never answers: requests go on when the queue is full, and the end comes when flushTime is over.
func TestNobodyWaitsForTheCollector(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
	asked, over := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-over
	}))
	defer server.Close()
	defer close(over)
	var text logtest.Buffer
	e := open(t, Config{To: server.URL, Logger: slog.New(slog.NewTextHandler(&text, nil))})
	e.flush = 20 * time.Millisecond
	for range 1000 {
		record(t, e, "")
	}
	<-asked
	closed := make(chan error)
	go func() { closed <- e.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Close waits for the collector")
	}
	if n := strings.Count(text.String(), "can't be sent"); n != 1 {
		t.Errorf("told %d times:\n%s", n, text.String())
	}
	if c := e.Counts(); c.Sent != 0 || c.Failed < 1 || c.Failed > 8 || c.Failed+c.Dropped != 2000 {
		t.Errorf("counted %+v of 2000 spans, with a queue for 8", c)
	}
}

// TestSpansThatAreNotRecordedAreNotCounted: nothing is sent of them, and nothing is lost.
func TestSpansThatAreNotRecordedAreNotCounted(t *testing.T) {
	e := open(t, Config{To: "http://127.0.0.1:1", Sample: -1})
	record(t, e, "")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if c := e.Counts(); c != (Counts{}) {
		t.Errorf("counted %+v", c)
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, c := range []Config{{To: "collector:4318"}, {To: "ftp://collector"}, {To: "http://"}, {To: "http://a:b@collector"}, {To: "http://collector?x=y"}, {To: "http://collector", Sample: 1.5}} {
		if err := c.Validate(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for to, want := range map[string]string{"http://c:4318": "http://c:4318/v1/traces", "https://c/": "https://c/v1/traces", "http://c/otlp/v1/traces": "http://c/otlp/v1/traces"} {
		if got, err := target(to); err != nil || got != want {
			t.Errorf("%s: %s, %v", to, got, err)
		}
	}
	if err := (&Config{To: "http://collector", Sample: 0.1}).Validate(); err != nil {
		t.Error(err)
	}
}
