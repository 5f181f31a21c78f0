package client_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// pulling is a client whose events are taken one by one.
type pulling struct{ *client.Client }

// Watch implements api.Backend.
func (p pulling) Watch(ctx context.Context, opts api.WatchOptions) (api.Watch, error) {
	return pull(ctx, func(e *v1.Event) (string, bool) { return e.Cursor, e.Event == v1.EventCursor }, func(ctx context.Context) iter.Seq2[v1.Event, error] { return p.Events(ctx, opts) })
}

// WatchNetwork implements api.Backend.
func (p pulling) WatchNetwork(ctx context.Context, cursor string) (api.NetworkWatch, error) {
	return pull(ctx, func(e *v1.NetworkEvent) (string, bool) { return e.Cursor, e.Event == v1.NetworkCursor }, func(ctx context.Context) iter.Seq2[v1.NetworkEvent, error] { return p.NetworkEvents(ctx, cursor) })
}

// pulled is a stream whose events are taken one by one.
type pulled[E any] struct {
	events chan E
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // set before ended is closed
	// cursorOf returns the cursor of an event, and whether it says no more.
	cursorOf func(*E) (cursor string, alone bool)
	cursor   string
}

// pull begins a stream, whose first event says no more than that it is watched.
func pull[E any](ctx context.Context, cursorOf func(*E) (string, bool), stream func(context.Context) iter.Seq2[E, error]) (*pulled[E], error) {
	w := &pulled[E]{events: make(chan E), ended: make(chan struct{}), cursorOf: cursorOf}
	ctx, w.cancel = context.WithCancel(ctx)
	go func() {
		defer close(w.ended)
		for e, err := range stream(ctx) {
			if w.err = err; err != nil {
				return
			}
			select {
			case w.events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	select {
	case e := <-w.events:
		w.cursor, _ = cursorOf(&e)
		return w, nil
	case <-w.ended:
		return nil, w.err
	}
}

func (w *pulled[E]) Next(ctx context.Context) (none E, err error) {
	for {
		select {
		case e := <-w.events:
			alone := false
			if w.cursor, alone = w.cursorOf(&e); !alone {
				return e, nil
			}
		case <-ctx.Done():
			return none, ctx.Err()
		case <-w.ended:
			return none, fault.New(fault.Unavailable, "ended: %v", w.err)
		}
	}
}

func (w *pulled[E]) Cursor() string { return w.cursor }

func (w *pulled[E]) Close() error {
	w.cancel()
	<-w.ended
	return nil
}

// TestEventsGoOn although every answer is cut off after two writes: nothing is missing, and the error in between is told.
func TestEventsGoOn(t *testing.T) {
	backend := apitest.NewBackend(nil)
	server := serve(t, api.Config{Backend: backend})
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		req, err := http.NewRequestWithContext(r.Context(), r.Method, server+r.URL.String(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Last-Event-ID", r.Header.Get("Last-Event-ID"))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		part := make([]byte, 4096)
		for range 2 {
			n, _ := resp.Body.Read(part)
			w.Write(part[:n])
			w.(http.Flusher).Flush()
		}
	}))
	defer proxy.Close()
	c, err := client.New(proxy.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(n int) {
		if _, err := backend.PutRecord(t.Context(), fmt.Sprint("key", n), []byte("v"), api.PutOptions{}); err != nil {
			t.Error(err)
		}
	}
	var keys []string
	broken := 0
	for e, err := range c.Events(t.Context(), client.WatchOptions{}) {
		switch {
		case err != nil:
			wantKind(t, "broken off", err, fault.Unavailable)
			broken++
			put(len(keys)) // while nobody listens
			continue
		case e.Event == v1.EventChange && !slices.Contains(keys, e.Key):
			keys = append(keys, e.Key)
		case e.Event == v1.EventCursor && broken == 0:
			put(0)
		}
		if len(keys) == 5 {
			break
		}
	}
	if !slices.Equal(keys, []string{"key0", "key1", "key2", "key3", "key4"}) || broken < 2 || asked[0] != "" || asked[1] == "" {
		t.Errorf("keys %q, broken off %d times, resumed at %q", keys, broken, asked)
	}
}

func TestEventsEnd(t *testing.T) {
	c := newClient(t, serve(t, api.Config{Backend: apitest.NewBackend(nil)}), client.Options{})
	for _, err := range c.Events(t.Context(), client.WatchOptions{Cursor: "no cursor"}) {
		wantKind(t, "bad cursor", err, fault.Invalid)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range c.Events(ctx, client.WatchOptions{}) {
		cancel()
		if n++; n == 2 && err == nil {
			t.Error("goes on after its context is over")
		}
	}
	if n != 2 {
		t.Errorf("%d events", n)
	}
}

// TestEventsFromElsewhere reads what other servers may send.
func TestEventsFromElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []v1.Event
		kind fault.Kind
	}{
		"every form": {
			"\ufeff: comment\n\nretry: 5\n\ndata:{\"event\":\"change\",\ndata: \"key\":\"k\"}\nid:c1\n\nid: c2\n\nevent: lost\ndata: {\"event\":\"lost\"}\n\ndata: {\"cut off",
			[]v1.Event{{Event: "change", Key: "k", Cursor: "c1"}, {Event: "cursor", Cursor: "c2"}, {Event: "lost", Cursor: "c2"}}, fault.Unavailable,
		},
		"no document":   {"data: hello\n\n", nil, fault.Internal},
		"endless id":    {"id: " + strings.Repeat("x", v1.MaxCursor+1) + "\n\n", nil, fault.Internal},
		"endless event": {strings.Repeat("data: "+strings.Repeat("x", 1<<20)+"\n", 9), nil, fault.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.body) }))
			defer server.Close()
			client, err := client.New(server.URL, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []v1.Event
			for e, err := range client.Events(t.Context(), v1.WatchOptions{}) {
				if err != nil {
					wantKind(t, name, err, c.kind)
					break
				}
				got = append(got, e)
			}
			if !slices.EqualFunc(got, c.want, func(a, b v1.Event) bool { return a.Event == b.Event && a.Key == b.Key && a.Cursor == b.Cursor }) {
				t.Errorf("events %+v", got)
			}
		})
	}
}

func wantKind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != want {
		t.Errorf("%s: %v (%s), want %s", what, err, fault.KindOf(err), want)
	}
}
