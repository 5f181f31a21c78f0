package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
)

func TestRecord(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := serve(t, api.Config{Backend: apitest.NewBackend(func() time.Time { return now })})
	value := "\x00\xff exact\r\nbytes"
	a := askWith(t, s, "PUT", "/v1/records/k?ttl=36h&consistency=all", value, "Content-Type: text/html")
	var w v1.Written
	if err := json.Unmarshal(a.body, &w); err != nil || a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("PUT: %s %s %v", a.Status, a.body, err)
	}
	expires := now.Add(36 * time.Hour)
	if w.Key != "k" || w.Author != apitest.Self || !w.Expires.Equal(expires) || w.Copies.Stored == 0 || a.Header.Get("ETag") != `"`+w.Version+`"` {
		t.Errorf("PUT: %+v, ETag %s", w, a.Header.Get("ETag"))
	}

	a = ask(t, s, "GET", "/v1/records/k")
	checkRecordHeaders(t, a, w, expires)
	if string(a.body) != value || a.Header.Get("Content-Type") != "application/octet-stream" || a.ContentLength != int64(len(value)) {
		t.Errorf("GET: %q, %v", a.body, a.Header)
	}
	a = ask(t, s, "HEAD", "/v1/records/k")
	checkRecordHeaders(t, a, w, expires)
	if len(a.body) != 0 || a.ContentLength != int64(len(value)) || a.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("HEAD: %q, %v", a.body, a.Header)
	}

	a = ask(t, s, "GET", "/v1/records/k", "Accept: application/json")
	var rec v1.Record
	if err := json.Unmarshal(a.body, &rec); err != nil || rec.Value != nil || string(rec.ValueBase64) != value || string(rec.Bytes()) != value ||
		rec.Key != "k" || rec.Version != w.Version || rec.Author != w.Author || !rec.Expires.Equal(expires) {
		t.Errorf("GET JSON: %s, %v", a.body, err)
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Vary") != "Accept" || a.Header.Get("ETag") != `W/"`+w.Version+`"` {
		t.Errorf("GET JSON: %v", a.Header)
	}
}

// TestEnvelope asks for a record as its author signed it, of which there is none where nobody did.
func TestEnvelope(t *testing.T) {
	s := serve(t, api.Config{})
	askWith(t, s, "PUT", "/v1/records/k", "text")
	a := ask(t, s, "GET", "/v1/records/k", "Accept: "+v1.EnvelopeType)
	if string(a.body) != "signed k" || a.Header.Get("Content-Type") != v1.EnvelopeType || !strings.HasPrefix(a.Header.Get("ETag"), "W/") {
		t.Errorf("%s %q, %v", a.Status, a.body, a.Header)
	}
	c, err := client.New(s.URL(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Envelope(t.Context(), "k"); err != nil || string(got) != "signed k" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.Envelope(t.Context(), "none"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of no record: %v", err)
	}
	askWith(t, s, "PUT", "/v1/records/"+apitest.Unsigned, "text")
	if _, err := c.Envelope(t.Context(), apitest.Unsigned); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "nobody signed") {
		t.Errorf("of an unsigned record: %v", err)
	}
}

func checkRecordHeaders(t *testing.T, a answer, w v1.Written, expires time.Time) {
	t.Helper()
	h := a.Header
	if a.StatusCode != http.StatusOK || h.Get("ETag") != `"`+w.Version+`"` || h.Get(v1.HeaderVersion) != w.Version ||
		h.Get(v1.HeaderAuthor) != w.Author || h.Get(v1.HeaderExpires) != expires.Format(time.RFC3339) {
		t.Errorf("%s: %s, %v", a.Request.Method, a.Status, h)
	}
}

func TestRecordThatLivesForEver(t *testing.T) {
	s := serve(t, api.Config{})
	a := askWith(t, s, "PUT", "/v1/records/k", "text")
	if a.StatusCode != http.StatusOK || strings.Contains(string(a.body), "expires") {
		t.Errorf("PUT: %s", a.body)
	}
	if a := ask(t, s, "GET", "/v1/records/k"); a.Header.Values(v1.HeaderExpires) != nil || string(a.body) != "text" {
		t.Errorf("GET: %v %q", a.Header, a.body)
	}
	a = ask(t, s, "GET", "/v1/records/k", "Accept: application/json")
	if !strings.Contains(string(a.body), `"value":"text"`) || strings.Contains(string(a.body), "expires") {
		t.Errorf("GET JSON: %s", a.body)
	}
	ask(t, s, "GET", "/v1/records/none").wantProblem(t, 404, fault.NotFound, `"none"`)
	if a := ask(t, s, "HEAD", "/v1/records/none"); a.StatusCode != 404 || len(a.body) != 0 {
		t.Errorf("HEAD of nothing: %s %q", a.Status, a.body)
	}
}

func TestNotModified(t *testing.T) {
	s := serve(t, api.Config{})
	a := askWith(t, s, "PUT", "/v1/records/k", "value")
	etag := a.Header.Get("ETag")
	for header, want := range map[string]int{
		etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, etag + `,"x"`: 304, "*": 304,
		`"x"`: 200, strings.Trim(etag, `"`): 200, `W/"x"`: 200, ",": 200,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			for _, accept := range []string{"*/*", "application/json"} {
				a := ask(t, s, method, "/v1/records/k", "If-None-Match: "+header, "Accept: "+accept)
				if a.StatusCode != want || a.Header.Get(v1.HeaderVersion) == "" {
					t.Errorf("%s %s If-None-Match %s: %s, want %d", method, accept, header, a.Status, want)
				}
				if want == 304 && (len(a.body) != 0 || a.Header.Get("ETag") == "" || a.Header.Get("Content-Type") != "") {
					t.Errorf("%s %s If-None-Match %s: %q, %v", method, accept, header, a.body, a.Header)
				}
			}
		}
	}
	ask(t, s, "GET", "/v1/records/none", "If-None-Match: *").wantProblem(t, 404, fault.NotFound, "none")
}

