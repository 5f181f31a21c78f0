package apitest

import (
	"context"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// watchPatience bounds the wait for an event on a machine that is busy.
const watchPatience = 30 * time.Second

func startWatch(t *testing.T, b api.Backend, opts api.WatchOptions) api.Watch {
	t.Helper()
	w, err := b.Watch(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// nextChange returns the next change; whether peers are heard does not matter here.
func nextChange(t *testing.T, w api.Watch) v1.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchPatience)
	defer cancel()
	for {
		e, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if e.Event == v1.EventChange {
			return e
		}
	}
}

// wantNoChange takes events until there are none; whether peers are heard does not matter here.
func wantNoChange(t *testing.T, w api.Watch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for {
		e, err := w.Next(ctx)
		if err == nil && e.Event != v1.EventChange && e.Event != v1.EventLost {
			continue
		}
		if err != context.DeadlineExceeded {
			t.Errorf("next without a change: %+v, %v", e, err)
		}
		return
	}
}

func testWatch(t *testing.T, b api.Backend) {
	w := startWatch(t, b, api.WatchOptions{Prefix: "a/", Values: true})
	for _, key := range []string{"b/1", "a/1"} {
		if _, err := b.PutRecord(t.Context(), key, []byte("\xffvalue"), api.PutOptions{TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	rec, err := b.GetRecord(t.Context(), "a/1", api.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e := nextChange(t, w)
	if e.Key != "a/1" || e.Version != rec.Version || e.Author != rec.Author || e.Deleted || e.Size != 6 || string(e.Bytes()) != "\xffvalue" ||
		!e.Expires.Equal(rec.Expires) {
		t.Errorf("event %+v, record %+v", e, rec)
	}
	deleted, err := b.DeleteRecord(t.Context(), "a/1", api.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if e := nextChange(t, w); e.Key != "a/1" || e.Version != deleted.Version || !e.Deleted || e.Bytes() != nil {
		t.Errorf("event %+v, deletion %+v", e, deleted)
	}

	wantNoChange(t, w)
	cursor := w.Cursor()
	if len(cursor) > v1.MaxCursor {
		t.Errorf("cursor of %d bytes", len(cursor))
	}
	w.Close()
	if _, err := w.Next(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("next of a closed watch: %v", err)
	}

	if _, err := b.PutRecord(t.Context(), "a/2", nil, api.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	w = startWatch(t, b, api.WatchOptions{Prefix: "a/", Cursor: cursor})
	for e = nextChange(t, w); e.Key == "a/1"; e = nextChange(t, w) { // may be repeated
		if e.Version != deleted.Version {
			t.Errorf("went back: %+v", e)
		}
	}
	if e.Key != "a/2" || e.Value != nil || e.Size != 0 {
		t.Errorf("event %+v", e)
	}
	_, err = b.Watch(t.Context(), api.WatchOptions{Cursor: "no cursor!"})
	wantKind(t, "bad cursor", err, fault.Invalid)
}
