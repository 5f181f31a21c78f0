package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// apiVersion is the version of the API that the OpenAPI document describes, not of the program.
const apiVersion = "1.0"

// tokenScheme names the security scheme in the OpenAPI document.
const tokenScheme = "token"

// maxDocument is the length limit of a JSON document in a request.
const maxDocument = 64 << 10

// everybody is the security requirement of a route that needs no token, a whole that is met by nothing.
func everybody() []map[string][]string { return []map[string][]string{{}} }

// routes registers every route on its mux.
type routes struct {
	huma    huma.API
	backend Backend
	ledger  Ledger
	// bodyTimeout bounds how long huma reads a body.
	bodyTimeout time.Duration
	// stopping ends when the server begins to stop: watches end at once.
	stopping context.Context
	// watches holds a token for each watch.
	watches chan struct{}
}

// newMux returns the mux of every route, and the OpenAPI document. Answers without an end end when stopping does.
func newMux(stopping context.Context, backend Backend, ledger Ledger, gatherer prometheus.Gatherer, bodyTimeout time.Duration) (*http.ServeMux, *huma.OpenAPI, error) {
	mux := http.NewServeMux()
	r := &routes{
		huma: humago.New(mux, humaConfig()), backend: backend, ledger: ledger, bodyTimeout: bodyTimeout, stopping: stopping, watches: make(chan struct{}, maxWatches),
	}
	if ledger == nil {
		r.ledger = noLedger{}
	}
	r.huma.UseMiddleware(translateStatus)

	r.nodeRoutes()
	r.networkRoutes()
	r.recordRoutes()
	r.eventRoutes()
	r.topicRoutes()
	r.providerRoutes()
	r.ledgerRoutes()
	r.endRoutes()
	r.healthRoutes()
	r.metricsRoute(gatherer)
	profileRoutes(mux)
	var document []byte
	r.openAPIRoute(&document)
	mux.HandleFunc(fallbackPattern, func(w http.ResponseWriter, req *http.Request) { writeProblem(w, noMatch(mux, w, req)) })

	if err := describe(r.huma.OpenAPI()); err != nil {
		return nil, nil, err
	}
	document, err := json.MarshalIndent(r.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	document = append(document, '\n')
	return mux, r.huma.OpenAPI(), nil
}

func humaConfig() huma.Config {
	format := huma.Format{Marshal: writeJSON, Unmarshal: json.Unmarshal}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Folkmoot node",
				Description: apiDescription,
				Version:     apiVersion,
			},
			Components: &huma.Components{
				Schemas: newSchemas(),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					tokenScheme: {Type: "http", Scheme: "bearer", Description: "A token of the node (moot token new). What an operation needs is named beside it: read, write, which covers read, or admin, which covers both. " +
						"A node that listens on a loopback address serves everybody on its machine without one, unless it runs with --api-tokens=require."},
				},
			},
		},
		Formats:                      map[string]huma.Format{typeJSON: format, "json": format}, // and every type that ends in +json
		DefaultFormat:                typeJSON,
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{translate},
	}
	// Clients of this version accept what later ones add.
	config.AllowAdditionalPropertiesByDefault = true
	return config
}

// writeJSON fails only for a value that can't be JSON. That the client went away is no failure of the node, and huma would
// panic over it.
func writeJSON(w io.Writer, v any) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Write(append(doc, '\n'))
	return nil
}

// handle registers one route; errors of f become problem documents by their kind.
func handle[I, O any](r *routes, op huma.Operation, f func(context.Context, *I) (*O, error)) {
	op.BodyReadTimeout = r.bodyTimeout
	if op.Security == nil {
		op.Security = []map[string][]string{{}, {tokenScheme: {string(scopeOf(op.Method, op.Path))}}}
		if op.Path == signPath {
			op.Security = op.Security[1:] // never without one
		}
	}
	huma.Register(r.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		if err == nil {
			return out, nil
		}
		problem := error(problemOf(err))
		if h, ok := errors.AsType[huma.HeadersError](err); ok {
			problem = huma.ErrorWithHeaders(problem, h.GetHeaders())
		}
		return nil, problem
	})
}

// document is the answer of a route whose answer is one JSON document.
type document[T any] struct{ Body T }

// stream is the answer of a route that writes its body itself.
type stream struct{ Body func(huma.Context) }

func (r *routes) metricsRoute(gatherer prometheus.Gatherer) {
	metrics := promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
	handle(r, huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"health"},
		Summary: "Metrics of the node, as Prometheus reads them",
		Responses: map[string]*huma.Response{"200": {Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, func(context.Context, *struct{}) (*stream, error) {
		return &stream{func(ctx huma.Context) {
			req, w := humago.Unwrap(ctx)
			metrics.ServeHTTP(w, req)
		}}, nil
	})
}

// openAPIRoute serves the document, which is written once every route is registered.
func (r *routes) openAPIRoute(document *[]byte) {
	const mediaType = "application/openapi+json"
	handle(r, huma.Operation{
		OperationID: "openapi", Method: http.MethodGet, Path: "/openapi.json", Tags: []string{"health"},
		Summary: "This document",
		Responses: map[string]*huma.Response{"200": {Content: map[string]*huma.MediaType{
			mediaType: {Schema: &huma.Schema{Type: huma.TypeObject}},
		}}},
	}, func(context.Context, *struct{}) (*stream, error) {
		return &stream{func(ctx huma.Context) {
			ctx.SetHeader("Content-Type", mediaType)
			ctx.BodyWriter().Write(*document)
		}}, nil
	})
}

// fallbackPattern is the mux's pattern for requests that no route wants.
const fallbackPattern = "/"

// noMatch says why no route of mux took req, and tells in the Allow header which methods would do.
func noMatch(mux *http.ServeMux, w http.ResponseWriter, req *http.Request) *problem {
	var allowed []string
	for _, method := range methods {
		other := *req
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != fallbackPattern {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return noRoute(req.URL.EscapedPath())
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return statusProblem(http.StatusMethodNotAllowed,
		fmt.Sprintf("method %s is not for this path: use %s", req.Method, strings.Join(allowed, ", ")))
}

func noRoute(path string) *problem {
	return statusProblem(http.StatusNotFound, fmt.Sprintf("no such path: %q; GET /openapi.json lists those that exist", path))
}
