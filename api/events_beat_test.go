package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// timedWatch tells an event at each of its times.
type timedWatch struct {
	at []time.Time
	n  int
}

func (w *timedWatch) Next(ctx context.Context) (v1.Event, error) {
	wait := time.Duration(1 << 62)
	if w.n < len(w.at) {
		wait = time.Until(w.at[w.n])
	}
	select {
	case <-time.After(wait):
		w.n++
		return v1.Event{Event: v1.EventChange, Key: "k"}, nil
	case <-ctx.Done():
		return v1.Event{}, ctx.Err()
	}
}

func (w *timedWatch) Cursor() string { return strings.Repeat("c", w.n) }
func (w *timedWatch) Close() error   { return nil }

// TestCursorsAreToldInTime: with the first event after a while, a second after the last of a burst, and every 15 seconds.
func TestCursorsAreToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := &timedWatch{}
		for _, ms := range []time.Duration{100, 200, 20_000, 20_100, 20_200} {
			w.at = append(w.at, start.Add(ms*time.Millisecond))
		}
		rec := httptest.NewRecorder()
		f := &flow{w: rec, control: http.NewResponseController(rec), contentType: v1.EventsType}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		e := eventAnswer[v1.Event]{flow: f, source: w, name: func(e *v1.Event) string { return e.Event }}
		if err := e.run(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		const (
			event = "event: change\n"
			data  = "data: {\"event\":\"change\",\"key\":\"k\"}\n\n"
		)
		want := "retry: 1000\nid: \n\n" + event + data + event + data + ": beat\nid: cc\n\n" + // 0.1, 0.2, 1 s
			": beat\nid: cc\n\n" + event + "id: ccc\n" + data + event + data + event + data + ": beat\nid: ccccc\n\n" + // 16, 20, 20.1, 20.2, 21 s
			": beat\nid: ccccc\n\n" // 36 s
		if got := rec.Body.String(); got != want {
			t.Errorf("sent\n%s\nwant\n%s", got, want)
		}
	})
}
