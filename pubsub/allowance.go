package pubsub

import (
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// What one peer may make this node do: so much a second, and so much at once after a pause.
const (
	// authorRate and authorBurst bound the messages of one author, authorBytes and authorBytesBurst their bytes, whoever passes them on.
	authorRate       = 100
	authorBurst      = 400
	authorBytes      = 1 << 20
	authorBytesBurst = 8 << 20
	// neighbourRate and neighbourBurst bound the RPCs of one neighbour, neighbourBytes and neighbourBytesBurst their bytes.
	neighbourRate       = 1000
	neighbourBurst      = 4000
	neighbourBytes      = 8 << 20
	neighbourBytesBurst = 32 << 20
	// maxCounted is the most peers whose use is kept apart; those beyond share one allowance. countedFor is how long the use of an idle one is remembered, by when it is full again.
	maxCounted = 4096
	countedFor = time.Minute
	// A neighbour whose offences add up to maxOffences is not listened to: each thing beyond its allowance counts 1, each message that is forged or malformed invalidOffence. Half of them are forgotten after
	// offenceHalfLife. gossipsub's own scores do not do for this: it keeps none of a neighbour that closes the streams to it.
	maxOffences     = 80
	invalidOffence  = 20
	offenceHalfLife = time.Minute
)

// allowances bound what each peer may cause.
type allowances struct {
	each, bytes       rate.Limit
	burst, bytesBurst int
	mu                sync.Mutex
	peers             map[peer.ID]*allowance // guarded by mu
	others            *allowance             // guarded by mu; shared by those beyond maxCounted
	swept             time.Time              // guarded by mu
}

type allowance struct {
	count, bytes *rate.Limiter
	used         time.Time
	// offences are forgotten by halves; this is what there was of them at blamed.
	offences float64
	blamed   time.Time
}

func newAllowances(each rate.Limit, burst int, bytes rate.Limit, bytesBurst int) *allowances {
	a := &allowances{each: each, burst: burst, bytes: bytes, bytesBurst: bytesBurst, peers: make(map[peer.ID]*allowance)}
	a.others = a.fresh()
	return a
}

func (a *allowances) fresh() *allowance {
	return &allowance{count: rate.NewLimiter(a.each, a.burst), bytes: rate.NewLimiter(a.bytes, a.bytesBurst)}
}

// take counts one thing of so many bytes, and reports whether that is within p's allowance.
func (a *allowances) take(p peer.ID, bytes int) bool {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	it := a.of(p, now)
	it.used = now
	if it.count.AllowN(now, 1) && it.bytes.AllowN(now, bytes) {
		return true
	}
	it.blame(now, 1)
	return false
}

// blame counts offences of p.
func (a *allowances) blame(p peer.ID, offences float64) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	it := a.of(p, now)
	it.used = now
	it.blame(now, offences)
}

// offences returns what p's offences add up to.
func (a *allowances) offences(p peer.ID) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if it := a.peers[p]; it != nil {
		return it.left(time.Now())
	}
	return 0
}

func (it *allowance) blame(now time.Time, offences float64) {
	it.offences, it.blamed = it.left(now)+offences, now
}

func (it *allowance) left(now time.Time) float64 {
	if it.offences == 0 {
		return 0
	}
	return it.offences * math.Exp2(-float64(now.Sub(it.blamed))/float64(offenceHalfLife))
}

// of returns p's allowance. mu is held.
func (a *allowances) of(p peer.ID, now time.Time) *allowance {
	if it := a.peers[p]; it != nil {
		return it
	}
	if now.Sub(a.swept) > countedFor {
		a.swept = now
		for p, it := range a.peers {
			if now.Sub(it.used) > countedFor && it.left(now) < 1 {
				delete(a.peers, p)
			}
		}
	}
	if len(a.peers) >= maxCounted {
		return a.others
	}
	it := a.fresh()
	a.peers[p] = it
	return it
}
