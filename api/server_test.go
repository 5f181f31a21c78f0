package api_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// serve runs a server of cfg until the test ends, by default of a new backend on a free port of the loopback address.
func serve(t *testing.T, cfg api.Config) *api.Server {
	t.Helper()
	if cfg.Backend == nil {
		cfg.Backend = apitest.NewBackend(nil)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	s, err := api.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

func hostPort(s *api.Server) string {
	_, address, _ := strings.Cut(s.URL(), "://")
	return address
}

// answer is an answer read whole.
type answer struct {
	*http.Response
	body []byte
}

func (a answer) problem(t *testing.T) v1.Problem {
	t.Helper()
	var p v1.Problem
	if got := a.Header.Get("Content-Type"); got != v1.ProblemType {
		t.Errorf("%s: content type %q, want a problem: %q", a.Status, got, a.body)
	} else if err := json.Unmarshal(a.body, &p); err != nil {
		t.Errorf("%s: %v in %q", a.Status, err, a.body)
	}
	return p
}

// wantProblem checks that a is a whole problem document whose detail has some text.
func (a answer) wantProblem(t *testing.T, status int, kind fault.Kind, detail string) {
	t.Helper()
	p := a.problem(t)
	if a.StatusCode != status || p.Status != status || p.Kind != kind.String() || p.Title == "" ||
		p.Type != "urn:folkmoot:problem:"+kind.String() || !strings.Contains(p.Detail, detail) {
		t.Errorf("answer %s with problem %+v; want %d, kind %s, a detail with %q", a.Status, p, status, kind, detail)
	}
}

// send writes a request byte for byte, which http.Client would not, and reads the answer. The text has lines that end in \n.
func send(t *testing.T, address, request string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head, body, _ := strings.Cut(request, "\n\n")
	if _, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"+body); err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	return answer{resp, got}
}

// ask sends a request without a body; headers are "Name: value".
func ask(t *testing.T, s *api.Server, method, target string, headers ...string) answer {
	t.Helper()
	lines := append([]string{method + " " + target + " HTTP/1.1", "Host: " + hostPort(s), "Connection: close"}, headers...)
	return send(t, hostPort(s), strings.Join(lines, "\n")+"\n\n")
}

// askWith sends a request with a body.
func askWith(t *testing.T, s *api.Server, method, target, body string, headers ...string) answer {
	t.Helper()
	lines := append([]string{method + " " + target + " HTTP/1.1", "Host: " + hostPort(s), "Connection: close",
		fmt.Sprint("Content-Length: ", len(body))}, headers...)
	return send(t, hostPort(s), strings.Join(lines, "\n")+"\n\n"+body)
}

func TestConfig(t *testing.T) {
	backend := apitest.NewBackend(nil)
	for _, c := range []struct {
		name string
		cfg  api.Config
		want string // in the error; empty: valid
	}{
		{"loopback", api.Config{Listen: "127.0.0.1:0"}, ""},
		{"another loopback", api.Config{Listen: "127.1.2.3:0"}, ""},
		{"IPv6 loopback", api.Config{Listen: "[::1]:0"}, ""},
		{"localhost", api.Config{Listen: "localhost:0"}, ""},
		{"loopback with a token", api.Config{Listen: "127.0.0.1:0", Token: "t"}, ""},
		{"no port", api.Config{Listen: "127.0.0.1"}, "--api-listen"},
		{"no address", api.Config{}, "--api-listen"},
		{"every address", api.Config{Listen: "0.0.0.0:0"}, "--token-file"},
		{"every address, in short", api.Config{Listen: ":0"}, "--token-file"},
		{"every IPv6 address", api.Config{Listen: "[::]:0"}, "--token-file"},
		{"another address", api.Config{Listen: "192.0.2.1:0"}, "--token-file"},
		{"a name", api.Config{Listen: "localhost.example.org:0"}, "--token-file"},
		{"insecure without a token", api.Config{Listen: ":0", Insecure: true}, "--token-file"},
		{"token without TLS", api.Config{Listen: ":0", Token: "t"}, "--api-insecure"},
		{"token without TLS names the certificate", api.Config{Listen: ":0", Token: "t"}, "--api-tls-cert and --api-tls-key"},
		{"token and insecure", api.Config{Listen: ":0", Token: "t", Insecure: true}, ""},
		{"certificate without key", api.Config{Listen: "127.0.0.1:0", TLSCert: "c"}, "--api-tls-key"},
		{"key without certificate", api.Config{Listen: "127.0.0.1:0", TLSKey: "k"}, "--api-tls-cert"},
		{"token with a newline", api.Config{Listen: "127.0.0.1:0", Token: "t\n"}, "--token-file"},
		{"negative timeout", api.Config{Listen: "127.0.0.1:0", RequestTimeout: -1}, "timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Backend = backend
			err := c.cfg.Validate()
			if c.want == "" && err != nil {
				t.Errorf("error %v, want none", err)
			}
			if c.want != "" && (err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want an invalid one that names %s", err, c.want)
			}
		})
	}
	if err := (&api.Config{Listen: "127.0.0.1:0"}).Validate(); err == nil {
		t.Error("no error without a backend")
	}
}

func TestPortInUse(t *testing.T) {
	s := serve(t, api.Config{})
	_, err := api.NewServer(api.Config{Backend: apitest.NewBackend(nil), Listen: hostPort(s)})
	if err == nil || !strings.Contains(err.Error(), hostPort(s)) || !strings.Contains(err.Error(), "--api-listen") {
		t.Errorf("error %v, want one that names %s and --api-listen", err, hostPort(s))
	}
}

func TestURLOfEveryAddress(t *testing.T) {
	s := serve(t, api.Config{Listen: "0.0.0.0:0", Token: "t", Insecure: true})
	if !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
		t.Errorf("URL %q", s.URL())
	}
	if a := ask(t, s, "GET", "/v1/node", "Authorization: Bearer t"); a.StatusCode != http.StatusOK {
		t.Errorf("node: %s %s", a.Status, a.body)
	}
}

