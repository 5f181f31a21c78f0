package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/internal/apitoken"
)

const examplesFile = "examples.json"

// oneToken is the token "TOKEN", which may everything.
type oneToken struct{}

func (oneToken) Find(text string, _ time.Time) (apitoken.Token, bool) {
	return apitoken.Token{ID: "one", Scope: apitoken.Admin}, text == "TOKEN"
}
func (oneToken) Len() int { return 1 }

// TestExamples sends the request of each example and compares the answer. `go test ./api -run Examples -update` writes the answers anew.
func TestExamples(t *testing.T) {
	var list []api.Exchange
	data, err := os.ReadFile(examplesFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	backend := apitest.NewBackend(func() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) })
	registry := prometheus.NewRegistry()
	height := prometheus.NewGauge(prometheus.GaugeOpts{Name: "moot_ledger_height", Help: "Height of the newest block."})
	registry.MustRegister(height)
	s := serve(t, api.Config{Backend: backend, Ledger: apitest.Ledger{}, Gatherer: registry, Tokens: oneToken{}})
	for i := range list {
		e := &list[i]
		contentType, got := answerOf(t, s, backend, e)
		if *update {
			e.Type, e.Answer = contentType, got
			continue
		}
		if contentType != e.Type || !sameJSON(got, e.Answer) {
			t.Errorf("%s: the answer is %s %s, the example %s %s: run go test ./api -run 'Examples|OpenAPIFile' -update twice, and look at the difference", e.Operation, contentType, got, e.Type, e.Answer)
		}
	}
	if *update {
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(list); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(examplesFile, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y) || len(a) == 0 && len(b) == 0
}

// answerOf sends the request of an example. Of an answer without an end it takes the beginning, with an event.
func answerOf(t *testing.T, s *api.Server, backend *apitest.Backend, e *api.Exchange) (contentType string, body json.RawMessage) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), e.Method, s.URL()+e.Target, strings.NewReader(e.BodyText()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(e.BodyText(), "{") {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range e.Header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s %s", e.Operation, resp.Status, text)
	}
	contentType, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
	var text []byte
	if contentType == v1.EventsType {
		text = firstEvents(t, resp.Body, backend, e)
	} else if text, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	switch {
	case e.Operation == "openapi":
		return contentType, briefDocument(t, text)
	case e.Operation == "backup":
		return contentType, nil // bytes
	case e.Method == http.MethodHead:
		return "", nil
	case contentType == "application/json":
		return contentType, text
	}
	quoted, err := json.Marshal(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return contentType, quoted
}

// firstEvents reads a stream until its first event, which happens meanwhile.
func firstEvents(t *testing.T, body io.Reader, backend *apitest.Backend, e *api.Exchange) []byte {
	t.Helper()
	lines, text := bufio.NewScanner(body), []byte{}
	for lines.Scan() {
		if bytes.HasPrefix(text, []byte("retry:")) && !bytes.Contains(text, []byte("\n\n")) && lines.Text() == "" {
			switch e.Operation {
			case "watch-records":
				if _, err := backend.PutRecord(t.Context(), "greeting", []byte("hello again"), api.PutOptions{}); err != nil {
					t.Fatal(err)
				}
			case "subscribe":
				if _, err := backend.Publish(t.Context(), "weather", []byte("sunny")); err != nil {
					t.Fatal(err)
				}
			}
		}
		text = append(append(text, lines.Bytes()...), '\n')
		if bytes.Contains(text, []byte("data: ")) && lines.Text() == "" {
			return text
		}
	}
	t.Fatalf("%s: the stream ends with %q, %v", e.Operation, text, lines.Err())
	return nil
}

// briefDocument is as much of the document as is shown of it in itself.
func briefDocument(t *testing.T, text []byte) json.RawMessage {
	t.Helper()
	var doc struct {
		OpenAPI string                          `json:"openapi"`
		Info    struct{ Title, Version string } `json:"info"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	brief, err := json.Marshal(map[string]any{"openapi": doc.OpenAPI, "info": map[string]string{"title": doc.Info.Title, "version": doc.Info.Version}})
	if err != nil {
		t.Fatal(err)
	}
	return brief
}

// TestExamplesFitTheSchema holds each example in the document to its schema, and misses none.
func TestExamplesFitTheSchema(t *testing.T) {
	doc, err := api.Document(apitest.NewBackend(nil), apitest.Ledger{})
	if err != nil {
		t.Fatal(err)
	}
	var list []api.Exchange
	if err := json.Unmarshal(api.EmbeddedExamples(), &list); err != nil {
		t.Fatal(err)
	}
	examples := map[string]api.Exchange{}
	for _, e := range list {
		examples[e.Operation] = e
	}
	for _, op := range api.Operations(doc) {
		e, ok := examples[op.OperationID]
		if !ok || e.Method != op.Method {
			t.Errorf("%s has no example", op.OperationID)
			continue
		}
		delete(examples, op.OperationID)
		for _, err := range api.CheckExample(doc, op) {
			t.Errorf("%s: the example does not fit the schema: %v", op.OperationID, err)
		}
		if m := op.Responses["200"].Content[e.Type]; e.Answer != nil && (m == nil || m.Example == nil) {
			t.Errorf("%s: the answer %s has no example in the document", op.OperationID, e.Type)
		}
		for _, p := range op.Parameters {
			if p.Required && p.Example == nil {
				t.Errorf("%s: parameter %s has no example", op.OperationID, p.Name)
			}
		}
		for _, status := range []string{"400", "403", "500", "503"} {
			if op.Responses[status] == nil {
				t.Errorf("%s: nothing says of an answer %s", op.OperationID, status)
			}
		}
	}
	for id := range examples {
		t.Errorf("there is an example of %s, which there is not", id)
	}
}
