package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	eventsPath = "/v1/events"
	// maxWatches bounds the streams of events that are open at once.
	maxWatches = 64
	// eventBeat is how often a quiet stream tells its cursor, and cursorDelay how soon it does after an event.
	eventBeat   = 15 * time.Second
	cursorDelay = time.Second
	// retryAfter is how long browsers wait before they take up a stream that broke off.
	retryAfter = time.Second
)

// EventSource tells what changes.
type EventSource interface {
	// Watch starts to watch records over the whole network. Every change that is acknowledged is told at least once, a key's versions never going back;
	// versions that were replaced meanwhile may be left out. The watch ends with ctx or Close. A cursor that is none, or of another watch, is fault.Invalid.
	Watch(ctx context.Context, opts WatchOptions) (Watch, error)
}

// WatchOptions say what to watch.
type WatchOptions = v1.WatchOptions

// A Watch tells events, to one goroutine.
type Watch interface {
	// Next returns the next event once there is one, without a cursor. It returns ctx's error when ctx is over, and another one when the watch has ended.
	Next(ctx context.Context) (v1.Event, error)
	// Cursor returns from where another watch of the same prefix goes on after the events that Next has returned; it may repeat some.
	Cursor() string
	// Close ends the watch.
	Close() error
}

func (r *routes) eventRoutes() {
	event := r.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[v1.Event](), true, "")
	handle(r, huma.Operation{
		OperationID: "watch-records", Method: http.MethodGet, Path: eventsPath, Tags: []string{"records"},
		Summary: "Watch records: changes over the whole network, as server-sent events",
		Description: "Every change that is acknowledged is told at least once, and a key's versions never go back; versions that were replaced meanwhile may be left out. " +
			"The id of an event is a cursor from where another stream goes on, at this node or another; a quiet stream sends ids alone every 15 seconds. " +
			"Types of events: change; lost, when changes may have been lost and the records should be listed anew; incomplete, when so many peers can't be heard that changes may be late; complete, when they are heard again.",
		Responses: map[string]*huma.Response{"200": {Description: "Events; the data of each is a document", Content: map[string]*huma.MediaType{
			v1.EventsType: {Schema: event},
		}}},
	}, r.events)
}

type eventsInput struct {
	Prefix      string `query:"prefix" doc:"Only keys that begin with it"`
	Cursor      string `query:"cursor" doc:"Where to go on: the id of the last event of a stream of the same prefix; absent: what changes from now on"`
	Values      bool   `query:"values" doc:"Send values too"`
	LastEventID string `header:"Last-Event-ID" doc:"As browsers send it when they take up a stream again; it wins over the cursor"`
}

func (r *routes) events(_ context.Context, in *eventsInput) (*stream, error) {
	if err := checkText("prefix", in.Prefix); err != nil {
		return nil, err
	}
	opts := WatchOptions{Prefix: in.Prefix, Cursor: in.Cursor, Values: in.Values}
	if in.LastEventID != "" {
		opts.Cursor = in.LastEventID
	}
	return r.streamed(func(ctx context.Context, f *flow) (io.Closer, func(context.Context) error, error) {
		w, err := r.backend.Watch(ctx, opts)
		e := eventAnswer[v1.Event]{flow: f, source: w, name: func(e *v1.Event) string { return e.Event }}
		return w, e.run, err
	}), nil
}

// enterStream counts a stream of events in, until the function returned is called.
func (r *routes) enterStream() (leave func(), err error) {
	select {
	case r.watches <- struct{}{}:
		return func() { <-r.watches }, nil
	default:
		return nil, fault.New(fault.Unavailable, "the node serves %d watches already: watch through another node", cap(r.watches))
	}
}

// streamed is an answer of events, which ends when the client goes away, which takes it up again by itself, the server stops, or what open returned ends.
func (r *routes) streamed(open func(ctx context.Context, f *flow) (source io.Closer, run func(context.Context) error, err error)) *stream {
	return &stream{func(hctx huma.Context) {
		f := newFlow(hctx, v1.EventsType)
		if err := r.serve(hctx, f, open); err != nil && !f.begun {
			f.fail(err)
		}
	}}
}

// serve counts a stream of events in, and has it run. To HEAD it answers without a body.
func (r *routes) serve(hctx huma.Context, f *flow, open func(ctx context.Context, f *flow) (source io.Closer, run func(context.Context) error, err error)) error {
	leave, err := r.enterStream()
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancel(hctx.Context())
	defer cancel()
	defer context.AfterFunc(r.stopping, cancel)()
	source, run, err := open(ctx, f)
	if err != nil {
		return err
	}
	defer source.Close()
	if req, _ := humago.Unwrap(hctx); req.Method == http.MethodHead {
		_, err := f.Write(nil)
		return err
	}
	return run(ctx)
}

// eventSource is a watch that tells events of type E.
type eventSource[E any] interface {
	Next(ctx context.Context) (E, error)
	Cursor() string
}

// eventAnswer is the answer of a watch.
type eventAnswer[E any] struct {
	flow   *flow
	source eventSource[E]
	// name returns the type of an event.
	name func(*E) string
	// brief says that cursors are so short that each event has one.
	brief bool
	// marked is when the cursor was told last, and behind says that there were events since.
	marked time.Time
	behind bool
}

func (e *eventAnswer[E]) run(ctx context.Context) error {
	if err := e.mark(fmt.Sprintf("retry: %d\n", retryAfter.Milliseconds())); err != nil {
		return err
	}
	for {
		event, err := e.next(ctx)
		switch {
		case err == nil:
			err = e.tell(&event)
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			err = e.mark(": beat\n")
		}
		if err != nil {
			return err
		}
	}
}

// next waits for an event until it is time to tell the cursor.
func (e *eventAnswer[E]) next(ctx context.Context) (E, error) {
	due := e.marked.Add(eventBeat)
	if e.behind {
		due = e.marked.Add(cursorDelay)
	}
	ctx, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	return e.source.Next(ctx)
}

// tell sends an event. Its id is left out where one was told a moment ago: in a large network a cursor is longer than most events.
func (e *eventAnswer[E]) tell(event *E) error {
	data, err := json.Marshal(event)
	if err != nil {
		return err
	}
	lines := "event: " + e.name(event) + "\n"
	if e.behind = !e.brief && time.Since(e.marked) < cursorDelay; !e.behind {
		lines += e.id()
	}
	_, err = e.flow.Write(append(append([]byte(lines+"data: "), data...), "\n\n"...))
	return err
}

// mark sends the cursor without an event (HTML standard, section 9.2.6: a block without data sets the last event id).
func (e *eventAnswer[E]) mark(lines string) error {
	_, err := e.flow.Write([]byte(lines + e.id() + "\n"))
	e.behind = false
	return err
}

func (e *eventAnswer[E]) id() string {
	e.marked = time.Now()
	return "id: " + e.source.Cursor() + "\n"
}
