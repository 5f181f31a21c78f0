package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/logtest"
)

func TestKindsBecomeStatuses(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	requests := []string{
		"GET /v1/node", "GET /v1/peers", "GET /v1/peers/x", "POST /v1/peers/x/ping", "PUT /v1/records/k", "GET /v1/records/k",
		"DELETE /v1/records/k", "GET /v1/records", "PUT /v1/providers/k", "GET /v1/providers/k",
	}
	for kind, status := range map[fault.Kind]int{
		fault.Internal: 500, fault.Invalid: 400, fault.NotFound: 404, fault.Unavailable: 503, fault.Conflict: 412,
		fault.TooLarge: 413, fault.Forbidden: 403, fault.Full: 507,
	} {
		backend.Intercept(func(_ context.Context, method string) error {
			return fmt.Errorf("wrapped: %w", fault.New(kind, "%s: it is %s", method, kind))
		})
		for _, request := range requests {
			method, path, _ := strings.Cut(request, " ")
			askWith(t, s, method, path, "").wantProblem(t, status, kind, "wrapped: ")
		}
		askWith(t, s, "POST", "/v1/ping", `{"target":"x"}`).wantProblem(t, status, kind, "Ping: it is "+kind.String())
	}
	backend.Intercept(func(context.Context, string) error { return errors.New("no kind") })
	ask(t, s, "GET", "/v1/node").wantProblem(t, 500, fault.Internal, "no kind")
}

func TestHealth(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	for path, want := range map[string]string{"/livez": `{"status":"live"}`, "/readyz": `{"status":"ready"}`, "/readyz/records": `{"status":"ready"}`} {
		if a := ask(t, s, "GET", path); a.StatusCode != http.StatusOK || strings.TrimSpace(string(a.body)) != want {
			t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
		if a := ask(t, s, "HEAD", path); a.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %s", path, a.Status)
		}
	}
	backend.SetReady(errors.New("the disk is full"))
	ask(t, s, "GET", "/readyz").wantProblem(t, 503, fault.Unavailable, "the disk is full")
	ask(t, s, "GET", "/readyz/records").wantProblem(t, 503, fault.Unavailable, "the disk is full")
	backend.SetReady(nil)
	backend.SetRecordsReady(errors.New("7 records are below full count"))
	ask(t, s, "GET", "/readyz/records").wantProblem(t, 503, fault.Unavailable, "7 records are below full count")
	if a := ask(t, s, "GET", "/livez"); a.StatusCode != http.StatusOK {
		t.Errorf("livez of a node that is not ready: %s", a.Status)
	}
}

func TestMethods(t *testing.T) {
	s := serve(t, api.Config{})
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/v1/node", "GET, HEAD"},
		{"DELETE", "/v1/records", "GET, HEAD"},
		{"POST", "/v1/records/a//b", "GET, HEAD, PUT, DELETE"},
		{"PATCH", "/v1/records/k", "GET, HEAD, PUT, DELETE"},
		{"OPTIONS", "/v1/records/k", "GET, HEAD, PUT, DELETE"},
		{"DELETE", "/v1/providers/k", "GET, HEAD, PUT"},
		{"GET", "/v1/ping", "POST"},
		{"GET", "/v1/peers/x/ping", "POST"},
		{"BREW", "/livez", "GET, HEAD"},
	} {
		a := ask(t, s, c.method, c.path)
		a.wantProblem(t, 405, fault.Invalid, c.method)
		if got := a.Header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got, c.allow)
		}
	}
}

func TestPing(t *testing.T) {
	s := serve(t, api.Config{})
	for _, a := range []answer{
		askWith(t, s, "POST", "/v1/peers/"+apitest.Other+"/ping", ""),
		askWith(t, s, "POST", "/v1/ping", `{"target":"`+apitest.Other+`"}`, "Content-Type: application/json"),
		askWith(t, s, "POST", "/v1/ping", `{"target":"/ip4/192.0.2.2/tcp/4242"}`),
	} {
		var pong v1.Pong
		if err := json.Unmarshal(a.body, &pong); err != nil || a.StatusCode != http.StatusOK || pong.ID != apitest.Other || pong.RTTMicros == 0 {
			t.Errorf("%s %s", a.Status, a.body)
		}
	}
	for _, c := range []struct {
		body, contentType string
		status            int
		detail            string
	}{
		{"", "application/json", 400, "body is required"},
		{"{", "application/json", 400, "body: unexpected end of JSON"},
		{"[]", "application/json", 400, "body: expected object"},
		{"{}", "application/json", 400, "expected required property target"},
		{`{"target":1}`, "application/json", 400, "body.target: expected string"},
		{`{"target":""}`, "application/json", 400, "target is empty"},
		{"target=x", "application/x-www-form-urlencoded", 415, "unknown content type"},
		{`{"target":"x"}`, "text/plain", 415, "unknown content type"},
	} {
		askWith(t, s, "POST", "/v1/ping", c.body, "Content-Type: "+c.contentType).wantProblem(t, c.status, fault.Invalid, c.detail)
	}
	askWith(t, s, "POST", "/v1/ping", `{"target":"/ip4/192.0.2.9/tcp/1"}`).wantProblem(t, 503, fault.Unavailable, "192.0.2.9")
	ask(t, s, "GET", "/v1/peers/12D3KooWunknown").wantProblem(t, 404, fault.NotFound, "12D3KooWunknown")
}

