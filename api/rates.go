package api

import (
	"math"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/internal/allowance"
	"github.com/folkmoot/folkmoot/internal/apitoken"
)

// DefaultRate is how many requests a second each token may make, and each address of callers without one, when Config does not say.
const DefaultRate = 2000

const (
	// rateBurst is how many seconds' worth of requests may come at once after a pause.
	rateBurst = 2
	// maxAddresses is how many addresses are counted apart; while that many are, those of others are refused.
	maxAddresses = 16 << 10
	// addressBits is how much of an IPv6 address tells callers apart: whoever has one has all that begin so.
	addressBits = 64
)

// rates bound how many requests each caller makes.
type rates struct {
	tokens    *allowance.Each[string]
	addresses *allowance.Each[netip.Prefix]
}

// newRates returns nil where there is no bound.
func newRates(perSecond int) *rates {
	if perSecond < 0 {
		return nil
	}
	perSecond = min(perSecond, math.MaxInt32/rateBurst) // more is no bound, and a burst of more may be less than none
	limit, burst := rate.Limit(perSecond), rateBurst*perSecond
	return &rates{tokens: allowance.New[string](limit, burst, apitoken.MaxTokens+1), addresses: allowance.New[netip.Prefix](limit, burst, maxAddresses)}
}

// check counts a request, and returns nil when it is within the caller's rate. Callers of this machine without a token are not counted: they could as well stop the node.
func (r *rates) check(c caller, now time.Time) *problem {
	if r == nil || c.token == "" && c.address.IsLoopback() {
		return nil
	}
	within := false
	if c.token != "" {
		within = r.tokens.Allow(c.token, now)
	} else {
		bits := c.address.BitLen()
		if c.address.Is6() {
			bits = addressBits
		}
		prefix, err := c.address.Prefix(bits)
		within = err == nil && r.addresses.Allow(prefix, now)
	}
	if within {
		return nil
	}
	return statusProblem(http.StatusTooManyRequests, "too many requests of one token, or of one address without a token (--api-rate): wait a second")
}
