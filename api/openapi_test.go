package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/internal/apitoken"
	"github.com/folkmoot/folkmoot/internal/goldentest"
)

var update = flag.Bool("update", false, "write openapi.json anew")

func openAPI(t *testing.T) []byte {
	t.Helper()
	a := ask(t, serve(t, api.Config{}), "GET", "/openapi.json")
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%s, %v", a.Status, a.Header)
	}
	return a.body
}

// TestOpenAPIFile holds the copy in the tree to what the server says. `go test ./api -run OpenAPIFile -update` writes it.
func TestOpenAPIFile(t *testing.T) {
	goldentest.Check(t, "openapi.json", openAPI(t), *update, "go test ./api -run OpenAPIFile -update")
}

type parameter struct {
	Name     string          `json:"name"`
	In       string          `json:"in"`
	Required bool            `json:"required"`
	Schema   json.RawMessage `json:"schema"`
}

type operation struct {
	OperationID string      `json:"operationId"`
	Summary     string      `json:"summary"`
	Parameters  []parameter `json:"parameters"`
	Responses   map[string]struct {
		Ref         string                     `json:"$ref"`
		Description string                     `json:"description"`
		Content     map[string]json.RawMessage `json:"content"`
	} `json:"responses"`
	Security []map[string][]string `json:"security"`
}

// routes are the documented ones; each is asked for below.
var routes = []string{
	"DELETE /v1/leave", "POST /v1/leave", "POST /v1/backup",
	"GET /livez", "GET /metrics", "GET /openapi.json", "GET /readyz", "GET /readyz/records", "GET /v1/node", "GET /v1/doctor", "GET /v1/members", "GET /v1/peers", "GET /v1/peers/{id}",
	"POST /v1/peers/{id}/ping", "POST /v1/ping", "GET /v1/providers/{key}", "PUT /v1/providers/{key}", "GET /v1/records",
	"GET /v1/ledger", "GET /v1/ledger/accounts/{account}", "GET /v1/ledger/anchors/{digest}", "GET /v1/ledger/assets/{asset}", "GET /v1/ledger/blocks/{height}", "GET /v1/ledger/genesis",
	"GET /v1/ledger/history/{account}", "GET /v1/ledger/receipts/balances/{account}", "GET /v1/ledger/receipts/transactions/{id}",
	"GET /v1/ledger/transactions/{id}", "GET /v1/ledger/invites", "GET /v1/ledger/validators", "GET /v1/ledger/signers", "POST /v1/ledger/transfers", "POST /v1/ledger/batches", "POST /v1/ledger/transactions",
	"POST /v1/topics/{topic}", "GET /v1/topics/{topic}/events",
	"GET /v1/network", "GET /v1/network/events", "GET /v1/events", "GET /v1/holders/{key}", "GET /v1/standing",
	"DELETE /v1/records/{key}", "GET /v1/records/{key}", "HEAD /v1/records/{key}", "PUT /v1/records/{key}",
}

// documented returns the operations of the document by their method and path.
func documented(t *testing.T) map[string]operation {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	if err := json.Unmarshal(openAPI(t), &doc); err != nil {
		t.Fatal(err)
	}
	operations := map[string]operation{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			operations[strings.ToUpper(method)+" "+path] = op
		}
	}
	return operations
}

// open says whether an operation needs no token.
func (op operation) open() bool { return len(op.Security) == 1 && len(op.Security[0]) == 0 }

// scope returns what a token must have.
func (op operation) scope(t *testing.T) apitoken.Scope {
	t.Helper()
	if op.OperationID == "sign-transfer" { // a token is needed in any case
		op.Security = append([]map[string][]string{{}}, op.Security...)
	}
	if len(op.Security) != 2 || len(op.Security[0]) > 0 || len(op.Security[1]["token"]) != 1 {
		t.Fatalf("%s: security %v", op.OperationID, op.Security)
	}
	return apitoken.Scope(op.Security[1]["token"][0])
}

func TestOpenAPIDocument(t *testing.T) {
	document := openAPI(t)
	var doc struct {
		OpenAPI    string                          `json:"openapi"`
		Info       struct{ Title, Version string } `json:"info"`
		Paths      map[string]map[string]operation `json:"paths"`
		Components struct {
			Schemas         map[string]json.RawMessage `json:"schemas"`
			Responses       map[string]json.RawMessage `json:"responses"`
			SecuritySchemes map[string]json.RawMessage `json:"securitySchemes"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" || doc.Components.SecuritySchemes["token"] == nil {
		t.Errorf("version %q, info %+v", doc.OpenAPI, doc.Info)
	}
	var documented []string
	ids := map[string]string{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			route := strings.ToUpper(method) + " " + path
			documented = append(documented, route)
			if ids[op.OperationID] != "" || op.OperationID == "" || op.Summary == "" {
				t.Errorf("%s: operation id %q, also of %q; summary %q", route, op.OperationID, ids[op.OperationID], op.Summary)
			}
			ids[op.OperationID] = route
			checkOperation(t, route, op)
		}
	}
	slices.Sort(documented)
	want := slices.Sorted(slices.Values(routes))
	if !slices.Equal(documented, want) {
		t.Errorf("documented are %q, want %q", documented, want)
	}
	for _, ref := range regexp.MustCompile(`"\$ref": "([^"]*)"`).FindAllSubmatch(document, -1) {
		schema, isSchema := strings.CutPrefix(string(ref[1]), "#/components/schemas/")
		response, isResponse := strings.CutPrefix(string(ref[1]), "#/components/responses/")
		if !(isSchema && doc.Components.Schemas[schema] != nil) && !(isResponse && doc.Components.Responses[response] != nil) {
			t.Errorf("reference to %s, which is not there", ref[1])
		}
	}
	if doc.Components.Schemas["ErrorModel"] != nil {
		t.Error("huma's error document is among the schemas; errors are of type Problem")
	}
}