// TestStop ends the server while a request is worked on: the request is cut off, and Run waits for its end.
func TestStop(t *testing.T) {
	backend := apitest.NewBackend(nil)
	entered, left := make(chan struct{}), make(chan struct{})
	backend.Intercept(func(ctx context.Context, _ string) error {
		close(entered)
		<-ctx.Done()
		defer close(left)
		return ctx.Err()
	})
	s, err := api.NewServer(api.Config{Backend: backend, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	conn, err := net.Dial("tcp", hostPort(s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/node HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-entered
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	select {
	case <-left:
	default:
		t.Error("Run returned before the request's handler")
	}
	if _, err := net.Dial("tcp", hostPort(s)); err == nil {
		t.Error("the address still answers")
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

// TestStopFinishesRequests ends Run's context while a request is worked on: the request still gets its answer.
func TestStopFinishesRequests(t *testing.T) {
	backend := apitest.NewBackend(nil)
	entered, release := make(chan struct{}), make(chan struct{})
	backend.Intercept(func(context.Context, string) error {
		close(entered)
		<-release
		return nil
	})
	s, err := api.NewServer(api.Config{Backend: backend, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	answered := make(chan answer, 1)
	go func() { answered <- ask(t, s, "GET", "/v1/node") }()
	<-entered
	cancel()
	close(release)
	if a := <-answered; a.StatusCode != http.StatusOK {
		t.Errorf("answer %s", a.Status)
	}
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

// writeCertificate makes a self-signed certificate for 127.0.0.1 and returns its files.
func writeCertificate(t *testing.T, dir string, serial int64) (certFile, keyFile string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "moot"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile, cert
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, cert := writeCertificate(t, dir, 1)
	s := serve(t, api.Config{Listen: "0.0.0.0:0", Token: "t", TLSCert: certFile, TLSKey: keyFile})
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Errorf("URL %q", s.URL())
	}
	handshake := func(cert *x509.Certificate, maxVersion uint16) error {
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MaxVersion: maxVersion}, DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: transport}).Get(s.URL() + "/livez")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.TLS == nil {
			return fmt.Errorf("answer %s", resp.Status)
		}
		return nil
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if err := handshake(cert, version); err != nil {
			t.Errorf("TLS %x: %v", version, err)
		}
	}
	if err := handshake(cert, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is accepted")
	}

	// A renewed certificate is taken up; a broken one is not.
	_, _, renewed := writeCertificate(t, dir, 2)
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(certFile, later, later); err != nil {
		t.Fatal(err)
	}
	if err := handshake(renewed, 0); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	if err := handshake(cert, 0); err == nil {
		t.Error("the old certificate is still served")
	}
	if err := os.WriteFile(certFile, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := handshake(renewed, 0); err != nil {
		t.Errorf("while the file is broken: %v", err)
	}
}

func TestTLSFilesMissing(t *testing.T) {
	_, err := api.NewServer(api.Config{Backend: apitest.NewBackend(nil), Listen: "127.0.0.1:0", TLSCert: "/no/cert", TLSKey: "/no/key"})
	if err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "--api-tls-cert /no/cert") {
		t.Errorf("error %v", err)
	}
}
