package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// openEvents opens a stream of events. What it returns reads the next block, in lines.
func openEvents(t *testing.T, s *api.Server, query string, headers ...string) (*http.Response, func() []string) {
	t.Helper()
	return openStream(t, s, "/v1/events"+query, headers...)
}

func openStream(t *testing.T, s *api.Server, target string, headers ...string) (*http.Response, func() []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	return resp, func() (block []string) {
		for lines.Scan() && lines.Text() != "" {
			block = append(block, lines.Text())
		}
		return block
	}
}

func TestEvents(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	resp, next := openEvents(t, s, "?prefix=a/&values=true")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if block := next(); len(block) != 2 || block[0] != "retry: 1000" || block[1] != "id: 0" {
		t.Errorf("begins with %q", block)
	}
	put := func(key string) {
		if _, err := backend.PutRecord(t.Context(), key, []byte("line\n"), api.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put("b/1")
	put("a/1")
	block := next()
	var e v1.Event
	if len(block) != 2 || block[0] != "event: change" || json.Unmarshal([]byte(strings.TrimPrefix(block[1], "data: ")), &e) != nil ||
		e.Event != "change" || e.Key != "a/1" || *e.Value != "line\n" || e.Size != 5 {
		t.Errorf("event %q", block)
	}
	if block := next(); len(block) != 2 || block[1] != "id: 2" {
		t.Errorf("cursor %q", block) // a second later
	}
	backend.Tell(v1.Event{Event: v1.EventLost, Detail: "why"})
	if block := strings.Join(next(), "\n"); !strings.HasPrefix(block, "event: lost\n") || !strings.Contains(block, `"detail":"why"`) {
		t.Errorf("event %q", block)
	}

	_, next = openEvents(t, s, "?cursor=3", "Last-Event-ID: 1")
	next()
	if block := strings.Join(next(), "\n"); !strings.Contains(block, `"key":"a/1"`) || strings.Contains(block, "value") {
		t.Errorf("resumed with %q", block)
	}
}

func TestEventsRefused(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	ask(t, s, "GET", "/v1/events?cursor=x").wantProblem(t, http.StatusBadRequest, fault.Invalid, "cursor")
	ask(t, s, "GET", "/v1/events?prefix=%00").wantProblem(t, http.StatusBadRequest, fault.Invalid, "prefix")
	backend.Intercept(func(context.Context, string) error { return fault.New(fault.Unavailable, "no network") })
	ask(t, s, "GET", "/v1/events").wantProblem(t, http.StatusServiceUnavailable, fault.Unavailable, "no network")
	backend.Intercept(nil)
	if a := ask(t, s, "HEAD", "/v1/events"); a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %s %v", a.Status, a.Header)
	}
	for range 64 {
		_, next := openEvents(t, s, "")
		next()
	}
	ask(t, s, "GET", "/v1/events").wantProblem(t, http.StatusServiceUnavailable, fault.Unavailable, "64 watches")
	if a := ask(t, s, "GET", "/v1/node"); a.StatusCode != http.StatusOK {
		t.Errorf("with every watch taken, other requests get %s", a.Status)
	}
}

// TestEventsEndWithTheServer at once: they don't use up its grace.
func TestEventsEndWithTheServer(t *testing.T) {
	s, err := api.NewServer(api.Config{Backend: apitest.NewBackend(nil), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	_, next := openEvents(t, s, "")
	next()
	stop()
	if block := next(); block != nil {
		t.Errorf("ends with %q", block)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// TestEventsEndWithTheWatch: the client is to ask again.
func TestEventsEndWithTheWatch(t *testing.T) {
	s := serve(t, api.Config{Backend: endingBackend{apitest.NewBackend(nil)}})
	_, next := openEvents(t, s, "")
	next()
	if block := next(); block != nil {
		t.Errorf("ends with %q", block)
	}
}

// endingBackend has watches that end at once.
type endingBackend struct{ *apitest.Backend }

func (b endingBackend) Watch(ctx context.Context, opts api.WatchOptions) (api.Watch, error) {
	w, err := b.Backend.Watch(ctx, opts)
	return endedWatch{w}, err
}

type endedWatch struct{ api.Watch }

func (endedWatch) Next(context.Context) (v1.Event, error) {
	return v1.Event{}, errors.New("the store is closed")
}
