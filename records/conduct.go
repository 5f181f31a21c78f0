package records

import (
	"context"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/pause"
)

const (
	// maxAccounts bounds the peers whose conduct is remembered: those heard of last.
	maxAccounts = 4096
	// cutOffFor is how long nothing is taken from a peer that misbehaved.
	cutOffFor = 10 * time.Minute
	// maxBlame is the blame at which a peer is cut off, and blameHalves how soon half of it is forgotten.
	maxBlame    = 100
	blameHalves = time.Minute
	// loadPerCore is the work, in look-ups of one record a second for each core of the machine, that one peer may ask for in the long run; loadBurst is for how long it may save it up.
	loadPerCore = 10_000
	loadBurst   = 2 * time.Second
	// maxDelay is how long a request of a peer that asks for more is held up; one that would have to wait longer is refused. A peer that waits for answers, as this program does with
	// at most 256 requests to a peer under way, is slowed down by that and hardly ever refused.
	maxDelay = 100 * time.Millisecond
)

// A misdeed is something that an honest peer does not do, or hardly ever.
type misdeed uint8

const (
	// malformed: a message that can't be read.
	malformed misdeed = iota
	// forged: a record that is not its author's, or breaks the rules of its key.
	forged
	// lied: it told of a version that it could not show. An honest peer does so when it trims a copy at that moment.
	lied
	// denied: it does not have what it said that it had stored, and says that it is in sync.
	denied
	// convicted: it was asked twice, and its answers can't both be true.
	convicted
	// flooded: it asked for much more than it may, and does not wait.
	flooded

	numMisdeeds
)

// blames says how much each misdeed weighs.
var blames = [numMisdeeds]float64{malformed: 10, forged: 20, lied: 1, denied: 20, convicted: maxBlame, flooded: 0.01}

// String returns the misdeed's name in logs and metrics.
func (m misdeed) String() string {
	return [numMisdeeds]string{
		malformed: "malformed", forged: "forged", lied: "lied", denied: "denied", convicted: "convicted", flooded: "flooded",
	}[m]
}

var (
	// errCutOff refuses a peer that misbehaved; its stream is reset.
	errCutOff = fault.New(fault.Forbidden, "cut off for misbehaviour")
	// errSpared is the end of a request to a peer that is cut off.
	errSpared = fault.New(fault.Unavailable, "is cut off for misbehaviour")
	// errTooMuch refuses a request of a peer that asks for too much.
	errTooMuch = fault.New(fault.Unavailable, "asks for too much at once")
)

// An account is what is known of a peer's conduct.
type account struct {
	blame, load float64 // as of at
	at          time.Time
	until       time.Time // when a peer that was cut off is heard again
}

// conduct keeps accounts of the peers: what they ask for, and what they do wrong. A peer that floods is served as much as is its due, and one that misbehaves is cut off for a while.
type conduct struct {
	logger *slog.Logger
	cuts   *prometheus.CounterVec // by misdeed
	rate   float64                // work a second that is one peer's due

	mu       sync.Mutex
	accounts *simplelru.LRU[peer.ID, *account] // guarded by mu
}

func newConduct(logger *slog.Logger) *conduct {
	accounts, err := simplelru.NewLRU[peer.ID, *account](maxAccounts, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &conduct{
		logger: logger, accounts: accounts, rate: float64(loadPerCore * runtime.GOMAXPROCS(0)),
		cuts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moot_records_cut_off_total", Help: "Peers that were cut off for a while, by what they did wrong last.",
		}, []string{"misdeed"}),
	}
}

// account returns a peer's account as of now. mu is held.
func (c *conduct) account(p peer.ID, now time.Time) *account {
	a, ok := c.accounts.Get(p)
	if !ok {
		a = &account{at: now}
		c.accounts.Add(p, a)
	}
	if passed := now.Sub(a.at); passed > 0 {
		a.load = max(a.load-passed.Seconds()*c.rate, 0)
		a.blame *= math.Exp2(-float64(passed) / float64(blameHalves))
		a.at = now
	}
	return a
}

// admit counts a request of a peer, of the given cost, and holds it up where the peer asks for more than is its due. It is errCutOff for a peer that is cut off, and errTooMuch for one that
// asks for much more.
func (c *conduct) admit(ctx context.Context, p peer.ID, cost float64) error {
	delay, err := c.charge(p, cost)
	if err == errTooMuch {
		c.blame(p, flooded)
	}
	if err != nil || delay <= 0 {
		return err
	}
	return pause.For(ctx, delay)
}

// charge says how long a request is to wait.
func (c *conduct) charge(p peer.ID, cost float64) (delay time.Duration, err error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.account(p, now)
	if now.Before(a.until) {
		return 0, errCutOff
	}
	over := a.load + cost - c.rate*loadBurst.Seconds()
	if delay = time.Duration(over / c.rate * float64(time.Second)); delay > maxDelay {
		return 0, errTooMuch
	}
	a.load += cost
	return delay, nil
}

// cutOff reports whether a peer is cut off.
func (c *conduct) cutOff(p peer.ID) bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.accounts.Peek(p)
	return ok && now.Before(a.until)
}

// violated blames a peer for a message that is too long or not framed as it should be.
func (c *conduct) violated(p peer.ID) { c.blame(p, malformed) }

// blame counts a misdeed. A peer that is blamed too much is cut off.
func (c *conduct) blame(p peer.ID, m misdeed) {
	now := time.Now()
	c.mu.Lock()
	a := c.account(p, now)
	a.blame += blames[m]
	cut := a.blame >= maxBlame && !now.Before(a.until)
	if cut {
		a.blame, a.until = 0, now.Add(cutOffFor)
	}
	c.mu.Unlock()
	if cut {
		c.cuts.WithLabelValues(m.String()).Inc()
		c.logger.Warn("a peer misbehaves and is cut off", "peer", p, "last", m, "for", cutOffFor)
	}
}
