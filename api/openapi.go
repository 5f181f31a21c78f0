package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// apiDescription says what holds for every operation.
const apiDescription = `The HTTP API of one node of a Folkmoot network: its peers, the records that the network keeps, and its ledger.

**Problems.** Every answer of 400 or more is a problem document (RFC 9457). Its kind says what a caller can do about it: invalid and too-large (change the request), forbidden (another token), not-found, conflict (a condition does not hold), ` +
	`unavailable (the same may succeed later), full (make room), internal (see the node's log). Its type is urn:folkmoot:problem: with the kind.

**Pages.** A listing answers a page and a cursor where there is more; pass the cursor to get the next page, and nothing else anew. A cursor stays good while what is listed changes: what is there all the time is listed once.

**Repeating.** Every request may be sent again when its answer was lost. GET, HEAD, PUT and DELETE do what they do once; a PUT that is sent again writes the same value as a newer version, and one with If-Match or If-None-Match is refused with 412 ` +
	`if it was done. A transaction of the ledger is the same one however often and wherever it is handed in: its id is the idempotency key. A message that is published again is a second message.

**Rates.** A token, or an address of callers without one, that makes more requests a second than the node allows (--api-rate) gets 429 and Retry-After: nothing was done.

**Time.** Moot-Timeout, a duration such as 2.5s, says how long the caller waits; the node answers by then with what it knows.

**What is stable.** What this document describes stays in version 1; fields, operations, types of events and kinds of problems may be added, and clients pass over those that they don't know.`

// problemResponses are the answers that operations share, by their names in the document.
var problemResponses = []struct {
	status       int
	name, detail string
	description  string
}{
	{http.StatusBadRequest, "Invalid", `query parameter "limit" is given 2 times`, "The request can never be carried out: it must be changed"},
	{http.StatusUnauthorized, "NoToken", "this node asks for a token: send Authorization: Bearer TOKEN", "A token is needed, or the one presented is not, or no longer, one of the node's"},
	{http.StatusForbidden, "Forbidden", "the token may read, and this needs the scope write", "The token's scope does not cover the operation, or a page of another origin or a foreign host name asks"},
	{http.StatusNotFound, "NotFound", `record "greeting" does not exist`, "Enough peers answered to be sure that there is no such thing"},
	{http.StatusPreconditionFailed, "Conflict", `record "leader" exists`, "A condition of the request does not hold"},
	{http.StatusRequestEntityTooLarge, "TooLarge", "the body has 1052674 bytes: at most 1052672 are allowed", "The body, or a key, is over its bound"},
	{http.StatusTooManyRequests, "TooManyRequests", "too many requests of one token, or of one address without a token (--api-rate): wait a second", "The caller makes too many requests; nothing was done. Retry-After says when to try again"},
	{http.StatusInternalServerError, "Internal", "the node failed on this request; its log says more", "The node failed"},
	{http.StatusServiceUnavailable, "Unavailable", "no quorum: 1 of 3 holders answered", "Too few peers answered in time, or the node has too much to do; the same request may succeed later"},
	{http.StatusInsufficientStorage, "Full", "the quota of 500 MB is used up", "The quota or the disk has no room"},
}

// describe completes the document when all operations are there: the problems that each may answer, and an example of each.
func describe(doc *huma.OpenAPI) error {
	doc.Components.Responses = make(map[string]*huma.Response, len(problemResponses))
	for _, p := range problemResponses {
		example := statusProblem(p.status, p.detail)
		if kind := slices.IndexFunc(kinds[:], func(k struct {
			status int
			title  string
		}) bool {
			return k.status == p.status
		}); kind >= 0 {
			example = newProblem(fault.Kind(kind), p.status, p.detail)
		}
		doc.Components.Responses[p.name] = &huma.Response{Description: p.description, Content: map[string]*huma.MediaType{
			v1.ProblemType: {Schema: &huma.Schema{Ref: problemSchema}, Example: example},
		}}
	}
	exchanges, err := readExamples()
	if err != nil {
		return err
	}
	for path, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Head, item.Put, item.Post, item.Delete} {
			if op == nil {
				continue
			}
			for _, p := range problemResponses {
				if mayAnswer(op, p.status) {
					op.Responses[strconv.Itoa(p.status)] = &huma.Response{Ref: "#/components/responses/" + p.name}
				}
			}
			if e, ok := exchanges[op.OperationID]; ok {
				if err := e.put(op, path); err != nil {
					return fmt.Errorf("the example of %s: %w", op.OperationID, err)
				}
			}
		}
	}
	return nil
}

