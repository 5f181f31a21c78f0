package enrol

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// How many questions without the secret a peer may ask a second and at once, and how many all together. What is beyond that costs a hash over what fits a packet.
const (
	questionsPerSecond = 20
	questionsAtOnce    = 40
	allPerSecond       = 1000
	// maxLimited is the most peers that are counted apart, and limitsKept how long one is remembered; by then it has its whole allowance again.
	maxLimited = 4096
	limitsKept = time.Minute
)

// limits bounds what questions of strangers cost.
type limits struct {
	mu    sync.Mutex
	all   *rate.Limiter              // guarded by mu
	peers map[peer.ID]*peerAllowance // guarded by mu
	swept time.Time                  // guarded by mu
}

type peerAllowance struct {
	*rate.Limiter
	used time.Time
}

func newLimits() *limits {
	return &limits{all: rate.NewLimiter(allPerSecond, allPerSecond), peers: make(map[peer.ID]*peerAllowance)}
}

// allow tells whether a peer may ask once more now, and counts it.
func (l *limits) allow(p peer.ID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.peers[p]
	if a == nil {
		if len(l.peers) >= maxLimited {
			l.sweep(now)
		}
		if len(l.peers) >= maxLimited {
			return false
		}
		a = &peerAllowance{Limiter: rate.NewLimiter(questionsPerSecond, questionsAtOnce)}
		l.peers[p] = a
	}
	a.used = now
	return a.AllowN(now, 1) && l.all.AllowN(now, 1)
}

// sweep forgets who has not asked for long, at most once a second. mu is held.
func (l *limits) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for p, a := range l.peers {
		if now.Sub(a.used) > limitsKept {
			delete(l.peers, p)
		}
	}
}