func TestWritesThatWouldMeanSomethingElse(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	for _, header := range []string{"If-Unmodified-Since: Tue, 01 Jan 2030 00:00:00 GMT", "Content-Range: bytes 0-1/2", "Content-Encoding: gzip"} {
		name, _, _ := strings.Cut(header, ":")
		for _, method := range []string{"PUT", "DELETE"} {
			askWith(t, s, method, "/v1/records/k", "v", header).wantProblem(t, 400, fault.Invalid, name)
		}
	}
	if _, err := backend.GetRecord(t.Context(), "k", api.GetOptions{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a refused write was stored: %v", err)
	}
}

func TestBodyLimits(t *testing.T) {
	s := serve(t, api.Config{})
	exact := strings.Repeat("v", v1.MaxValue)
	if a := askWith(t, s, "PUT", "/v1/records/k", exact); a.StatusCode != http.StatusOK {
		t.Fatalf("PUT of the largest value: %s %s", a.Status, a.body)
	}
	if a := ask(t, s, "GET", "/v1/records/k"); string(a.body) != exact {
		t.Errorf("GET of the largest value: %s, %d bytes", a.Status, len(a.body))
	}
	if a := askWith(t, s, "PUT", "/v1/records/k", ""); a.StatusCode != http.StatusOK {
		t.Errorf("PUT of an empty value: %s %s", a.Status, a.body)
	}
	if a := ask(t, s, "GET", "/v1/records/k"); a.StatusCode != http.StatusOK || len(a.body) != 0 || a.ContentLength != 0 {
		t.Errorf("GET of an empty value: %s, %d bytes", a.Status, len(a.body))
	}
	askWith(t, s, "PUT", "/v1/records/k", exact+"v").wantProblem(t, 413, fault.TooLarge, "limit")
	ask(t, s, "PUT", "/v1/records/k", "Content-Length: 99999999999").wantProblem(t, 413, fault.TooLarge, "99999999999 bytes")
	ask(t, s, "POST", "/v1/ping", "Content-Length: 99999999999").wantProblem(t, 413, fault.TooLarge, "99999999999 bytes")
	askWith(t, s, "POST", "/v1/ping", strings.Repeat(" ", 64<<10)).wantProblem(t, 413, fault.TooLarge, "limit")

	head := "PUT /v1/records/chunked HTTP/1.1\nHost: localhost\nConnection: close\nTransfer-Encoding: chunked\n\n"
	if a := send(t, hostPort(s), head+"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"); a.StatusCode != http.StatusOK {
		t.Errorf("PUT in chunks: %s %s", a.Status, a.body)
	}
	if a := ask(t, s, "GET", "/v1/records/chunked"); string(a.body) != "abcde" {
		t.Errorf("GET of what came in chunks: %q", a.body)
	}
	send(t, hostPort(s), head+fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(exact)+1, exact+"v")).wantProblem(t, 413, fault.TooLarge, "limit")
	if a := ask(t, s, "GET", "/v1/records/chunked"); string(a.body) != "abcde" {
		t.Errorf("a refused write was stored: %d bytes", len(a.body))
	}
}

// TestValuesAreTheBackends checks that the server does not touch the bytes that it has handed over, whatever it reads next.
func TestValuesAreTheBackends(t *testing.T) {
	keeper := &keeper{Backend: apitest.NewBackend(nil)}
	s := serve(t, api.Config{Backend: keeper})
	const writes = 20
	for i := range writes {
		if a := askWith(t, s, "PUT", "/v1/records/k", strings.Repeat(string(rune('a'+i)), 100)); a.StatusCode != http.StatusOK {
			t.Fatal(a.Status)
		}
	}
	for i, value := range keeper.kept {
		if !bytes.Equal(value, bytes.Repeat([]byte{byte('a' + i)}, 100)) {
			t.Errorf("value %d is now %q", i, value)
		}
	}
}

// keeper keeps the slices that it is given.
type keeper struct {
	*apitest.Backend
	mu   sync.Mutex
	kept [][]byte // guarded by mu
}

func (k *keeper) PutRecord(_ context.Context, _ string, value []byte, _ api.PutOptions) (v1.Written, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append(k.kept, value)
	return v1.Written{Version: "1"}, nil
}

func TestManyClients(t *testing.T) {
	s := serve(t, api.Config{})
	const clients, rounds = 16, 20
	var wg sync.WaitGroup
	httpClient := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer httpClient.CloseIdleConnections()
	for i := range clients {
		wg.Go(func() {
			for j := range rounds {
				want := bytes.Repeat(fmt.Appendf(nil, "%d.%d,", i, j), 1+j*100)
				target := fmt.Sprintf("%s/v1/records/%d", s.URL(), i)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target, bytes.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := roundTrip(httpClient, req); err != nil {
					t.Error(err)
				}
				if req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil); err != nil {
					t.Error(err)
					return
				}
				if got, err := roundTrip(httpClient, req); err != nil || !bytes.Equal(got, want) {
					t.Errorf("client %d, round %d: %d bytes, want %d, %v", i, j, len(got), len(want), err)
				}
			}
		})
	}
	wg.Wait()
}

func roundTrip(c *http.Client, req *http.Request) ([]byte, error) {
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", req.Method, req.URL, resp.Status)
	}
	return body, err
}
