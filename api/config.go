package api

import (
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
)

// DefaultRequestTimeout is how long a request may take when Config does not say.
const DefaultRequestTimeout = 30 * time.Second

// Bounds of what the server holds for its clients at once.
const (
	// maxRequests is the most requests worked on at once, health checks not counted.
	maxRequests = 1024
	// maxConnections is the most open connections; surplus ones are closed at once.
	maxConnections = 4096
	// maxHeader is the most bytes of a request's line and headers. Up to maxHeaderRead an answer says so, beyond it the
	// connection ends.
	maxHeader     = 32 << 10
	maxHeaderRead = 64 << 10
	// maxBody is the most bytes of a request's body, a little over the largest value so that the answer can say which limit was passed.
	maxBody = v1.MaxValue + 4<<10

	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// bodySlack is how much longer than a request's own time the connection may take to carry it.
	bodySlack = 5 * time.Second
	// shutdownGrace is how long requests may go on once the server is told to stop, and again after they were cancelled.
	shutdownGrace = 2 * time.Second
)

// Config says what to serve, where and to whom.
type Config struct {
	Backend Backend
	// Ledger may be nil: then there is none.
	Ledger Ledger
	// Listen is HOST:PORT, or unix:// and the whole path of a Unix domain socket, which the user alone who runs the server may use. On an address that is not a loopback one Token or Tokens are needed, and TLSCert and TLSKey unless Insecure is set.
	Listen string
	// Token is one that may everything. Requests must carry it or one of Tokens (RFC 6750), but for health checks and the dashboard's files. Where it is empty and the address is a loopback one,
	// everybody on the machine may call, unless RequireTokens is set.
	Token string
	// Tokens are further ones, with scopes; nil: none.
	Tokens Tokens
	// RequireTokens asks for a token on loopback addresses, too.
	RequireTokens bool
	// Rate is how many requests a second each token, or each address of callers without one, may make; 0 means DefaultRate, less than 0 that there is no bound. Callers of this machine without a token have none.
	Rate int
	// UI holds the files of a dashboard, which is served at /; nil: there is none.
	UI fs.FS
	// TLSCert and TLSKey are PEM files; they are read again when they change.
	TLSCert, TLSKey string
	// Insecure serves an address that is not a loopback one without TLS, for where something in front encrypts.
	Insecure bool
	// Gatherer is what /metrics shows; nil: nothing.
	Gatherer prometheus.Gatherer
	// Registerer takes the server's own metrics; nil: none.
	Registerer prometheus.Registerer
	// Tracer records requests; nil: none.
	Tracer *tracing.Tracer
	// Logger may be nil.
	Logger *slog.Logger
	// Version of the program, in the Server header; may be empty.
	Version string
	// RequestTimeout is how long the backend may work on a request; 0 means DefaultRequestTimeout.
	RequestTimeout time.Duration
}

// Validate returns an error of kind fault.Invalid that names the option to change.
func (c *Config) Validate() error {
	if c.Backend == nil {
		return fault.New(fault.Invalid, "the API needs a backend")
	}
	path, socket := socketPath(c.Listen)
	if socket {
		if err := checkSocket(path); err != nil {
			return err
		}
	}
	host, _, err := splitListen(c.Listen)
	if err != nil {
		return fault.New(fault.Invalid, "--api-listen %q: %w; want HOST:PORT such as 127.0.0.1:7070, or unix:///PATH", c.Listen, err)
	}
	if c.RequestTimeout < 0 {
		return fault.New(fault.Invalid, "the request timeout %s is negative", c.RequestTimeout)
	}
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fault.New(fault.Invalid, "the token in --token-file has spaces, control characters or letters beyond ASCII, which no header can carry")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fault.New(fault.Invalid, "--api-tls-cert and --api-tls-key need one another")
	}
	if socket && c.TLSCert != "" {
		return fault.New(fault.Invalid, "--api-tls-cert is for addresses that others reach: nobody listens between a socket and its callers")
	}
	if isLoopback(host) {
		return nil
	}
	return c.validateExposed()
}

// validateExposed holds for an address that other machines reach.
func (c *Config) validateExposed() error {
	if c.Token == "" && (c.Tokens == nil || c.Tokens.Len() == 0) {
		return fault.New(fault.Invalid, "--api-listen %s is no loopback address: give a token with --token-file, or make one with moot token new", c.Listen)
	}
	if c.TLSCert == "" && !c.Insecure {
		return fault.New(fault.Invalid,
			"--api-listen %s is no loopback address: give a certificate with --api-tls-cert and --api-tls-key, or say --api-insecure to serve without TLS", c.Listen)
	}
	return nil
}

// splitListen returns the host and the port of a Listen. A socket is as the machine itself.
func splitListen(listen string) (host, port string, err error) {
	if _, ok := socketPath(listen); ok {
		return socketHost, "", nil
	}
	return net.SplitHostPort(listen)
}

// IsLoopback tells whether a Listen, HOST:PORT or a socket, is reached from this machine alone.
func IsLoopback(listen string) bool {
	host, _, err := splitListen(listen)
	return err == nil && isLoopback(host)
}

// isLoopback tells whether host, without a port, is a name or IP address of this machine's loopback interface.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
