package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/internal/apitoken"
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

// scopeOf is the one place that says what a request needs.
func scopeOf(method, path string) apitoken.Scope {
	switch {
	case path == leavePath || path == backupPath || path == signPath || isProfilePath(path):
		return apitoken.Admin
	case listens(method) || method == http.MethodOptions:
		return apitoken.Read
	}
	return apitoken.Write
}

// Tokens are those that a node gave out. *apitoken.Set implements it.
type Tokens interface {
	// Find returns the token that a caller presents, if it is good now.
	Find(text string, now time.Time) (apitoken.Token, bool)
	// Len returns how many there are.
	Len() int
}

// noTokens are those of a node that gave none out.
type noTokens struct{}

func (noTokens) Find(string, time.Time) (apitoken.Token, bool) { return apitoken.Token{}, false }
func (noTokens) Len() int                                      { return 0 }

// guard decides who may call. A caller with a token may what the token's scope says. Without one, a browser may be calling for a page that
// its user never meant to let in, so the host must be one that no foreign name server can answer for (DNS rebinding) and
// the page must be the server's own.
type guard struct {
	// token is the digest of the token that the server was given, which may everything: comparing digests tells nothing about the length either.
	token    [sha256.Size]byte
	hasToken bool
	// tokens are the others.
	tokens Tokens
	// needsToken is false for a server that everybody on its machine may call.
	needsToken bool
	// listenHost is the host that the server was told to listen on, without a port.
	listenHost string
	scheme     string
	// socket says that callers come by a Unix domain socket, which has no addresses.
	socket bool
}

func newGuard(cfg *Config, listenHost, scheme string) *guard {
	g := &guard{token: sha256.Sum256([]byte(cfg.Token)), hasToken: cfg.Token != "", tokens: cfg.Tokens, listenHost: listenHost, scheme: scheme}
	if g.tokens == nil {
		g.tokens = noTokens{}
	}
	_, g.socket = socketPath(cfg.Listen)
	g.needsToken = g.hasToken || cfg.RequireTokens || !isLoopback(listenHost)
	return g
}

// ownToken stands in the place of a token's id for the token that the server was given.
const ownToken = "own"

// caller is who makes a request.
type caller struct {
	// token is the id of the token that was presented and is good, or empty.
	token string
	// presented says that there was one, good or not.
	presented bool
	scope     apitoken.Scope
	address   netip.Addr
}

// callerOf never fails: who presents nothing that is good is a caller without a token.
func (g *guard) callerOf(r *http.Request, now time.Time) caller {
	c := caller{}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.address = from.Addr().Unmap().WithZone("")
	} else if g.socket {
		c.address = netip.IPv6Loopback()
	}
	text := bearer(r)
	if c.presented = text != ""; !c.presented {
		return c
	}
	digest := sha256.Sum256([]byte(text))
	if g.hasToken && subtle.ConstantTimeCompare(digest[:], g.token[:]) == 1 {
		c.token, c.scope = ownToken, apitoken.Admin
	} else if t, ok := g.tokens.Find(text, now); ok {
		c.token, c.scope = t.ID, t.Scope
	}
	return c
}

// tokenLook is how often the token of an answer that goes on is looked at: one that is revoked or expires must not be told what happens for ever.
const tokenLook = 5 * time.Second

// whileGood returns r's context, which ends, too, when the token that its caller presented is good no more. end must be called.
func (g *guard) whileGood(r *http.Request, c caller) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancel(r.Context())
	if c.token == "" || c.token == ownToken {
		return ctx, cancel
	}
	text := bearer(r)
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(tokenLook)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if t, ok := g.tokens.Find(text, now); !ok || !t.Scope.Covers(c.scope) {
					cancel()
				}
			}
		}
	})
	return ctx, func() {
		cancel()
		looking.Wait()
	}
}

// bearer returns the token that a request presents (RFC 6750, section 2.1), or "".
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// check returns nil when the request r of c may be served. The dashboard's files are open: whoever may not have more sees no more than the program has.
func (g *guard) check(r *http.Request, c caller, file bool) *problem {
	if c.token != "" {
		return c.may(r)
	}
	open := file || isHealthPath(r.URL.Path)
	// A server on an address that other machines reach has names that it does not know; health checks come by any of them, and people who open the dashboard.
	if !(open && !isLoopback(g.listenHost)) && !g.knowsHost(r.Host) {
		return statusProblem(http.StatusForbidden,
			"the host "+quoted(r.Host)+" is not this node's: call it by a loopback address or the one it listens on, or present the token")
	}
	if !(file && opens(r)) {
		if p := g.checkOrigin(r); p != nil {
			return p
		}
	}
	if open {
		return nil
	}
	if r.URL.Path == signPath && !g.needsToken && !c.presented {
		return statusProblem(http.StatusUnauthorized, "what the node signs it signs for those alone who show a token of the scope admin, on this machine, too: moot token new NAME --scope admin makes one")
	}
	switch {
	case c.presented && (g.needsToken || g.tokens.Len() > 0 || r.URL.Path == signPath):
		return statusProblem(http.StatusUnauthorized, "the token is not, or is no longer, one of this node's (moot reads it from --token-file or MOOT_TOKEN): moot token list shows those that are")
	case g.needsToken:
		return statusProblem(http.StatusUnauthorized,
			"this node asks for a token: send Authorization: Bearer TOKEN (moot reads it from --token-file or MOOT_TOKEN; moot token new makes one)")
	}
	return nil
}

// may says whether the caller's scope covers what the request needs.
func (c caller) may(r *http.Request) *problem {
	if need := scopeOf(r.Method, r.URL.Path); !c.scope.Covers(need) {
		return statusProblem(http.StatusForbidden,
			"the token may "+string(c.scope)+", and this needs the scope "+string(need)+": moot token new NAME --scope "+string(need)+" makes one")
	}
	return nil
}

// opens says whether a browser opens r as a page of its own, as from a link: the page that has the link learns nothing of it.
func opens(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" && r.Header.Get("Origin") == ""
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
