package client_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// serve runs a server until the test ends and returns its URL.
func serve(t testing.TB, cfg api.Config) string {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	s, err := api.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s.URL()
}

func newClient(t testing.TB, url string, opts client.Options) *client.Client {
	t.Helper()
	c, err := client.New(url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A client with its events taken one by one is an api.Backend, so that one suite tests both ends.
var _ api.Backend = pulling{}

func TestConforms(t *testing.T) {
	apitest.TestBackend(t, func(t *testing.T) api.Backend {
		return pulling{newClient(t, serve(t, api.Config{Backend: apitest.NewBackend(nil)}), client.Options{})}
	})
}

// TestBehindAPathPrefix is a node behind a proxy that adds a path.
func TestBehindAPathPrefix(t *testing.T) {
	var paths []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.EscapedPath())
		http.Error(w, "no", http.StatusBadGateway)
	}))
	defer proxy.Close()
	c := newClient(t, proxy.URL+"/nodes/1/", client.Options{})
	if _, err := c.GetRecord(t.Context(), "a/../b", client.GetOptions{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(paths, []string{"/nodes/1/v1/records/a%2F..%2Fb"}) {
		t.Errorf("asked for %q", paths)
	}
}

func TestErrorsKeepKindAndText(t *testing.T) {
	backend := apitest.NewBackend(nil)
	c := newClient(t, serve(t, api.Config{Backend: backend}), client.Options{})
	for kind := fault.Internal; kind <= fault.Full; kind++ {
		text := fmt.Sprintf("what failed: %q\n%d %%s", "ä", kind)
		backend.Intercept(func(context.Context, string) error { return fault.New(kind, "%s", text) })
		_, err := c.Node(t.Context())
		if fault.KindOf(err) != kind || err.Error() != text {
			t.Errorf("kind %s: %s: %v", kind, fault.KindOf(err), err)
		}
	}
	backend.Intercept(nil)
	backend.SetReady(errors.New("no quorum of peers yet"))
	if err := c.Ready(t.Context()); fault.KindOf(err) != fault.Unavailable || err.Error() != "no quorum of peers yet" {
		t.Errorf("ready: %v", err)
	}
	backend.SetReady(nil)
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	if err := c.RecordsReady(t.Context()); err != nil {
		t.Errorf("records ready: %v", err)
	}
	backend.SetRecordsReady(errors.New("7 records"))
	if err := c.RecordsReady(t.Context()); fault.KindOf(err) != fault.Unavailable || err.Error() != "7 records" {
		t.Errorf("records ready: %v", err)
	}
	if _, err := c.FindPeer(t.Context(), "", ""); fault.KindOf(err) != fault.Invalid {
		t.Errorf("find nobody: %v", err)
	}
}

func TestToken(t *testing.T) {
	url := serve(t, api.Config{Backend: apitest.NewBackend(nil), Token: "secret"})
	if _, err := newClient(t, url, client.Options{Token: "secret"}).Node(t.Context()); err != nil {
		t.Errorf("with the token: %v", err)
	}
	for _, token := range []string{"", "wrong"} {
		_, err := newClient(t, url, client.Options{Token: token}).Node(t.Context())
		if fault.KindOf(err) != fault.Forbidden || !strings.Contains(err.Error(), "--token-file") {
			t.Errorf("with token %q: %v", token, err)
		}
	}
}

func TestNotRunning(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	_, err = newClient(t, url, client.Options{}).Node(t.Context())
	want := "no node answers at " + url + ": start one with `moot run`"
	if !errors.Is(err, client.ErrNotRunning) || fault.KindOf(err) != fault.Unavailable || err.Error() != want {
		t.Errorf("error %v of kind %s, want %q", err, fault.KindOf(err), want)
	}
}

func TestTimeout(t *testing.T) {
	backend := apitest.NewBackend(nil)
	backend.Intercept(func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	})
	url := serve(t, api.Config{Backend: backend})
	_, err := newClient(t, url, client.Options{Timeout: time.Millisecond}).Node(t.Context())
	if fault.KindOf(err) != fault.Unavailable || errors.Is(err, client.ErrNotRunning) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("after the timeout: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(t, url, client.Options{}).Node(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(notPEM, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url  string
		opts client.Options
	}{
		{"", client.Options{}},
		{"127.0.0.1:7070", client.Options{}},
		{"localhost", client.Options{}},
		{"ftp://localhost", client.Options{}},
		{"http://", client.Options{}},
		{"http://user:password@localhost", client.Options{}},
		{"http://localhost/?x=y", client.Options{}},
		{"http://localhost/#x", client.Options{}},
		{"http://localhost/a%2Fb", client.Options{}},
		{"http://localhost", client.Options{Timeout: -1}},
		{"http://localhost", client.Options{CAFile: notPEM}},
		{"http://localhost", client.Options{CAFile: notPEM + "not"}},
		{"http://localhost", client.Options{CAFile: notPEM, HTTPClient: http.DefaultClient}},
	} {
		if _, err := client.New(c.url, c.opts); fault.KindOf(err) != fault.Invalid {
			t.Errorf("New(%q, %+v): %v", c.url, c.opts, err)
		}
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"id":"x"}`) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	node, err := newClient(t, server.URL, client.Options{CAFile: ca}).Node(t.Context())
	if err != nil || node.ID != "x" {
		t.Errorf("with the authority: %+v, %v", node, err)
	}
	_, err = newClient(t, server.URL, client.Options{}).Node(t.Context())
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("without the authority: %v", err)
	}
	_, err = newClient(t, "http"+strings.TrimPrefix(server.URL, "https"), client.Options{}).Node(t.Context())
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "HTTPS") {
		t.Errorf("without TLS: %v", err)
	}
}

// TestOtherPrograms answers what no node would.
func TestOtherPrograms(t *testing.T) {
	endless := strings.Repeat("x", v1.MaxValue+1)
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    fault.Kind
		text    string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, fault.Internal, "moot node"},
		{"not found", http.NotFound, fault.Invalid, "404"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, fault.Internal, "302"},
		{"a proxy", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no upstream", http.StatusBadGateway) }, fault.Unavailable, "no upstream"},
		{"a bad problem", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", v1.ProblemType)
			w.WriteHeader(404)
			fmt.Fprint(w, "{")
		}, fault.Invalid, "404"},
		{"a kind of tomorrow", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", v1.ProblemType)
			w.WriteHeader(418)
			fmt.Fprint(w, `{"kind":"teapot","detail":"short and stout"}`)
		}, fault.Internal, "short and stout"},
		{"endless bytes", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(v1.HeaderVersion, "1")
			fmt.Fprint(w, endless)
		}, fault.TooLarge, "more than"},
		{"many bytes", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(endless)))
			fmt.Fprint(w, endless)
		}, fault.TooLarge, "1048577 bytes"},
		{"a bad time", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(v1.HeaderVersion, "1")
			w.Header().Set(v1.HeaderExpires, "soon")
		}, fault.Internal, v1.HeaderExpires},
		{"a cut answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "x")
		}, fault.Unavailable, "read the answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			_, err := newClient(t, server.URL, client.Options{}).GetRecord(t.Context(), "k", client.GetOptions{})
			if err == nil || fault.KindOf(err) != c.want || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v of kind %s, want %s with %q", err, fault.KindOf(err), c.want, c.text)
			}
			if _, err := newClient(t, server.URL, client.Options{}).Node(t.Context()); err == nil {
				t.Error("no error for a document")
			}
		})
	}
}

func TestPages(t *testing.T) {
	backend := apitest.NewBackend(nil)
	c := newClient(t, serve(t, api.Config{Backend: backend}), client.Options{})
	for i := range 7 {
		if _, err := c.PutRecord(t.Context(), fmt.Sprint("k", i), nil, client.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	backend.SetMissing(apitest.Other)
	var got []string
	pages := 0
	for page, err := range c.Pages(t.Context(), client.ListOptions{Limit: 3}) {
		if err != nil || page.Complete || !slices.Equal(page.Missing, []string{apitest.Other}) {
			t.Fatalf("page %+v, %v", page, err)
		}
		pages++
		for _, e := range page.Records {
			got = append(got, e.Key)
		}
	}
	if pages != 3 || strings.Join(got, " ") != "k0 k1 k2 k3 k4 k5 k6" {
		t.Errorf("%d pages with %q", pages, got)
	}
	for range c.Pages(t.Context(), client.ListOptions{Limit: 1}) {
		break
	}
	backend.Intercept(func(context.Context, string) error { return fault.New(fault.Unavailable, "no") })
	errs := 0
	for _, err := range c.Pages(t.Context(), client.ListOptions{}) {
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("error %v", err)
		}
		errs++
	}
	if errs != 1 {
		t.Errorf("%d errors, want 1", errs)
	}
}

func TestPagesThatNeverEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"records":[],"cursor":"again","complete":true}`)
	}))
	defer server.Close()
	var errs []error
	for _, err := range newClient(t, server.URL, client.Options{}).Pages(t.Context(), client.ListOptions{}) {
		errs = append(errs, err)
	}
	if len(errs) != 2 || errs[0] != nil || errs[1] == nil {
		t.Errorf("pages ended with %v", errs)
	}
}

