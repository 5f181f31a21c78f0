package node_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/internal/logtest"
	"github.com/folkmoot/folkmoot/internal/tracing/otlp/otlptest"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

// collect starts a collector of spans, which are sent as soon as they end.
func collect(t *testing.T) (*otlptest.Collector, node.TraceConfig) {
	t.Helper()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	got := new(otlptest.Collector)
	server := httptest.NewServer(got)
	t.Cleanup(server.Close)
	return got, node.TraceConfig{To: server.URL}
}

// traceOf returns the spans of the trace that has a span of a name.
func traceOf(spans []otlptest.Span, name string) (trace []otlptest.Span) {
	i := slices.IndexFunc(spans, func(s otlptest.Span) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(spans), func(s otlptest.Span) bool { return s.Trace != spans[i].Trace })
}

func named(spans []otlptest.Span, name string) []otlptest.Span {
	return slices.DeleteFunc(slices.Clone(spans), func(s otlptest.Span) bool { return s.Name != name })
}

// above tells the names of the spans above one, the next first.
func above(spans []otlptest.Span, s otlptest.Span) (names []string) {
	for {
		i := slices.IndexFunc(spans, func(other otlptest.Span) bool { return other.ID == s.Parent })
		if i < 0 {
			return names
		}
		s = spans[i]
		names = append(names, s.Name)
	}
}

