package routing

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// limit is something of which one peer can cause only so much.
type limit int

const (
	// limitPings bounds the pings that a peer sends.
	limitPings limit = iota
	// limitAsks bounds the indirect probes that a peer asks for.
	limitAsks
	// limitSyncs bounds the pages of summaries and the trades that a peer asks for.
	limitSyncs
	// limitClaims bounds the claims of a peer whose signatures are checked.
	limitClaims
	// limitLookups bounds the closest peers that a peer asks for.
	limitLookups
	// limitQuestions bounds the recursive questions that a peer sends or passes on.
	limitQuestions
	// limitBroadcasts bounds the questions that a peer broadcasts, whoever passes them on.
	limitBroadcasts
	// limitFound bounds the answers to broadcasts that a peer gives.
	limitFound

	numLimits
)

// rates are the bounds for one peer: so many a second, and so many at once after a pause.
var rates = [numLimits]struct {
	perSecond rate.Limit
	burst     int
}{
	limitPings:  {50, 200},
	limitAsks:   {16, 64},
	limitSyncs:  {10, 160},
	limitClaims: {64, 4096},
	// A node that starts looks many points up, and the first question of each goes to those in its view.
	limitLookups:    {100, 1000},
	limitQuestions:  {200, 2000},
	limitBroadcasts: {10, 200},
	limitFound:      {50, 500},
}

const (
	// maxLimited is the most peers whose use is kept apart. Those beyond share one allowance.
	maxLimited = 8192
	// limitsKept is how long the use of a peer is remembered; by then every allowance but that of claims is full again.
	limitsKept = time.Minute
)

// limits bounds what each peer can make this node do.
type limits struct {
	mu     sync.Mutex
	peers  map[peer.ID]*allowance // guarded by mu
	others *allowance             // guarded by mu; shared by those beyond maxLimited
	swept  time.Time              // guarded by mu
}

type allowance struct {
	limiters [numLimits]*rate.Limiter // nil: not used yet. Most of a large network's peers never use most of them
	used     time.Time
}

func newLimits() *limits {
	return &limits{peers: make(map[peer.ID]*allowance), others: &allowance{}}
}

// allow reports whether p may have one more of l now, and counts it.
func (ls *limits) allow(p peer.ID, l limit) bool {
	now := time.Now()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	a := ls.peers[p]
	if a == nil {
		if a = ls.add(p, now); a == nil {
			a = ls.others
		}
	}
	a.used = now
	if a.limiters[l] == nil {
		a.limiters[l] = rate.NewLimiter(rates[l].perSecond, rates[l].burst)
	}
	return a.limiters[l].AllowN(now, 1)
}

// add returns a new peer's allowance, or nil when there is no room. mu is held.
func (ls *limits) add(p peer.ID, now time.Time) *allowance {
	if now.Sub(ls.swept) > limitsKept {
		ls.swept = now
		for p, a := range ls.peers {
			if now.Sub(a.used) > limitsKept {
				delete(ls.peers, p)
			}
		}
	}
	if len(ls.peers) >= maxLimited {
		return nil
	}
	a := &allowance{}
	ls.peers[p] = a
	return a
}
