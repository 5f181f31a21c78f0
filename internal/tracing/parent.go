package tracing

import (
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"
)

// ParentSize is the length of a written parent, in bytes.
const ParentSize = 2 + 1 + 32 + 1 + 16 + 1 + 2

// Where in a written parent its parts begin.
const (
	traceAt = 3
	spanAt  = traceAt + 32 + 1
	flagsAt = spanAt + 16 + 1
)

const digits = "0123456789abcdef"

// AppendParent appends sc as W3C Trace Context writes a traceparent, ParentSize bytes, to b. sc is valid.
func AppendParent(b []byte, sc trace.SpanContext) []byte {
	id, span := sc.TraceID(), sc.SpanID()
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, id[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, span[:])
	b = append(b, '-', '0')
	return append(b, digits[sc.TraceFlags()&trace.FlagsSampled])
}

// ParseParent reads a traceparent of version 00, the only one there is: exactly ParentSize bytes, in lower case, with neither id zero. Of the flags it keeps the one that says sampled, which is all that is
// heeded here.
func ParseParent[T string | []byte](text T) (sc trace.SpanContext, ok bool) {
	if len(text) != ParentSize || text[0] != '0' || text[1] != '0' || text[2] != '-' || text[spanAt-1] != '-' || text[flagsAt-1] != '-' {
		return trace.SpanContext{}, false
	}
	var id trace.TraceID
	var span trace.SpanID
	var flags [1]byte
	if !decode(id[:], text[traceAt:spanAt-1]) || !decode(span[:], text[spanAt:flagsAt-1]) || !decode(flags[:], text[flagsAt:]) {
		return trace.SpanContext{}, false
	}
	sc = trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.TraceFlags(flags[0]) & trace.FlagsSampled, Remote: true})
	return sc, sc.IsValid()
}

// decode is hex.Decode that refuses upper case, which the standard does.
func decode[T string | []byte](into []byte, text T) bool {
	for i := range into {
		high, low := digit(text[2*i]), digit(text[2*i+1])
		if high < 0 || low < 0 {
			return false
		}
		into[i] = byte(high<<4 | low)
	}
	return true
}

func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
