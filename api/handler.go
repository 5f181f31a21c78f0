package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/api/ui"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
)

// handler is everything between a connection and a route: who may call, bounds, keys, logging and metrics.
type handler struct {
	mux     *http.ServeMux
	guard   *guard
	rates   *rates      // nil: callers are not bounded
	ui      *ui.Handler // nil: there is no dashboard
	metrics *metrics
	tracer  *tracing.Tracer // nil: nothing is recorded
	logger  *slog.Logger
	// server is the Server header.
	server  string
	timeout time.Duration
	// slots holds a token for each request that is worked on.
	slots  chan struct{}
	bodies bodies
}

// ServeHTTP serves one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	timeout, badTimeout := h.timeoutOf(r)
	if !isStream(r) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	rec := &recorder{ResponseWriter: w}
	start := time.Now()
	endTrace := func(string) {}
	defer func() {
		defer func() { endTrace(r.Pattern) }()
		h.recoverPanic(rec, r, recover())
		h.observe(rec, r, time.Since(start))
	}()

	setSafetyHeaders(rec.Header())
	file := h.ui != nil && listens(r.Method) && h.ui.Has(r.URL.Path)
	c, p := h.admit(r, file)
	if p != nil {
		refuse(rec, p)
		return
	}
	rec.Header().Set("Server", h.server)
	if file {
		r.Pattern = uiPattern
		h.ui.ServeHTTP(rec, r)
		return
	}
	if !isHealthPath(r.URL.Path) {
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
		default:
			refuse(rec, statusProblem(http.StatusServiceUnavailable,
				fmt.Sprintf("the node works on %d requests already: try again in a second", cap(h.slots))))
			return
		}
	}
	if badTimeout != nil {
		refuse(rec, problemOf(badTimeout))
		return
	}
	if p := prepare(w, r); p != nil {
		refuse(rec, p)
		return
	}
	if h.tracer != nil && !isStream(r) && !isHealthPath(r.URL.Path) {
		var ctx context.Context
		ctx, endTrace = h.trace(r, rec)
		r = r.WithContext(ctx)
	}
	if isStream(r) && listens(r.Method) {
		ctx, end := h.guard.whileGood(r, c)
		defer end()
		r = r.WithContext(ctx)
	}
	leave, p := h.bodies.enter(r)
	if p != nil {
		refuse(rec, p)
		return
	}
	defer leave()
	h.mux.ServeHTTP(rec, r)
}

// uiPattern stands for the mux's pattern where a file of the dashboard is answered.
const uiPattern = "GET /"

// admit returns who makes r, and nil when it may be served; file says that it asks for one of the dashboard's.
func (h *handler) admit(r *http.Request, file bool) (caller, *problem) {
	now := time.Now()
	c := h.guard.callerOf(r, now)
	if !isHealthPath(r.URL.Path) {
		if p := h.rates.check(c, now); p != nil {
			return c, p
		}
	}
	return c, h.guard.check(r, c, file)
}

// timeoutOf returns how long a request may be worked on: what its caller waits, but no longer than the node allows.
func (h *handler) timeoutOf(r *http.Request) (time.Duration, error) {
	values := r.Header.Values(v1.HeaderTimeout)
	if len(values) == 0 {
		return h.timeout, nil
	}
	d, err := time.ParseDuration(values[0])
	if err != nil || d <= 0 || len(values) > 1 {
		return h.timeout, fault.New(fault.Invalid, "the header %s: want one duration above 0, such as 2.5s", v1.HeaderTimeout)
	}
	return min(d, h.timeout), nil
}

// prepare checks the parts of r that no route looks at and makes it routable; w is the server's own writer.
func prepare(w http.ResponseWriter, r *http.Request) *problem {
	if n := headerBytes(r); n > maxHeader {
		return statusProblem(http.StatusRequestHeaderFieldsTooLarge,
			fmt.Sprintf("the request's line and headers have %d bytes: at most %d are allowed", n, maxHeader))
	}
	if r.ContentLength > maxBody {
		return problemOf(fault.New(fault.TooLarge, "the body has %d bytes: at most %d are allowed", r.ContentLength, maxBody))
	}
	if err := checkQuery(r.URL.RawQuery); err != nil {
		return problemOf(err)
	}
	if err := checkWrite(r); err != nil {
		return problemOf(err)
	}
	u, err := routable(r)
	if err != nil {
		return problemOf(err)
	}
	r.URL = u
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	return nil
}

// routable returns the request's URL in a form that http.ServeMux routes as it is.
func routable(r *http.Request) (*url.URL, error) {
	if strings.HasPrefix(r.URL.EscapedPath(), topicsPrefix) {
		return routableTopic(r.Method, r.URL)
	}
	return routableURL(r.URL)
}

// writeHeaders would change what a write means (RFC 9110): a server that stored the body regardless would do harm.
var writeHeaders = [...]string{"If-Modified-Since", "If-Unmodified-Since", "Content-Range", "Content-Encoding"}

// conditionHeaders make a write depend on a version; records know versions, nothing else does.
var conditionHeaders = [...]string{headerIfMatch, headerIfNoneMatch}

func checkWrite(r *http.Request) error {
	if r.Method != http.MethodPut && r.Method != http.MethodDelete {
		return nil
	}
	for _, name := range writeHeaders {
		if r.Header.Get(name) != "" {
			return fault.New(fault.Invalid, "the header %s does not work with %s: leave it out", name, r.Method)
		}
	}
	for _, name := range conditionHeaders {
		values := r.Header.Values(name)
		if len(values) > 0 && !strings.HasPrefix(r.URL.Path, recordsPrefix) {
			return fault.New(fault.Invalid, "the header %s works with records alone: leave it out", name)
		}
		if len(values) > 1 {
			return fault.New(fault.Invalid, "the header %s is given %d times: a write depends on one version", name, len(values))
		}
	}
	return nil
}

func headerBytes(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

// setSafetyHeaders keeps browsers and caches from making more of an answer than it is.
func setSafetyHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
}

// refuse answers a request that no route gets to see.
func refuse(w http.ResponseWriter, p *problem) {
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="moot"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	writeProblem(w, p)
}

// recoverPanic answers a request whose handler panicked with what. Once the answer has begun, only cutting the connection tells the client.
func (h *handler) recoverPanic(rec *recorder, r *http.Request, what any) {
	if what == nil {
		return
	}
	if err, ok := what.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(what)
	}
	h.logger.ErrorContext(r.Context(), "a request handler panicked", "method", r.Method, "uri", r.RequestURI, "panic", what, "stack", string(debug.Stack()))
	if rec.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeProblem(rec, statusProblem(http.StatusInternalServerError, "the node failed on this request; its log says more"))
}

func (h *handler) observe(rec *recorder, r *http.Request, took time.Duration) {
	status := rec.status
	if status == 0 {
		status = http.StatusOK
	}
	h.metrics.observe(routeOf(r.Pattern), r.Method, strconv.Itoa(status), took)
	h.logger.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("method", r.Method), slog.String("uri", r.RequestURI), slog.String("from", r.RemoteAddr),
		slog.Int("status", status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took))
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader remembers the first final status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func quoted(s string) string { return strconv.QuoteToASCII(s) }
