package apitest

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// changeLog is everything that changed, for watches. Its fields are guarded by Backend.mu.
type changeLog struct {
	events  []v1.Event    // with their values
	changed chan struct{} // closed at the next one
}

// note needs mu.
func (b *Backend) note(e v1.Event) {
	b.log.events = append(b.log.events, e)
	if b.log.changed != nil {
		close(b.log.changed)
		b.log.changed = nil
	}
}

// noteChange needs mu.
func (b *Backend) noteChange(rec stored) {
	e := v1.Event{
		Event: v1.EventChange, Key: rec.Key, Version: rec.Version, Author: rec.Author, Deleted: rec.deleted,
		Size: int64(len(rec.Value)), Expires: rec.Expires,
	}
	if !rec.deleted {
		e.SetValue(bytes.Clone(rec.Value))
	}
	b.note(e)
}

// Tell makes every watch tell e.
func (b *Backend) Tell(e v1.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(e)
}

// Watch implements api.Backend. Cursors are places in the log.
func (b *Backend) Watch(ctx context.Context, opts api.WatchOptions) (api.Watch, error) {
	if err := b.enter(ctx, "Watch"); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	w := &watch{b: b, opts: opts, next: len(b.log.events)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	if opts.Cursor != "" {
		next, err := strconv.Atoi(opts.Cursor)
		if err != nil || next < 0 || next > len(b.log.events) {
			w.cancel()
			return nil, fault.New(fault.Invalid, "cursor %.40q: want one that a watch gave", opts.Cursor)
		}
		w.next = next
	}
	return w, nil
}

type watch struct {
	b      *Backend
	opts   api.WatchOptions
	ctx    context.Context
	cancel context.CancelFunc
	next   int
}

// Next implements api.Watch.
func (w *watch) Next(ctx context.Context) (v1.Event, error) {
	for {
		e, found, changed := w.take()
		if found {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v1.Event{}, ctx.Err()
		case <-w.ctx.Done():
			return v1.Event{}, fault.New(fault.Unavailable, "the watch has ended")
		}
	}
}

func (w *watch) take() (e v1.Event, found bool, changed <-chan struct{}) {
	b := w.b
	b.mu.Lock()
	defer b.mu.Unlock()
	for w.next < len(b.log.events) {
		e := b.log.events[w.next]
		w.next++
		if e.Event == v1.EventChange && (!strings.HasPrefix(e.Key, w.opts.Prefix) || b.records[e.Key].Version != e.Version) {
			continue // another prefix, or replaced meanwhile
		}
		if !w.opts.Values {
			e.Value, e.ValueBase64 = nil, nil
		}
		return e, true, nil
	}
	if b.log.changed == nil {
		b.log.changed = make(chan struct{})
	}
	return v1.Event{}, false, b.log.changed
}

// Cursor implements api.Watch.
func (w *watch) Cursor() string { return fmt.Sprint(w.next) }

// Close implements api.Watch.
func (w *watch) Close() error {
	w.cancel()
	return nil
}
