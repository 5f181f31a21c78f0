package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/fault"
)

const token = "s3cret-token"

func TestToken(t *testing.T) {
	for _, cfg := range []api.Config{
		{Token: token},
		{Token: token, Listen: "0.0.0.0:0", Insecure: true},
	} {
		s := serve(t, cfg)
		for _, path := range []string{"/v1/node", "/v1/records/k", "/metrics", "/openapi.json", "/no/such"} {
			for _, header := range []string{
				"X-Nothing: x", "Authorization: Bearer wrong", "Authorization: Bearer " + token + "x", "Authorization: Bearer " + token[1:],
				"Authorization: Bearer", "Authorization: Bearer ", "Authorization: Basic " + token, "Authorization: " + token,
			} {
				a := ask(t, s, "GET", path, header)
				a.wantProblem(t, 401, fault.Forbidden, "token")
				if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
					t.Errorf("WWW-Authenticate %q", got)
				}
			}
		}
		for _, header := range []string{"Authorization: Bearer " + token, "Authorization: bearer  " + token} {
			if a := ask(t, s, "GET", "/v1/node", header); a.StatusCode != http.StatusOK {
				t.Errorf("with %q: %s", header, a.Status)
			}
		}
		// The token vouches for the caller, whatever name it came by.
		a := send(t, hostPort(s), "GET /v1/node HTTP/1.1\nHost: moot.example.org\nOrigin: https://example.org\nSec-Fetch-Site: cross-site\n"+
			"Connection: close\nAuthorization: Bearer "+token+"\n\n")
		if a.StatusCode != http.StatusOK {
			t.Errorf("with the token by another name: %s", a.Status)
		}
		for _, path := range []string{"/livez", "/readyz", "/readyz/records"} {
			if a := ask(t, s, "GET", path); a.StatusCode != http.StatusOK {
				t.Errorf("%s without a token: %s", path, a.Status)
			}
		}
	}
}

// TestHosts is about DNS rebinding: a page's own host name that resolves to this machine.
func TestHosts(t *testing.T) {
	s := serve(t, api.Config{})
	_, port, _ := strings.Cut(hostPort(s), ":")
	for host, ok := range map[string]bool{
		hostPort(s): true, "127.0.0.1": true, "localhost": true, "LocalHost:" + port: true, "localhost:1": true,
		"[::1]:" + port: true, "[::1]": true, "127.9.9.9": true, "[::ffff:127.0.0.1]": true,
		"example.org": false, "example.org:" + port: false, "localhost.example.org": false, "127.0.0.1.example.org": false,
		"192.0.2.1": false, "0.0.0.0:" + port: false, "[::]:" + port: false, "xlocalhost": false, "": false, ":" + port: false, "127.1": false,
	} {
		for _, path := range []string{"/v1/node", "/livez", "/metrics", "/no/such"} {
			a := send(t, hostPort(s), "GET "+path+" HTTP/1.1\nHost: "+host+"\nConnection: close\n\n")
			if !ok {
				a.wantProblem(t, 403, fault.Forbidden, "host")
			} else if a.StatusCode == http.StatusForbidden {
				t.Errorf("host %q: %s", host, a.Status)
			}
		}
	}
	// A token that the server does not have vouches for nobody.
	send(t, hostPort(s), "GET /v1/node HTTP/1.1\nHost: example.org\nConnection: close\nAuthorization: Bearer\n\n").
		wantProblem(t, 403, fault.Forbidden, "host")
	send(t, hostPort(s), "GET /v1/node HTTP/1.0\n\n").wantProblem(t, 403, fault.Forbidden, "host")
	// What the request line says is the host too.
	send(t, hostPort(s), "GET http://example.org/v1/node HTTP/1.1\nHost: localhost\nConnection: close\n\n").
		wantProblem(t, 403, fault.Forbidden, "host")
}

func TestHealthByAnyHostWhereOthersReachIt(t *testing.T) {
	s := serve(t, api.Config{Listen: "0.0.0.0:0", Token: token, Insecure: true})
	for _, host := range []string{"192.0.2.7:7070", "moot.example.org"} {
		if a := send(t, hostPort(s), "GET /livez HTTP/1.1\nHost: "+host+"\nConnection: close\n\n"); a.StatusCode != http.StatusOK {
			t.Errorf("livez by %s: %s", host, a.Status)
		}
	}
	ask(t, s, "GET", "/livez", "Origin: https://example.org").wantProblem(t, 403, fault.Forbidden, "origin")
}

func TestOrigins(t *testing.T) {
	s := serve(t, api.Config{})
	own := "Origin: " + s.URL()
	for _, c := range []struct {
		headers []string
		ok      bool
	}{
		{nil, true},
		{[]string{own}, true},
		{[]string{own, "Sec-Fetch-Site: same-origin"}, true},
		{[]string{"Sec-Fetch-Site: none"}, true},
		{[]string{"Origin: https://example.org"}, false},
		{[]string{"Origin: null"}, false},
		{[]string{"Origin: http://localhost:3000"}, false},
		{[]string{"Origin: http://127.0.0.1"}, false},
		{[]string{strings.Replace(own, "http:", "https:", 1)}, false},
		{[]string{own + ".example.org"}, false},
		{[]string{own, "Origin: https://example.org"}, false},
		{[]string{"Sec-Fetch-Site: cross-site"}, false},
		{[]string{"Sec-Fetch-Site: same-site"}, false},
		{[]string{own, "Sec-Fetch-Site: cross-site"}, false},
	} {
		for _, request := range []string{"GET /v1/node", "POST /v1/ping", "PUT /v1/records/k", "OPTIONS /v1/node", "GET /readyz", "GET /readyz/records"} {
			method, path, _ := strings.Cut(request, " ")
			a := ask(t, s, method, path, append([]string{"Content-Length: 0"}, c.headers...)...)
			if !c.ok {
				a.wantProblem(t, 403, fault.Forbidden, "may not call this node")
			} else if a.StatusCode == http.StatusForbidden {
				t.Errorf("%s with %q: %s", request, c.headers, a.Status)
			}
			for name := range a.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s with %q answers header %s", request, c.headers, name)
				}
			}
		}
	}
}

func TestSafetyHeaders(t *testing.T) {
	s := serve(t, api.Config{Version: "1.2.3"})
	for _, path := range []string{"/v1/node", "/no/such", "/livez", "/openapi.json", "/metrics"} {
		a := ask(t, s, "GET", path)
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Cache-Control") != "no-store" ||
			a.Header.Get("Content-Security-Policy") == "" || a.Header.Get("Server") != "moot/1.2.3" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
	}
}
