package enrol

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/internal/allowance"
)

// How many questions without the secret a peer may ask a second and at once, and how many all together. What is beyond that costs a hash over what fits a packet.
const (
	questionsPerSecond = 20
	questionsAtOnce    = 40
	allPerSecond       = 1000
	// maxLimited is the most peers that are counted apart.
	maxLimited = 4096
)

// limits bounds what questions of strangers cost.
type limits struct {
	all   *rate.Limiter
	peers *allowance.Each[peer.ID]
}

func newLimits() *limits {
	return &limits{all: rate.NewLimiter(allPerSecond, allPerSecond), peers: allowance.New[peer.ID](questionsPerSecond, questionsAtOnce, maxLimited)}
}

// allow tells whether a peer may ask once more now, and counts it.
func (l *limits) allow(p peer.ID, now time.Time) bool {
	return l.peers.Allow(p, now) && l.all.AllowN(now, 1)
}
