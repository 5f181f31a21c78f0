// Package otlptest has a collector for tests: it takes spans by OTLP over HTTP and keeps them.
package otlptest

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// maxBody bounds a request, in bytes.
const maxBody = 16 << 20

// A Span is one that came.
type Span struct {
	Name, Trace, ID, Parent string // ids in hexadecimal; Parent is empty for none
	Service                 string // service.instance.id of who sent it
	Failed                  bool
	Kind                    traces.Span_SpanKind
	Attributes              map[string]string
}

// A Collector is an http.Handler that takes spans. Its zero value is ready.
type Collector struct {
	mu    sync.Mutex
	spans []Span        // guarded by mu
	more  chan struct{} // guarded by mu; closed and replaced when spans come
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "no such thing", http.StatusNotFound)
		return
	}
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBody))
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(data, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.add(&request)
	answer, _ := proto.Marshal(&collector.ExportTraceServiceResponse{})
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Write(answer)
}

func (c *Collector) add(request *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range request.ResourceSpans {
		service := texts(r.GetResource().GetAttributes())["service.instance.id"]
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				c.spans = append(c.spans, Span{
					Name: span.Name, Trace: hex.EncodeToString(span.TraceId), ID: hex.EncodeToString(span.SpanId), Parent: hex.EncodeToString(span.ParentSpanId), Service: service,
					Failed: span.GetStatus().GetCode() == traces.Status_STATUS_CODE_ERROR, Kind: span.Kind, Attributes: texts(span.Attributes),
				})
			}
		}
	}
	if c.more != nil {
		close(c.more)
		c.more = nil
	}
}

func texts(list []*common.KeyValue) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			m[a.Key] = v.StringValue
		default:
			m[a.Key] = a.GetValue().String()
		}
	}
	return m
}

// Spans returns all that came.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Await waits until enough says so of all that came, and returns that. When ctx ends before, ok is false.
func (c *Collector) Await(ctx context.Context, enough func([]Span) bool) (spans []Span, ok bool) {
	for {
		c.mu.Lock()
		if c.more == nil {
			c.more = make(chan struct{})
		}
		more := c.more
		c.mu.Unlock()
		if spans = c.Spans(); enough(spans) {
			return spans, true
		}
		select {
		case <-more:
		case <-ctx.Done():
			return spans, false
		}
	}
}
