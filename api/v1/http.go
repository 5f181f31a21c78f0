package v1

import "unicode/utf8"

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
)

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

// Health is the answer of GET /livez and GET /readyz.
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
