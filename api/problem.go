package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// problemTypePrefix and a kind's name make the type of a problem document.
const problemTypePrefix = "urn:folkmoot:problem:"

// kinds is the one table from kinds of errors to HTTP.
var kinds = [...]struct {
	status int
	title  string
}{
	fault.Internal:    {http.StatusInternalServerError, "Internal error"},
	fault.Invalid:     {http.StatusBadRequest, "Invalid request"},
	fault.NotFound:    {http.StatusNotFound, "Not found"},
	fault.Unavailable: {http.StatusServiceUnavailable, "Unavailable"},
	fault.Conflict:    {http.StatusPreconditionFailed, "Condition not met"},
	fault.TooLarge:    {http.StatusRequestEntityTooLarge, "Too large"},
	fault.Forbidden:   {http.StatusForbidden, "Forbidden"},
	fault.Full:        {http.StatusInsufficientStorage, "No room"},
}

// kindOfStatus is the kind of those failures of HTTP itself that no error of the node stands behind. A route that does
// not exist is Invalid, so that no client takes it for a record that does not exist.
func kindOfStatus(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Forbidden
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return fault.Unavailable
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return fault.TooLarge
	}
	if status < http.StatusInternalServerError {
		return fault.Invalid
	}
	return fault.Internal
}

// problem is a problem document on its way out: an error with a status, which huma writes as it is.
type problem v1.Problem

var (
	_ huma.StatusError       = (*problem)(nil)
	_ huma.ContentTypeFilter = (*problem)(nil)
)

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return v1.ProblemType }

func newProblem(kind fault.Kind, status int, detail string) *problem {
	return &problem{
		Type:   problemTypePrefix + kind.String(),
		Title:  kinds[kind].title,
		Status: status,
		Detail: detail,
		Kind:   kind.String(),
	}
}

// statusProblem is a failure of HTTP itself.
func statusProblem(status int, detail string) *problem {
	return newProblem(kindOfStatus(status), status, detail)
}

// problemOf is the problem document of an error of the node. A request that was cut off by the server's end may be
// repeated at another node, so it is Unavailable.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	kind := fault.KindOf(err)
	if kind == fault.Internal && errors.Is(err, context.Canceled) {
		kind = fault.Unavailable
	}
	return newProblem(kind, kinds[kind].status, err.Error())
}

// translate turns huma's own error documents, of requests that it refuses before a handler sees them, into ours.
func translate(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	detail := m.Detail
	if len(m.Errors) > 0 {
		// Values are left out: they may be as large as the body.
		texts := make([]string, len(m.Errors))
		for i, e := range m.Errors {
			texts[i] = strings.TrimPrefix(e.Location+": "+e.Message, ": ")
		}
		detail = strings.Join(texts, "; ")
	}
	return statusProblem(statusOfHuma(m.Status), detail), nil
}

// statusOfHuma maps huma's status for input that does not fit its schema to the one of fault.Invalid.
func statusOfHuma(status int) int {
	if status == http.StatusUnprocessableEntity {
		return kinds[fault.Invalid].status
	}
	return status
}

// humaContext gives the interface huma.Context, which has a method Context, a name that it can be embedded under.
type humaContext huma.Context

// statusContext replaces the statuses that huma chooses by those of our problem documents.
type statusContext struct{ humaContext }

func (c statusContext) SetStatus(status int) { c.humaContext.SetStatus(statusOfHuma(status)) }
func (c statusContext) Unwrap() huma.Context { return c.humaContext }

func translateStatus(ctx huma.Context, next func(huma.Context)) { next(statusContext{ctx}) }

// writeProblem answers with p. A client that has gone away by now needs no answer.
func writeProblem(w http.ResponseWriter, p *problem) {
	doc, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and an int always marshal
	}
	w.Header().Set("Content-Type", v1.ProblemType)
	w.WriteHeader(p.Status)
	w.Write(append(doc, '\n'))
}