// problemSchema refers to the schema of problems.
const problemSchema = "#/components/schemas/Problem"

// mayAnswer says whether an operation may answer with a status.
func mayAnswer(op *huma.Operation, status int) bool {
	open := len(op.Security) == 1 && len(op.Security[0]) == 0
	takes := func(name string) bool {
		return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == name })
	}
	switch status {
	case http.StatusUnauthorized, http.StatusTooManyRequests:
		return !open
	case http.StatusNotFound:
		return strings.Contains(op.Path, "{") || strings.HasPrefix(op.Path, "/v1/ledger") || op.Path == "/v1/members"
	case http.StatusPreconditionFailed:
		return takes(headerIfMatch)
	case http.StatusRequestEntityTooLarge:
		return op.RequestBody != nil || takes("key")
	case http.StatusInsufficientStorage:
		return op.Method != http.MethodGet && op.Method != http.MethodHead && (strings.HasSuffix(op.Path, "{key}") || op.Path == topicPath || strings.HasPrefix(op.Path, "/v1/ledger"))
	}
	return true
}

//go:embed examples.json
var examplesFile []byte

// exchange is a request and its answer: the example of an operation.
type exchange struct {
	Operation string            `json:"operation"`
	Method    string            `json:"method"`
	Target    string            `json:"target"`
	Header    map[string]string `json:"header,omitempty"`
	// Body and Answer are texts, or documents.
	Body   json.RawMessage `json:"body,omitempty"`
	Type   string          `json:"type,omitempty"` // of the answer
	Answer json.RawMessage `json:"answer,omitempty"`
}

func readExamples() (map[string]exchange, error) {
	var list []exchange
	if err := json.Unmarshal(examplesFile, &list); err != nil {
		return nil, fmt.Errorf("read the examples: %w", err)
	}
	m := make(map[string]exchange, len(list))
	for _, e := range list {
		m[e.Operation] = e
	}
	return m, nil
}

// put makes the exchange the example of an operation.
func (e *exchange) put(op *huma.Operation, path string) error {
	u, err := url.Parse(e.Target)
	if err != nil {
		return err
	}
	given := map[string]string{}
	template, actual := strings.Split(path, "/"), strings.Split(u.Path, "/")
	for i, part := range template {
		if name, ok := strings.CutPrefix(part, "{"); ok && i < len(actual) {
			given[strings.TrimSuffix(name, "}")] = actual[i]
		}
	}
	for name, values := range u.Query() {
		given[name] = values[0]
	}
	for name, value := range e.Header {
		given[name] = value
	}
	for _, p := range op.Parameters {
		if value, ok := given[p.Name]; ok {
			p.Example = exampleOf(p.Schema, value)
		}
	}
	if op.RequestBody != nil && e.Body != nil {
		content := map[string]*huma.MediaType{}
		for name, m := range op.RequestBody.Content {
			content[name] = &huma.MediaType{Schema: m.Schema, Example: e.Body}
		}
		body := *op.RequestBody
		body.Content = content
		op.RequestBody = &body
	}
	ok := op.Responses["200"]
	if m := ok.Content[e.Type]; m != nil && e.Answer != nil {
		ok.Content[e.Type] = &huma.MediaType{Schema: m.Schema, Example: e.Answer}
	}
	return nil
}

// exampleOf returns a parameter's value as its schema has it.
func exampleOf(s *huma.Schema, text string) any {
	if s == nil || s.Type == huma.TypeString {
		return text
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return text
	}
	return value
}

// newSchemas returns the registry of the document's schemas.
func newSchemas() huma.Registry {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[v1.Problem]())
	return schemas
}
