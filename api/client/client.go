// Package client is the Go client of a node's HTTP API. It mirrors the interface that the API serves: errors carry the fault.Kind and the text
// that the node gave them.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// DefaultTimeout is how long a call may take when Options does not say: longer than a node's own limit, so that the node's answer
	// says what was late.
	DefaultTimeout = 40 * time.Second

	dialTimeout = 5 * time.Second
	// socketScheme begins the address of a Unix domain socket, and socketBase is what is asked of one.
	socketScheme = "unix://"
	socketBase   = "http://localhost"
	// maxIdle is how many connections stay open for the next calls.
	maxIdle = 256
	// idleTimeout is shorter than the server's, so that a call rarely meets a connection that the server is closing.
	idleTimeout = 45 * time.Second
)

// Options are what a Client may be told; the zero value suits a node on this machine.
type Options struct {
	// Token is the node's API token; may be empty.
	Token string
	// Timeout is how long one call may take, its answer included; 0 means DefaultTimeout. Contexts may end it earlier.
	Timeout time.Duration
	// CAFile holds the PEM certificates that may vouch for the node's; empty: those of the system.
	CAFile string
	// UserAgent may be empty.
	UserAgent string
	// HTTPClient is used in place of one of the Client's own; CAFile is then not allowed.
	HTTPClient *http.Client
}

// Client calls one node. It is safe for use by many goroutines.
type Client struct {
	base    *url.URL
	socket  string // path of the Unix domain socket; empty: there is none
	http    *http.Client
	token   string
	agent   string
	timeout time.Duration
}

// New returns a client of the node at baseURL, such as http://127.0.0.1:7070, or unix:///run/moot/api.sock for a Unix domain socket. It does not connect yet. Errors are of kind fault.Invalid.
func New(baseURL string, opts Options) (*Client, error) {
	path, socket := strings.CutPrefix(baseURL, socketScheme)
	if socket {
		if !strings.HasPrefix(path, "/") {
			return nil, fault.New(fault.Invalid, "API address %q: want a whole path, such as unix:///run/moot/api.sock", baseURL)
		}
		baseURL = socketBase
	}
	base, err := parseBase(baseURL)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, http: opts.HTTPClient, token: opts.Token, agent: opts.UserAgent, timeout: opts.Timeout}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.timeout < 0 {
		return nil, fault.New(fault.Invalid, "the timeout %s is negative", opts.Timeout)
	}
	if c.agent == "" {
		c.agent = "moot-client"
	}
	if socket {
		c.socket = path
	}
	if c.http != nil && socket {
		return nil, fault.New(fault.Invalid, "HTTPClient and a socket exclude one another")
	}
	if c.http != nil {
		if opts.CAFile != "" {
			return nil, fault.New(fault.Invalid, "CAFile and HTTPClient exclude one another")
		}
		return c, nil
	}
	transport, err := newTransport(opts.CAFile)
	if err != nil {
		return nil, err
	}
	if socket {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
		}
	}
	c.http = &http.Client{
		Transport: transport,
		// No answer of a node is a redirect, and the token is for the node alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func parseBase(baseURL string) (*url.URL, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "API address %q: want http://HOST:PORT, https://HOST:PORT or unix:///PATH", baseURL)
	}
	u.Path, u.RawPath = strings.TrimRight(u.EscapedPath(), "/"), ""
	if strings.Contains(u.Path, "%") {
		return nil, fault.New(fault.Invalid, "API address %q: its path has letters that need escapes", baseURL)
	}
	return u, nil
}

func newTransport(caFile string) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConns:        maxIdle,
		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     idleTimeout,
		// Values are answered as they are.
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read the certificate authority: %w", err)
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "read the certificate authority %s: no PEM certificate in it", caFile)
	}
	return t, nil
}

// URL returns the address of the node, without a trailing slash.
func (c *Client) URL() string {
	if c.socket != "" {
		return socketScheme + c.socket
	}
	return c.base.String()
}

// Close closes the connections that no call uses.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
