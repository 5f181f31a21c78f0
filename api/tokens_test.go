package api_test

import (
	"log/slog"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/apitoken"
)

// scopedTokens returns the tokens of a home with one of each scope.
func scopedTokens(t *testing.T) (file apitoken.File, set *apitoken.Set, texts map[apitoken.Scope]string) {
	t.Helper()
	file, texts = apitoken.File(filepath.Join(t.TempDir(), "tokens.json")), map[apitoken.Scope]string{}
	for _, scope := range apitoken.Scopes() {
		text, _, err := file.Add(scope, apitoken.Scope(scope), time.Now(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		texts[apitoken.Scope(scope)] = text
	}
	set, err := apitoken.Open(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return file, set, texts
}

// transferBody is a transfer that a node may be asked to sign.
const transferBody = `{"network":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","from":"moot1account","to":"moot1account","asset":"EUR@moot1account","amount":"1","valid_until":"2026-05-01T12:10:00Z"}`

// TestSigningAsksForAToken: what a node signs it signs for nobody without one, though everybody on the machine may do everything else.
func TestSigningAsksForAToken(t *testing.T) {
	_, set, texts := scopedTokens(t)
	pay := func(s *api.Server, header ...string) answer {
		return askWith(t, s, "POST", "/v1/ledger/transfers", transferBody, append([]string{"Content-Type: application/json", "Idempotency-Key: 0123456789abcdef"}, header...)...)
	}
	for what, cfg := range map[string]api.Config{"tokens": {Tokens: set}, "none": {}} {
		cfg.Ledger = apitest.Ledger{}
		s := serve(t, cfg)
		pay(s).wantProblem(t, 401, fault.Forbidden, "scope admin")
		pay(s, "Authorization: Bearer wrong").wantProblem(t, 401, fault.Forbidden, "token")
		if a := ask(t, s, "GET", "/v1/ledger/signers"); a.StatusCode != http.StatusOK {
			t.Errorf("%s: signers: %s", what, a.Status)
		}
		if what == "none" {
			continue
		}
		pay(s, "Authorization: Bearer "+texts[apitoken.Write]).wantProblem(t, 403, fault.Forbidden, "scope admin")
		if a := pay(s, "Authorization: Bearer "+texts[apitoken.Admin]); a.StatusCode != http.StatusOK {
			t.Errorf("%s: with the scope admin: %s %s", what, a.Status, a.body)
		}
	}
}

// TestScopes asks for every route with a token of every scope: what is refused is what the OpenAPI document says.
func TestScopes(t *testing.T) {
	_, set, texts := scopedTokens(t)
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend, Ledger: apitest.Ledger{}, Tokens: set, RequireTokens: true})
	operations := documented(t)
	for route, op := range operations {
		method, path, _ := strings.Cut(route, " ")
		if op.open() {
			continue
		}
		need := op.scope(t)
		want := apitoken.Write
		switch {
		case path == "/v1/leave" || path == "/v1/backup" || path == "/v1/ledger/transfers":
			want = apitoken.Admin
		case method == "GET" || method == "HEAD":
			want = apitoken.Read
		}
		if need != want {
			t.Errorf("%s needs %s, want %s", route, need, want)
		}
		for scope, text := range texts {
			if scope.Covers(need) {
				continue
			}
			ask(t, s, method, fillPath(path), "Content-Length: 0", "Authorization: Bearer "+text).wantStatus(t, route, 403)
		}
		if method != "HEAD" {
			ask(t, s, method, fillPath(path), "Content-Length: 0").wantProblem(t, 401, fault.Forbidden, "moot token new")
		}
	}
	if a := askWith(t, s, "PUT", "/v1/records/k", "v", "Authorization: Bearer "+texts[apitoken.Write]); a.StatusCode != http.StatusOK {
		t.Errorf("put with the scope write: %s", a.Status)
	}
	if a := ask(t, s, "POST", "/v1/backup", "Content-Length: 0", "Authorization: Bearer "+texts[apitoken.Admin]); a.StatusCode != http.StatusOK {
		t.Errorf("backup with the scope admin: %s", a.Status)
	}
	askWith(t, s, "PUT", "/v1/records/k", "v", "Authorization: Bearer "+texts[apitoken.Read]).
		wantProblem(t, 403, fault.Forbidden, "the token may read, and this needs the scope write")
	// What is written otherwise in the path is the same.
	ask(t, s, "POST", "/v1/%6ceave", "Content-Length: 0", "Authorization: Bearer "+texts[apitoken.Write]).wantProblem(t, 403, fault.Forbidden, "scope admin")
}

func (a answer) wantStatus(t *testing.T, what string, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s: %s, want %d: %s", what, a.Status, status, a.body)
	}
}