func TestHeaderLimits(t *testing.T) {
	s := serve(t, api.Config{})
	long := strings.Repeat("x", 33<<10)
	ask(t, s, "GET", "/v1/node", "X-Long: "+long).wantProblem(t, 431, fault.TooLarge, "headers")
	ask(t, s, "GET", "/v1/records?prefix="+long).wantProblem(t, 431, fault.TooLarge, "headers")
	if a := ask(t, s, "GET", "/v1/node", "X-Long: "+long[:16<<10]); a.StatusCode != http.StatusOK {
		t.Errorf("with long headers: %s", a.Status)
	}
	// Beyond what is read at all, net/http answers in its own words.
	if a := ask(t, s, "GET", "/v1/node", "X-Long: "+strings.Repeat("x", 128<<10)); a.StatusCode != 431 {
		t.Errorf("with endless headers: %s", a.Status)
	}
}

func TestRequestTimeout(t *testing.T) {
	backend := apitest.NewBackend(nil)
	backend.Intercept(func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return fmt.Errorf("ask the holders: %w", ctx.Err())
	})
	s := serve(t, api.Config{Backend: backend, RequestTimeout: time.Millisecond})
	ask(t, s, "GET", "/v1/records/k").wantProblem(t, 503, fault.Unavailable, "ask the holders")
}

// TestTimeoutOfTheCaller: who waits for less than the node would work on a request is answered in time.
func TestTimeoutOfTheCaller(t *testing.T) {
	backend := apitest.NewBackend(nil)
	backend.Intercept(func(ctx context.Context, _ string) error {
		if d, ok := ctx.Deadline(); !ok || time.Until(d) > time.Minute {
			return fault.New(fault.Internal, "worked on until %v", d)
		}
		<-ctx.Done()
		return fmt.Errorf("ask the holders: %w", ctx.Err())
	})
	s := serve(t, api.Config{Backend: backend, RequestTimeout: time.Minute})
	ask(t, s, "GET", "/v1/records/k", "Moot-Timeout: 20ms").wantProblem(t, 503, fault.Unavailable, "ask the holders")
	for _, bad := range []string{"0s", "-1s", "soon", "5", ""} {
		ask(t, s, "GET", "/v1/records/k", "Moot-Timeout: "+bad).wantProblem(t, 400, fault.Invalid, "Moot-Timeout")
	}
	short := serve(t, api.Config{Backend: backend, RequestTimeout: time.Millisecond})
	ask(t, short, "GET", "/v1/records/k", "Moot-Timeout: 24h").wantProblem(t, 503, fault.Unavailable, "ask the holders")
	// A client says how long it waits, and learns what the node knows before that is over.
	c, err := client.New(s.URL(), client.Options{Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetRecord(t.Context(), "k", client.GetOptions{}); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "ask the holders") {
		t.Error(err)
	}
}

func TestPanic(t *testing.T) {
	backend := apitest.NewBackend(nil)
	backend.Intercept(func(context.Context, string) error { panic("at the disco") })
	log := &logtest.Buffer{}
	s := serve(t, api.Config{Backend: backend, Logger: slog.New(slog.NewTextHandler(log, nil))})
	a := ask(t, s, "GET", "/v1/records/k")
	a.wantProblem(t, 500, fault.Internal, "log")
	if strings.Contains(string(a.body), "disco") {
		t.Errorf("the answer tells of the panic: %s", a.body)
	}
	for _, want := range []string{"at the disco", "/v1/records/k", "goroutine"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
	if a := ask(t, s, "GET", "/livez"); a.StatusCode != http.StatusOK {
		t.Errorf("livez after the panic: %s", a.Status)
	}
}

// TestOverload fills every slot: the next request is turned away, health checks are not, and a slot that is free again is used.
func TestOverload(t *testing.T) {
	const slots = 1024
	backend := apitest.NewBackend(nil)
	entered, release := make(chan struct{}, slots), make(chan struct{})
	backend.Intercept(func(_ context.Context, method string) error {
		if method == "Node" {
			entered <- struct{}{}
			<-release
		}
		return nil
	})
	s := serve(t, api.Config{Backend: backend})
	var wg sync.WaitGroup
	for range slots {
		wg.Go(func() {
			conn, err := net.Dial("tcp", hostPort(s))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /v1/node HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			if got, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 200 ")) {
				t.Errorf("%.100s, %v", got, err)
			}
		})
	}
	for range slots {
		<-entered
	}
	a := ask(t, s, "GET", "/v1/peers")
	a.wantProblem(t, 503, fault.Unavailable, "1024 requests")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for _, path := range []string{"/livez", "/readyz", "/readyz/records"} {
		if a := ask(t, s, "GET", path); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	close(release)
	wg.Wait()
	if a := ask(t, s, "GET", "/v1/peers"); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", a.Status)
	}
}
