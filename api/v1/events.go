package v1

import (
	"time"
	"unicode/utf8"
)

// EventsType is the media type of a stream of events (HTML standard, server-sent events).
const EventsType = "text/event-stream"

// MaxCursor is the length limit of a watch's cursor, in bytes.
const MaxCursor = 28 << 10

// What an Event tells.
const (
	// EventChange: a record was written or deleted. That one expires is told with it, and not again.
	EventChange = "change"
	// EventLost: changes may have been lost before this event. Who keeps a copy of the records should list them anew.
	EventLost = "lost"
	// EventIncomplete: so many peers can't be heard that changes may be late.
	EventIncomplete = "incomplete"
	// EventComplete: enough peers are heard again.
	EventComplete = "complete"
	// EventCursor: nothing but a newer cursor. It is no event of the stream, which carries cursors as ids of events.
	EventCursor = "cursor"
)

// Event is the data of an event of GET /v1/events.
type Event struct {
	Event       string    `json:"event" enum:"change,lost,incomplete,complete" doc:"What it tells; also the type of the event"`
	Key         string    `json:"key,omitempty" doc:"Of a change"`
	Version     string    `json:"version,omitempty" doc:"Of a change; never older than one that was told of the same key"`
	Author      string    `json:"author,omitempty" doc:"Of a change: peer id of the peer that wrote the version"`
	Deleted     bool      `json:"deleted,omitempty" doc:"Of a change: the record was deleted"`
	Size        int64     `json:"size,omitempty" doc:"Of a change: bytes of the value"`
	Expires     time.Time `json:"expires,omitzero" doc:"Of a change: when the record ends"`
	Value       *string   `json:"value,omitempty" doc:"Of a change, where values were asked for: the value, when it is UTF-8"`
	ValueBase64 []byte    `json:"value_base64,omitempty" doc:"Of a change, where values were asked for: the value, when it is not UTF-8"`
	Missing     []string  `json:"missing,omitempty" nullable:"false" doc:"Of incomplete: the peers that are not heard"`
	Detail      string    `json:"detail,omitempty" doc:"Of lost: why"`
	// Cursor is from where a watch goes on after the event; it travels as the event's id.
	Cursor string `json:"-"`
}

// SetValue puts value into the event, as text when it is UTF-8.
func (e *Event) SetValue(value []byte) {
	e.Value, e.ValueBase64 = nil, nil
	if utf8.Valid(value) {
		text := string(value)
		e.Value = &text
		return
	}
	e.ValueBase64 = value
}

// Bytes returns the value that the event carries, however it is written.
func (e *Event) Bytes() []byte {
	if e.Value != nil {
		return []byte(*e.Value)
	}
	return e.ValueBase64
}

// WatchOptions say what to watch; they travel in the query.
type WatchOptions struct {
	// Prefix is what the keys begin with; empty: every key.
	Prefix string
	// Cursor is where to go on: the newest cursor of a watch of the same prefix; empty: what changes from now on.
	Cursor string
	// Values says that changes carry the values.
	Values bool
}