func checkOperation(t *testing.T, route string, op operation) {
	t.Helper()
	var inTemplate, declared []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(route, -1) {
		inTemplate = append(inTemplate, m[1])
	}
	for _, p := range op.Parameters {
		if p.Schema == nil {
			t.Errorf("%s: parameter %s has no schema", route, p.Name)
		}
		if p.In == "path" {
			declared = append(declared, p.Name)
			if !p.Required {
				t.Errorf("%s: path parameter %s is not required", route, p.Name)
			}
		}
	}
	if !slices.Equal(inTemplate, declared) {
		t.Errorf("%s: path parameters %q are declared, want %q", route, declared, inTemplate)
	}
	for status, response := range op.Responses {
		if response.Description == "" && response.Ref == "" {
			t.Errorf("%s: answer %s has no description", route, status)
		}
	}
	if strings.HasPrefix(route, "HEAD ") && len(op.Responses["200"].Content) > 0 {
		t.Errorf("%s: the answer has a body", route)
	}
	if op.Responses["200"].Description == "" {
		t.Errorf("%s: no answer 200", route)
	}
	if op.Responses["default"].Content["application/problem+json"] == nil {
		t.Errorf("%s: no problem documents among the answers %v", route, op.Responses)
	}
	if health := strings.HasSuffix(route, "z/records") || strings.HasSuffix(route, "z"); health != op.open() {
		t.Errorf("%s: security %v", route, op.Security)
	}
}

// fillPath puts what the backend and the ledger know into the path of a route.
func fillPath(path string) string {
	return strings.NewReplacer("/transactions/{id}", "/transactions/"+apitest.Transaction, "/balances/{account}", "/balances/"+apitest.Account+"?asset="+apitest.Asset,
		"{id}", apitest.Other, "{key}", "k", "{topic}", "t", "{account}", apitest.Account, "{asset}", apitest.Asset, "{digest}", apitest.Digest, "{height}", "latest").Replace(path)
}

// TestDocumentedRoutesExist asks for each.
func TestDocumentedRoutesExist(t *testing.T) {
	s := serve(t, api.Config{Ledger: apitest.Ledger{}, Tokens: oneToken{}})
	askWith(t, s, "PUT", "/v1/records/k", "v")
	for _, route := range slices.Backward(routes) { // so that k is deleted last
		method, path, _ := strings.Cut(route, " ")
		body, header := "", []string{"Authorization: Bearer TOKEN"}
		switch path {
		case "/v1/events", "/v1/network/events", "/v1/topics/{topic}/events":
			method = "HEAD" // the answer to GET has no end
		case "/v1/ledger/transactions":
			body = "a transaction"
		case "/v1/ledger/batches":
			body = "\x00\x00\x01x"
		case "/v1/ping":
			body = `{"target":"` + apitest.Other + `"}`
		}
		if path == "/v1/ledger/transfers" {
			body, header = transferBody, append(header, "Idempotency-Key: 0123456789abcdef", "Content-Type: application/json")
		}
		if a := askWith(t, s, method, fillPath(path), body, header...); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", route, a.Status, a.body)
		}
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := serve(t, api.Config{Gatherer: registry, Registerer: registry})
	ask(t, s, "GET", "/v1/records/a%2F..//b")
	ask(t, s, "GET", "/v1/records/c")
	ask(t, s, "HEAD", "/v1/node")
	ask(t, s, "BREW", "/v1/x/"+fmt.Sprint(1))
	ask(t, s, "GET", "/v1/node", "Origin: null")
	text := string(ask(t, s, "GET", "/metrics").body)
	for _, want := range []string{
		`moot_api_requests_total{method="GET",route="/v1/records/{key}",status="404"} 2`,
		`moot_api_requests_total{method="HEAD",route="/v1/node",status="200"} 1`,
		`moot_api_requests_total{method="other",route="none",status="404"} 1`,
		`moot_api_requests_total{method="GET",route="none",status="403"} 1`,
		`moot_api_request_seconds_count{method="GET",route="/v1/records/{key}"} 2`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the metrics lack %s:\n%s", want, text)
		}
	}
	if _, err := api.NewServer(api.Config{Backend: apitest.NewBackend(nil), Listen: "127.0.0.1:0", Registerer: registry}); err == nil {
		t.Error("the same metrics were registered twice")
	}
}
