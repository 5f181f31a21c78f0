package kubernetes

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// account writes the files of a service account that trusts the server, and returns their folder.
func account(t *testing.T, server *httptest.Server) string {
	t.Helper()
	folder := t.TempDir()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string]string{"ca.crt": string(certificate), "token": "secret\n", "namespace": "town"} {
		write(t, folder, name, content)
	}
	return folder
}

func write(t *testing.T, folder, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pod returns the pod NAME of a cluster whose API server is at url.
func pod(t *testing.T, url, folder, name string) *Pod {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Here(env(map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "HOSTNAME": name}), folder)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// object returns a StatefulSet called moot as the API server writes it.
func object(metadata, spec string) string {
	return fmt.Sprintf(`{"kind":"StatefulSet","apiVersion":"apps/v1","metadata":{"name":"moot","namespace":"town"%s},"spec":{%s,"serviceName":"moot-peers"},"status":{"replicas":5}}`, metadata, spec)
}

const notFound = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"statefulsets.apps \"moot\" not found","reason":"NotFound","code":404}`

func TestScaledAway(t *testing.T) {
	for name, tt := range map[string]struct {
		pod    string
		status int
		body   string
		away   bool
		reason string
	}{
		"wanted":                   {"moot-2", 200, object("", `"replicas":3`), false, "one of the 3 replicas"},
		"beyond":                   {"moot-3", 200, object("", `"replicas":3`), true, "beyond the 3 replicas"},
		"far beyond":               {"moot-9", 200, object("", `"replicas":1`), true, "beyond the 1 replicas"},
		"numbered from 5, wanted":  {"moot-7", 200, object("", `"replicas":3,"ordinals":{"start":5}`), false, "one of the 3"},
		"numbered from 5, beyond":  {"moot-8", 200, object("", `"replicas":3,"ordinals":{"start":5}`), true, "beyond the 3"},
		"numbered from 5, before":  {"moot-1", 200, object("", `"replicas":3,"ordinals":{"start":5}`), false, "one of the 3"},
		"being deleted":            {"moot-9", 200, object(`,"deletionTimestamp":"2026-01-01T00:00:00Z"`, `"replicas":3`), false, "being deleted"},
		"no replicas at all":       {"moot-0", 200, object("", `"replicas":0`), false, "nobody could take over"},
		"replicas are not told":    {"moot-9", 200, object("", `"x":0`), false, "does not say"},
		"replicas are null":        {"moot-9", 200, object("", `"replicas":null`), false, "does not say"},
		"fewer than none":          {"moot-9", 200, object("", `"replicas":-1`), false, "does not say"},
		"replicas are text":        {"moot-9", 200, object("", `"replicas":"3"`), false, "not understood"},
		"gone":                     {"moot-9", 404, notFound, false, "does not exist any more"},
		"a 404 of somebody else":   {"moot-9", 404, "404 page not found", false, "answers 404: 404 page not found"},
		"forbidden":                {"moot-9", 403, `{"kind":"Status","message":"User \"x\" cannot get resource"}`, false, `answers 403: User "x" cannot get resource`},
		"unauthorized":             {"moot-9", 401, `{"kind":"Status","message":"Unauthorized"}`, false, "answers 401: Unauthorized"},
		"sent elsewhere":           {"moot-9", 302, "", false, "answers 302"},
		"garbage":                  {"moot-9", 200, "<html>", false, "not understood"},
		"nothing":                  {"moot-9", 200, "", false, "not understood"},
		"cut off":                  {"moot-9", 200, object("", `"replicas":3`)[:80], false, "not understood"},
		"endless":                  {"moot-9", 200, strings.Repeat(" ", maxAnswer+1), false, "longer than"},
		"something else":           {"moot-9", 200, strings.Replace(object("", `"replicas":3`), "StatefulSet", "Deployment", 1), false, "something else"},
		"another set":              {"moot-9", 200, strings.Replace(object("", `"replicas":3`), `"moot"`, `"other"`, 1), false, "something else"},
		"another namespace":        {"moot-9", 200, strings.Replace(object("", `"replicas":3`), `"town"`, `"village"`, 1), false, "something else"},
		"another API":              {"moot-9", 200, strings.Replace(object("", `"replicas":3`), "apps/v1", "apps/v2", 1), false, "something else"},
		"a status in place of one": {"moot-9", 200, notFound, false, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/apis/apps/v1/namespaces/town/statefulsets/moot" || r.Header.Get("Authorization") != "Bearer secret" {
					t.Errorf("asked %s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
				}
				w.Header().Set("Location", "https://127.0.0.1:1/")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			}))
			defer server.Close()
			away, reason := pod(t, server.URL, account(t, server), tt.pod).ScaledAway(t.Context())
			if away != tt.away || !strings.Contains(reason, tt.reason) {
				t.Errorf("%t, %q; want %t, %q", away, reason, tt.away, tt.reason)
			}
		})
	}
}

// A failure that may pass is tried again, with the token as it is then.
func TestTriesAgain(t *testing.T) {
	var folder string
	tries := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries++
		switch {
		case tries == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			write(t, folder, "token", "newer")
		case tries == 2:
			w.WriteHeader(http.StatusTooManyRequests)
		case r.Header.Get("Authorization") != "Bearer newer":
			t.Errorf("the token is %q", r.Header.Get("Authorization"))
		default:
			fmt.Fprint(w, object("", `"replicas":3`))
		}
	}))
	defer server.Close()
	folder = account(t, server)
	if away, reason := pod(t, server.URL, folder, "moot-3").ScaledAway(t.Context()); !away || tries != 3 {
		t.Errorf("%t, %q after %d tries", away, reason, tries)
	}
}

func TestDoubtMeansStaying(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, object("", `"replicas":3`)) }))
	defer server.Close()
	for name, tt := range map[string]struct {
		file, content string
		reason        string
	}{
		"no token":                 {"token", "", "want one line"},
		"a token of two lines":     {"token", "a\nb", "want one line"},
		"no certificates":          {"ca.crt", "x", "no certificate"},
		"an endless file":          {"ca.crt", strings.Repeat("x", maxFile+1), "longer than"},
		"a namespace that is none": {"namespace", "../x", "is no name"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := account(t, server)
			write(t, folder, tt.file, tt.content)
			if away, reason := pod(t, server.URL, folder, "moot-9").ScaledAway(t.Context()); away || !strings.Contains(reason, tt.reason) {
				t.Errorf("%t, %q; want %q", away, reason, tt.reason)
			}
		})
	}
	if away, reason := pod(t, server.URL, t.TempDir(), "moot-9").ScaledAway(t.Context()); away || !strings.Contains(reason, "no service account") {
		t.Errorf("without a service account: %t, %q", away, reason)
	}
	// A server whose certificate is not of the cluster's is not told the token, however long it is tried.
	t.Run("a stranger", func(t *testing.T) {
		stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
		stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
		stranger.StartTLS()
		defer stranger.Close()
		folder := account(t, stranger)
		write(t, folder, "ca.crt", string(otherAuthority(t)))
		p := pod(t, stranger.URL, folder, "moot-9")
		if _, _, err := p.call(t.Context(), http.MethodGet, "/version", nil); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v", err)
		}
	})
}

// otherAuthority returns a certificate that has signed nobody's.
func otherAuthority(t *testing.T) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// silence connects to a server that never says anything.
func silence(context.Context, string, string) (net.Conn, error) {
	conn, _ := net.Pipe()
	return conn, nil
}

// Neither a server that nobody reaches nor one that says nothing holds the pod up for longer than is bounded.
func TestServerThatDoesNotAnswer(t *testing.T) {
	template := httptest.NewTLSServer(http.NotFoundHandler())
	defer template.Close()
	folder := account(t, template)
	t.Run("refuses", func(t *testing.T) {
		p := pod(t, template.URL, folder, "moot-9")
		p.server = "127.0.0.1:1"
		if _, _, err := p.call(t.Context(), http.MethodGet, "/version", nil); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v", err)
		}
	})
	t.Run("is silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := pod(t, template.URL, folder, "moot-9")
			began := time.Now()
			p.dial = silence
			away, reason := p.ScaledAway(t.Context())
			if took := time.Since(began); away || took > askTimeout || took < tryTimeout || !strings.Contains(reason, "deadline") {
				t.Errorf("%t, %q after %s", away, reason, took)
			}
		})
	})
}