// TestConnectionIsReused makes calls of every outcome and counts the connections that the server sees.
func TestConnectionIsReused(t *testing.T) {
	var mu sync.Mutex
	connections := 0 // guarded by mu
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/records/problem":
			w.Header().Set("Content-Type", v1.ProblemType)
			w.WriteHeader(404)
			fmt.Fprint(w, `{"kind":"not-found","detail":"none"}`)
		case "/v1/records/other":
			http.Error(w, strings.Repeat("x", 10_000), 500)
		default:
			w.Header().Set(v1.HeaderVersion, "1")
			fmt.Fprint(w, strings.Repeat("x", v1.MaxValue))
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			defer mu.Unlock()
			connections++
		}
	}
	server.Start()
	defer server.Close()
	c := newClient(t, server.URL, client.Options{})
	for range 5 {
		for key, want := range map[string]fault.Kind{"problem": fault.NotFound, "other": fault.Internal} {
			if _, err := c.GetRecord(t.Context(), key, client.GetOptions{}); err == nil || fault.KindOf(err) != want {
				t.Errorf("%s: %v", key, err)
			}
		}
		if rec, err := c.GetRecord(t.Context(), "value", client.GetOptions{}); err != nil || len(rec.Value) != v1.MaxValue {
			t.Errorf("%d bytes, %v", len(rec.Value), err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if connections != 1 {
		t.Errorf("%d connections for one caller", connections)
	}
}

// FuzzKey sends a key from the client to the backend and back.
func FuzzKey(f *testing.F) {
	backend := apitest.NewBackend(nil)
	c := newClient(f, serve(f, api.Config{Backend: backend}), client.Options{})
	for _, key := range apitest.Keys() {
		f.Add(key)
	}
	for key := range apitest.BadKeys() {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		w, err := c.PutRecord(t.Context(), key, []byte(key), client.PutOptions{})
		_, want := backend.GetRecord(t.Context(), key, client.GetOptions{}) // refuses just the keys that are none
		if kind := fault.KindOf(want); want != nil {
			if err == nil || kind == fault.NotFound || fault.KindOf(err) != kind {
				t.Fatalf("put %q: %v; the backend says %v", key, err, want)
			}
			return
		}
		if err != nil || w.Key != key {
			t.Fatalf("put %q: key %q, %v", key, w.Key, err)
		}
		if rec, err := c.GetRecord(t.Context(), key, client.GetOptions{}); err != nil || rec.Key != key || string(rec.Value) != key || rec.Version != w.Version {
			t.Fatalf("get %q: %+v, %v", key, rec, err)
		}
		page, err := c.ListRecords(t.Context(), client.ListOptions{Prefix: key, Limit: 1})
		if err != nil || len(page.Records) != 1 || page.Records[0].Key != key {
			t.Fatalf("list %q: %+v, %v", key, page, err)
		}
		if _, err := c.DeleteRecord(t.Context(), key, client.PutOptions{}); err != nil {
			t.Fatalf("delete %q: %v", key, err)
		}
		if _, err := backend.GetRecord(t.Context(), key, client.GetOptions{}); fault.KindOf(err) != fault.NotFound {
			t.Fatalf("after the deletion of %q the backend says %v", key, err)
		}
	})
}
