package v1

import (
	"fmt"
	"unicode/utf8"
)

// Bounds of records, in bytes.
const (
	// MaxKey is the length limit of a key. Keys are UTF-8 without control characters, at least one byte long.
	MaxKey = 1 << 10
	// MaxValue is the length limit of a value, which may be empty.
	MaxValue = 1 << 20
)

// Headers of an answer that carries a record's bytes.
const (
	HeaderVersion = "Moot-Version"
	HeaderAuthor  = "Moot-Author"
	// HeaderExpires is a time of RFC 3339; absent when the record lives for ever.
	HeaderExpires = "Moot-Expires"
	// HeaderCopies is a Copies as its String writes it.
	HeaderCopies = "Moot-Copies"
)

// HeaderTimeout is how long the caller waits for the answer, as a duration such as 2.5s, within the node's own limit: then the node tells what it knows by then, where the caller would else learn nothing.
const HeaderTimeout = "Moot-Timeout"

// HeaderSession carries a session's token in requests and answers.
const HeaderSession = "Moot-Session"

// LinesType is the media type of an answer of JSON documents, each a line, that arrive while something goes on.
const LinesType = "application/jsonl"

// ProblemType is the media type of a Problem (RFC 9457).
const ProblemType = "application/problem+json"

// Problem is the body of every answer whose status is 400 or more (RFC 9457, problem details for HTTP APIs).
type Problem struct {
	Type   string `json:"type" doc:"URI that names the kind of problem; the same for every problem of the kind" example:"urn:folkmoot:problem:not-found"`
	Title  string `json:"title" doc:"The kind of problem in words" example:"Not found"`
	Status int    `json:"status" doc:"HTTP status" example:"404"`
	Detail string `json:"detail" doc:"What failed, on what, and what to do about it"`
	Kind   string `json:"kind" enum:"internal,invalid,not-found,unavailable,conflict,too-large,forbidden,full" doc:"What sort of failure this is, which decides what a caller can do about it"`
}

// Health is the answer of GET /livez, GET /readyz and GET /readyz/records.
type Health struct {
	Status string `json:"status" enum:"live,ready"`
}

// SetValue puts value into the record, as text when it is UTF-8.
func (r *Record) SetValue(value []byte) {
	r.Value, r.ValueBase64 = nil, nil
	if utf8.Valid(value) {
		text := string(value)
		r.Value = &text
		return
	}
	r.ValueBase64 = value
}

// Bytes returns the record's value, however it is written.
func (r *Record) Bytes() []byte {
	if r.Value != nil {
		return []byte(*r.Value)
	}
	return r.ValueBase64
}

// String says how many copies there are: "3 of 5", or "2 of 2; 5 wanted" while the network is smaller than the copies configured.
func (c Copies) String() string {
	text := fmt.Sprintf("%d of %d", c.Stored, c.Wanted)
	if c.Wanted < c.Configured {
		text += fmt.Sprintf("; %d wanted", c.Configured)
	}
	return text
}

// ParseCopies reads what String writes.
func ParseCopies(text string) (Copies, error) {
	var c Copies
	if _, err := fmt.Sscanf(text, "%d of %d; %d wanted", &c.Stored, &c.Wanted, &c.Configured); err != nil {
		if _, err := fmt.Sscanf(text, "%d of %d", &c.Stored, &c.Wanted); err != nil {
			return Copies{}, fmt.Errorf("copies %q: %w", text, err)
		}
		c.Configured = c.Wanted
	}
	if c.String() != text {
		return Copies{}, fmt.Errorf("copies %q: want such as %q", text, c)
	}
	return c, nil
}