// TestOneTraceOfAWrite: a write at one of three nodes is one trace with the work of all of them, and so is a read; a node that takes no part in traces keeps its copy all the same.
func TestOneTraceOfAWrite(t *testing.T) {
	got, traces := collect(t)
	var log logtest.Buffer
	cfg := func(n ...*node.Node) node.Config {
		c := loopback(t.TempDir())
		for _, one := range n {
			c.Bootstrap = append(c.Bootstrap, one.Addrs()...)
		}
		c.Trace = traces
		return c
	}
	first, _ := start(t, cfg())
	coordinator := cfg(first)
	coordinator.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	second, _ := start(t, coordinator)
	third, _ := start(t, cfg(first))
	silent := cfg(first)
	silent.Trace = node.TraceConfig{}
	fourth, _ := start(t, silent)
	all := []*node.Node{first, second, third, fourth}
	for _, n := range all {
		untilAlive(t, n, len(all))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := clientOf(t, second)
	w, err := c.PutRecord(ctx, "greeting", []byte("hello"), client.PutOptions{Consistency: "all"})
	if err != nil || w.Copies.Stored != 4 {
		t.Fatalf("%+v, %v", w, err)
	}
	const put, get = "PUT /v1/records/{key}", "GET /v1/records/{key}"
	spans, ok := got.Await(ctx, func(s []otlptest.Span) bool {
		return len(named(traceOf(s, put), "commit")) >= 3 && len(traceOf(s, put)) >= 11
	})
	trace := traceOf(spans, put)
	if !ok {
		t.Fatalf("the spans of the write: %+v", trace)
	}
	if len(named(spans, put)) != 1 || len(named(trace, "put")) != 1 || len(named(trace, "call put")) != 3 {
		t.Errorf("%d requests, %d writes, %d calls", len(named(spans, put)), len(named(trace, "put")), len(named(trace, "call put")))
	}
	at := map[string][]string{}
	for _, s := range named(trace, "commit") {
		at[s.Service] = above(trace, s)
	}
	for n, want := range map[*node.Node][]string{
		second: {"serve put", "put", put}, first: {"serve put", "call put", "put", put}, third: {"serve put", "call put", "put", put}, fourth: nil,
	} {
		if got := at[n.ID().String()]; !slices.Equal(got, want) {
			t.Errorf("above the commit at %s: %q, want %q", n.ID(), got, want)
		}
	}
	if strings.Contains(strings.Join(attributes(trace), " "), "greeting") {
		t.Errorf("the key is told: %q", attributes(trace))
	}
	wantLogged(t, strings.Split(log.String(), "\n"), trace[0].Trace)

	if _, err := c.GetRecord(ctx, "greeting", client.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if spans, ok := got.Await(ctx, func(s []otlptest.Span) bool { return len(traceOf(s, get)) >= 4 }); !ok || len(named(traceOf(spans, get), "get")) != 1 {
		t.Errorf("the spans of the read: %+v", traceOf(spans, get))
	}
}

func attributes(spans []otlptest.Span) (all []string) {
	for _, s := range spans {
		for name, value := range s.Attributes {
			all = append(all, name+"="+value)
		}
	}
	return all
}

// wantLogged fails the test unless the entry of the write's request, and no other request's, bears its trace.
func wantLogged(t *testing.T, lines []string, trace string) {
	t.Helper()
	found := 0
	for _, line := range lines {
		if strings.Contains(line, trace) {
			found++
			if !strings.Contains(line, `"msg":"request"`) || !strings.Contains(line, "/v1/records/greeting") {
				t.Error(line)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d entries bear the trace, want 1", found)
	}
}

// TestOneTraceOfATransaction follows one from the request to the block that it came into, and in a trace that has its id over both nodes.
func TestOneTraceOfATransaction(t *testing.T) {
	got, traces := collect(t)
	operator, ann := newSignatory(t), newSignatory(t)
	founder := loopback(t.TempDir())
	founder.Network, founder.Trace = "", traces
	genesis := found(t, founder.Home, operator.id)
	first, _ := start(t, founder)
	follower := loopback(t.TempDir(), first.Addrs()...)
	follower.Network, follower.Trace = "", traces
	if _, err := node.JoinHome(follower.Home, genesis); err != nil {
		t.Fatal(err)
	}
	second, _ := start(t, follower)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := clientOf(t, second)
	eventuallyLedger(ctx, t, "the follower keeps the ledger with the founder", func() bool {
		l, err := c.Ledger(ctx)
		return err == nil && l.Peers == 1 && l.Height > 0
	})
	eur := ledger.AssetID{Code: "EUR", Issuer: ann.id}
	done, err := c.SubmitTransaction(ctx, ann.sign(t, genesis.ID(), &ledger.DefineAsset{Asset: eur, Scale: 2}), v1.SubmitOptions{})
	if err != nil || !done.Applied {
		t.Fatalf("%+v, %v", done, err)
	}
	const request = "POST /v1/ledger/transactions"
	spans, ok := got.Await(ctx, func(s []otlptest.Span) bool {
		return len(named(traceOf(s, request), "block")) > 0 && len(traceOf(s, request)) >= 5
	})
	trace := traceOf(spans, request)
	if !ok {
		t.Fatalf("the spans: %+v", trace)
	}
	for _, stage := range []string{"submit", "gather", "hand over", "block"} {
		list := named(trace, stage)
		if len(list) != 1 || !slices.Equal(above(trace, list[0]), []string{request}) || list[0].Failed {
			t.Errorf("%s: %+v", stage, list)
		}
	}
	if in := named(trace, "block")[0].Attributes; !strings.Contains(in["moot.ledger.height"], strconv.FormatInt(done.Height, 10)) {
		t.Errorf("in a block: %v, want height %d", in, done.Height)
	}
	if of := named(trace, "submit")[0].Attributes["moot.ledger.transaction"]; of != done.ID {
		t.Errorf("of the transaction %s, want %s", of, done.ID)
	}
	wantSeen(ctx, t, got, done.ID, done.Height, first, second)
}

// wantSeen fails the test unless nodes tell, in the trace of a transaction's id, that they checked it, and that it came into a block.
func wantSeen(ctx context.Context, t *testing.T, got *otlptest.Collector, id string, height int64, nodes ...*node.Node) {
	t.Helper()
	const name = "transaction"
	spans, ok := got.Await(ctx, func(s []otlptest.Span) bool { return len(named(s, name)) >= len(nodes) })
	trace := traceOf(spans, name)
	if !ok || len(trace) != 2*len(nodes) {
		t.Fatalf("the spans of %s: %+v", id, trace)
	}
	for _, n := range nodes {
		i := slices.IndexFunc(trace, func(s otlptest.Span) bool { return s.Name == name && s.Service == n.ID().String() })
		if i < 0 {
			t.Fatalf("%s tells nothing of %s: %+v", n.ID(), id, trace)
		}
		s := trace[i]
		if s.Trace != id[:32] || s.Parent != "" || s.Failed || s.Attributes["moot.ledger.transaction"] != id || !strings.Contains(s.Attributes["moot.ledger.height"], strconv.FormatInt(height, 10)) {
			t.Errorf("%+v, want trace %s and height %d", s, id[:32], height)
		}
		if !slices.ContainsFunc(trace, func(c otlptest.Span) bool { return c.Name == "check" && c.Parent == s.ID }) {
			t.Errorf("%s tells of no check", n.ID())
		}
	}
}
