package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	eventsPath = "/v1/events"
	// eventSilence is how long a stream of events may be silent; a node tells its cursor every 15 seconds.
	eventSilence = 45 * time.Second
	// maxEventLine is far above the largest value in JSON.
	maxEventLine = 8 << 20
	// minRetry and maxRetry bound the pause before a stream that broke off is taken up again.
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// WatchOptions say what to watch.
type WatchOptions = v1.WatchOptions

// errStopped ends a stream whose reader wants no more.
var errStopped = errors.New("stopped")

// Events yields what changes, as v1.Event says, each event with the newest cursor; the first says no more than from where it is watched. A stream that breaks off is taken up again where it was: its error, of kind
// fault.Unavailable, is yielded, and the watch goes on if the caller does. Every other error ends it.
func (c *Client) Events(ctx context.Context, opts WatchOptions) iter.Seq2[v1.Event, error] {
	patient := *c
	patient.timeout = max(c.timeout, eventSilence)
	return func(yield func(v1.Event, error) bool) {
		resume(ctx, yield, func(heard func()) error {
			return patient.watchOnce(ctx, opts, func(e v1.Event) bool {
				heard()
				opts.Cursor = e.Cursor
				return yield(e, nil)
			})
		})
	}
}

// resume has once read a stream, and read it again when it breaks off: its error, of kind fault.Unavailable, is yielded, and the stream is taken up if the caller goes on, after a pause that is the longer the more often nothing was
// heard of it. Every other error ends it.
func resume[T any](ctx context.Context, yield func(T, error) bool, once func(heard func()) error) {
	var none T
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		err := once(func() { pause = minRetry })
		if errors.Is(err, errStopped) || !yield(none, err) || ctx.Err() != nil || fault.KindOf(err) != fault.Unavailable || !sleep(ctx, pause) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// watchOnce reads one stream of events. It always returns an error.
func (c *Client) watchOnce(ctx context.Context, opts WatchOptions, take func(v1.Event) bool) error {
	query := url.Values{}
	if opts.Prefix != "" {
		query.Set("prefix", opts.Prefix)
	}
	if opts.Values {
		query.Set("values", "true")
	}
	return c.streamEvents(ctx, call{path: eventsPath, query: query}, opts.Cursor, func(data []byte, cursor string) error {
		e := v1.Event{Event: v1.EventCursor}
		if len(data) > 0 {
			if err := json.Unmarshal(data, &e); err != nil {
				return c.notADocument(err)
			}
		}
		if e.Cursor = cursor; !take(e) {
			return errStopped
		}
		return nil
	})
}

// streamEvents reads one stream of events from a cursor on; empty: from its beginning. take gets the data of each event with the newest cursor, or a newer cursor alone. It always returns an error.
func (c *Client) streamEvents(ctx context.Context, what call, cursor string, take func(data []byte, cursor string) error) error {
	what.method, what.accept, what.header = http.MethodGet, v1.EventsType, http.Header{}
	if cursor != "" {
		what.header.Set("Last-Event-ID", cursor)
	}
	return c.stream(ctx, what, func(body io.Reader) error {
		s := eventStream{client: c, cursor: cursor, take: take}
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxEventLine)
		for lines.Scan() {
			if err := s.line(lines.Bytes()); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "%s ended the stream of events", c.URL())
	})
}

// eventStream reads server-sent events (HTML standard, section 9.2.6).
type eventStream struct {
	client *Client
	cursor string
	marked bool // the block has an id
	data   []byte
	take   func(data []byte, cursor string) error
}

func (s *eventStream) line(line []byte) error {
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch {
	case len(line) == 0:
		return s.dispatch()
	case string(field) == "id":
		if len(value) > v1.MaxCursor {
			return fault.New(fault.Internal, "%s sent a cursor of %d bytes", s.client.URL(), len(value))
		}
		s.cursor, s.marked = string(value), true
	case string(field) == "data":
		if len(s.data)+len(value) > maxEventLine {
			return fault.New(fault.TooLarge, "%s sent an event of more than %d bytes", s.client.URL(), maxEventLine)
		}
		s.data = append(append(s.data, value...), '\n')
	}
	return nil // comments, and fields that say nothing new
}

// dispatch ends a block.
func (s *eventStream) dispatch() error {
	if len(s.data) == 0 && !s.marked {
		return nil
	}
	data := s.data
	s.data, s.marked = s.data[:0], false
	return s.take(data, s.cursor)
}