func TestRevokedToken(t *testing.T) {
	file, set, texts := scopedTokens(t)
	for _, require := range []bool{true, false} {
		s := serve(t, api.Config{Tokens: set, RequireTokens: require})
		with := "Authorization: Bearer " + texts[apitoken.Read]
		if require {
			ask(t, s, "GET", "/v1/node", with).wantStatus(t, "with a token", 200)
			if _, err := file.Revoke("read"); err != nil {
				t.Fatal(err)
			}
		}
		a := ask(t, s, "GET", "/v1/node", with)
		a.wantProblem(t, 401, fault.Forbidden, "moot token list")
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("headers %v", a.Header)
		}
		// On a loopback address everybody may call, and a token that is good is held to its scope.
		want := 200
		if require {
			want = 401
		}
		ask(t, s, "GET", "/v1/node").wantStatus(t, "without a token", want)
		askWith(t, s, "POST", "/v1/leave", "", "Authorization: Bearer "+texts[apitoken.Write]).wantStatus(t, "beyond the scope", 403)
	}
}

// TestRates has one token use up what it may, and another, and the machine's own, go on.
func TestRates(t *testing.T) {
	_, set, texts := scopedTokens(t)
	s := serve(t, api.Config{Tokens: set, Rate: 2})
	asked := func(scope apitoken.Scope) answer {
		return ask(t, s, "GET", "/v1/node", "Authorization: Bearer "+texts[scope])
	}
	limited := false
	for range 50 { // two a second, four at once
		if a := asked(apitoken.Read); a.StatusCode != http.StatusOK {
			a.wantProblem(t, 429, fault.Unavailable, "--api-rate")
			if a.Header.Get("Retry-After") != "1" {
				t.Errorf("headers %v", a.Header)
			}
			limited = true
			break
		}
	}
	if !limited {
		t.Error("fifty requests at two a second")
	}
	asked(apitoken.Write).wantStatus(t, "another token", 200)
	for range 20 {
		ask(t, s, "GET", "/v1/node").wantStatus(t, "this machine", 200)
	}
	for _, rate := range []int{-1, math.MaxInt} {
		s = serve(t, api.Config{Tokens: set, Rate: rate})
		for range 20 {
			asked(apitoken.Read).wantStatus(t, "without a bound", 200)
		}
	}
}

var page = fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}, "assets/index-12345678.js": {Data: []byte("1")}}

// TestDashboard serves its files to whoever opens them, and nothing of the node.
func TestDashboard(t *testing.T) {
	_, set, _ := scopedTokens(t)
	s := serve(t, api.Config{UI: page, Tokens: set, RequireTokens: true})
	a := ask(t, s, "GET", "/")
	a.wantStatus(t, "the page", 200)
	if policy := a.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", a.Header)
	}
	if a = ask(t, s, "GET", "/assets/index-12345678.js"); !strings.Contains(a.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("headers %v", a.Header)
	}
	ask(t, s, "HEAD", "/").wantStatus(t, "its headers", 200)
	ask(t, s, "GET", "/v1/node").wantProblem(t, 401, fault.Forbidden, "token")
	ask(t, s, "GET", "/none.js").wantProblem(t, 401, fault.Forbidden, "token")
	ask(t, s, "POST", "/", "Content-Length: 0").wantProblem(t, 401, fault.Forbidden, "token")
	// A link from elsewhere opens it; a page of elsewhere gets nothing.
	ask(t, s, "GET", "/", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document").wantStatus(t, "by a link", 200)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"}, {"Origin: https://example.org"},
	} {
		ask(t, s, "GET", "/", headers...).wantProblem(t, 403, fault.Forbidden, "may not call this node")
	}
	send(t, hostPort(s), "GET / HTTP/1.1\nHost: example.org\nConnection: close\n\n").wantProblem(t, 403, fault.Forbidden, "host")
	s = serve(t, api.Config{UI: page, Tokens: set, Listen: "0.0.0.0:0", Insecure: true})
	send(t, hostPort(s), "GET / HTTP/1.1\nHost: moot.example.org\nConnection: close\n\n").wantStatus(t, "by a name of its own", 200)
	send(t, hostPort(s), "GET /v1/node HTTP/1.1\nHost: moot.example.org\nConnection: close\n\n").wantProblem(t, 403, fault.Forbidden, "host")
	ask(t, serve(t, api.Config{}), "GET", "/").wantProblem(t, 404, fault.Invalid, "no such path")
}
