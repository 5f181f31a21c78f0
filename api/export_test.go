package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Exchange is exchange for the tests outside.
type Exchange = exchange

// EmbeddedExamples is what the program has of examples.json.
func EmbeddedExamples() []byte { return examplesFile }

// Document returns the OpenAPI document as huma has it.
func Document(backend Backend, ledger Ledger) (*huma.OpenAPI, error) {
	_, doc, err := newMux(context.Background(), backend, ledger, prometheus.NewRegistry(), 0)
	return doc, err
}

// CheckExample returns what in the example of an operation, the request's or the answer's, does not fit its schema.
func CheckExample(doc *huma.OpenAPI, op *huma.Operation) (wrong []error) {
	check := func(what string, m *huma.MediaType, mode huma.ValidateMode) {
		raw, ok := m.Example.(json.RawMessage)
		if !ok {
			return
		}
		for _, one := range documentsOf(raw, what) {
			var value any
			_ = json.Unmarshal(one, &value)
			result := huma.ValidateResult{}
			huma.Validate(doc.Components.Schemas, m.Schema, huma.NewPathBuffer([]byte(what), len(what)), mode, value, &result)
			wrong = append(wrong, result.Errors...)
		}
	}
	if op.RequestBody != nil {
		for _, m := range op.RequestBody.Content {
			check("request", m, huma.ModeWriteToServer)
		}
	}
	for name, m := range op.Responses["200"].Content {
		check(name, m, huma.ModeReadFromServer)
	}
	return wrong
}

// documentsOf returns what is held to the schema: of a stream, each of its documents.
func documentsOf(example json.RawMessage, mediaType string) (list []json.RawMessage) {
	var text string
	if mediaType != "text/event-stream" && mediaType != "application/jsonl" || json.Unmarshal(example, &text) != nil {
		return []json.RawMessage{example}
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if isData || mediaType == "application/jsonl" {
			list = append(list, json.RawMessage(data))
		}
	}
	return list
}

// BodyText returns a body or an answer as it is sent.
func (e *exchange) BodyText() string {
	var text string
	if json.Unmarshal(e.Body, &text) == nil {
		return text
	}
	return string(bytes.TrimSpace(e.Body))
}

// Operations returns those of a document.
func Operations(doc *huma.OpenAPI) (ops []*huma.Operation) {
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Head, item.Put, item.Post, item.Delete} {
			if op != nil {
				ops = append(ops, op)
			}
		}
	}
	return ops
}
