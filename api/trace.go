package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
)

// headerTraceparent is W3C Trace Context's: the span beneath which a caller makes a request. A request with two of them is taken for one without.
const headerTraceparent = "Traceparent"

// trace begins the span of a request that was let in, and returns what ends it once the mux's pattern is known that took it. Neither path nor query come into it: they hold keys.
func (h *handler) trace(r *http.Request, rec *recorder) (context.Context, func(pattern string)) {
	parent := ""
	if values := r.Header.Values(headerTraceparent); len(values) == 1 {
		parent = values[0]
	}
	method := r.Method
	if !slices.Contains(methods, method) {
		method = "other"
	}
	ctx, span := h.tracer.Request(r.Context(), method, parent)
	return ctx, func(pattern string) {
		defer span.End()
		if !span.IsRecording() {
			return
		}
		route, status := routeOf(pattern), cmp.Or(rec.status, http.StatusOK)
		span.SetName(method + " " + route)
		span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
}
