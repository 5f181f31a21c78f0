package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
)

// The paths that need no token.
const (
	livePath         = "/livez"
	readyPath        = "/readyz"
	recordsReadyPath = "/readyz/records"
)

func isHealthPath(path string) bool {
	return path == livePath || path == readyPath || path == recordsReadyPath
}

// guard decides who may call. A caller with the token may always. Without one, a browser may be calling for a page that
// its user never meant to let in, so the host must be one that no foreign name server can answer for (DNS rebinding) and
// the page must be the server's own.
type guard struct {
	// token is the digest of the token: comparing digests tells nothing about the length either.
	token [sha256.Size]byte
	// needsToken is false for a server that everybody on its machine may call.
	needsToken bool
	// listenHost is the host that the server was told to listen on, without a port.
	listenHost string
	scheme     string
}

func newGuard(token, listenHost, scheme string) *guard {
	return &guard{token: sha256.Sum256([]byte(token)), needsToken: token != "", listenHost: listenHost, scheme: scheme}
}

// check returns nil when r may be served.
func (g *guard) check(r *http.Request) *problem {
	if g.needsToken && g.hasToken(r) {
		return nil
	}
	health := isHealthPath(r.URL.Path)
	// A server on an address that other machines reach has names that it does not know; health checks come by any of them.
	if !(health && !isLoopback(g.listenHost)) && !g.knowsHost(r.Host) {
		return statusProblem(http.StatusForbidden,
			"the host "+quoted(r.Host)+" is not this node's: call it by a loopback address or the one it listens on, or present the token")
	}
	if p := g.checkOrigin(r); p != nil {
		return p
	}
	if g.needsToken && !health {
		return statusProblem(http.StatusUnauthorized,
			"this node asks for its token: send Authorization: Bearer TOKEN (moot reads it from --token-file or MOOT_TOKEN)")
	}
	return nil
}

// hasToken compares in constant time.
func (g *guard) hasToken(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	digest := sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
	return subtle.ConstantTimeCompare(digest[:], g.token[:]) == 1
}

// knowsHost tells whether a Host header names a loopback address or the host listened on. Its port is left aside, since it differs
// where a port is forwarded, and says nothing about who answers for the name.
func (g *guard) knowsHost(header string) bool {
	host := (&url.URL{Host: header}).Hostname()
	return host != "" && (isLoopback(host) || strings.EqualFold(host, g.listenHost))
}

// checkOrigin refuses what browsers send for pages of other origins (Fetch standard, Origin and Sec-Fetch-Site).
func (g *guard) checkOrigin(r *http.Request) *problem {
	for _, origin := range r.Header.Values("Origin") {
		if !strings.EqualFold(origin, g.scheme+"://"+r.Host) {
			return statusProblem(http.StatusForbidden, "a page of the origin "+quoted(origin)+" may not call this node")
		}
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return statusProblem(http.StatusForbidden, "a page of another site may not call this node (Sec-Fetch-Site: "+quoted(site)+")")
		}
	}
	return nil
}
