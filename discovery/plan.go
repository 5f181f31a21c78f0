package discovery

import (
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/discovery/internal/backoff"
)

// Bounds of the attempts to connect. Finders carry hostile input: whatever they report, no more is remembered and no
// more is dialled than this.
const (
	// MaxAttempts is how many attempts are under way at once.
	MaxAttempts = 16
	// MaxAttemptsPerFinder is how many of them one finder's reports may hold.
	MaxAttemptsPerFinder = 8
	// AttemptsPerSecond is the rate at which attempts on one finder's reports start, after a first AttemptBurst.
	AttemptsPerSecond = 16
	AttemptBurst      = 32
	// MaxTargetsPerFinder is how many peers and addresses are remembered of one finder's reports. A new one displaces
	// the one that was reported longest ago.
	MaxTargetsPerFinder = 1024
	// EnoughConnections is the number of connected peers from which on attempts only start at
	// CalmAttemptsPerSecond: the network is entered, and what remains is to join with parts of it that nobody here knows.
	EnoughConnections     = 64
	CalmAttemptsPerSecond = 0.2
)

// When targets are attempted again.
const (
	// RetryBase and RetryLimit bound the delay after failed attempts to connect to a peer. RetryBase is over the 5 s for which libp2p
	// refuses to dial an address anew, and doubling outruns libp2p's own quadratic backoff, so that no attempt is
	// spent on being told to wait.
	RetryBase  = 6 * time.Second
	RetryLimit = 5 * time.Minute
	// LearnRetryBase is RetryBase for an address whose peer could not be learned, which libp2p doesn't keep from being tried.
	LearnRetryBase = 2 * time.Second
	// StrangerRetryBase and StrangerRetryLimit bound the delay after reaching a peer of another network. The first is short since
	// a peer of our own looks like one while it starts.
	StrangerRetryBase  = 30 * time.Second
	StrangerRetryLimit = 10 * time.Minute
	// AddrGap keeps attempts on one address apart, whoever is said to be there: a flood that names one victim under
	// many peer ids costs it one dial in AddrGap per finder's token, not more.
	AddrGap = 2 * time.Second
	// ReconnectGap is the least time from a connection to the next attempt, if the connection did not last.
	ReconnectGap = 10 * time.Second
	// TriedFor is how long after its last report a target is still attempted.
	TriedFor = 2 * time.Minute
)

// An attempt is to be made on behalf of a target.
type attempt struct {
	target *target
	id     peer.ID // empty: to be learned from the only address
	addrs  []ma.Multiaddr
	finder int
}

// outcome says how an attempt ended.
type outcome uint8

const (
	connected outcome = iota + 1 // to a peer of our network, now or already
	unlearned                    // the peer at an address could not be learned
	unreached                    // no connection to the peer
	stranger                     // the peer is of another network
	itself                       // the address is one of our own
	claimed                      // another attempt on the same peer is under way
)

// plan decides which targets are attempted when. It is a state machine: it neither connects nor reads the clock, and is
// not safe for concurrent use.
type plan struct {
	lanes   []*lane // by finder
	turn    int     // the lane that is asked first
	busy    int
	calm    *rate.Limiter
	peers   map[peer.ID]struct{} // with an attempt under way
	used    map[string]struct{}  // addresses, in binary form, that are in use or were less than AddrGap ago
	resting []resting            // the addresses of used that are not in use, earliest first
	random  func() float64       // in [0, 1)
}

// resting is an address that may be attempted again at a certain time.
type resting struct {
	addr  string
	until time.Time
}

func newPlan(finders int, random func() float64) *plan {
	p := &plan{
		lanes: make([]*lane, finders), random: random,
		calm:  rate.NewLimiter(CalmAttemptsPerSecond, 1),
		peers: make(map[peer.ID]struct{}), used: make(map[string]struct{}),
	}
	for i := range p.lanes {
		p.lanes[i] = newLane()
	}
	return p
}

// report notes that a finder found c, which is not connected.
func (p *plan) report(now time.Time, finder int, c candidate) {
	l := p.lanes[finder]
	t, fresh := l.target(c, now)
	t.reported = now
	if t.busy {
		return // goes on when the attempt is finished
	}
	due := t.due
	if fresh && t.strangers == 0 {
		due = now // a peer that moved is followed at once
	}
	l.wait(t, due)
}

// next returns an attempt that may start now. Each attempt must be finished.
func (p *plan) next(now time.Time, connections int) (attempt, bool) {
	p.rest(now)
	if p.busy == MaxAttempts || p.calmUntil(now, connections).After(now) {
		return attempt{}, false
	}
	for range p.lanes {
		finder := p.turn
		p.turn = (p.turn + 1) % len(p.lanes)
		if a, ok := p.nextOf(finder, now); ok {
			if connections >= EnoughConnections {
				p.calm.AllowN(now, 1)
			}
			return a, true
		}
	}
	return attempt{}, false
}

func (p *plan) nextOf(finder int, now time.Time) (attempt, bool) {
	l := p.lanes[finder]
	for {
		if at, ok := l.ready(now); !ok || at.After(now) {
			return attempt{}, false
		}
		t := l.waiting[0]
		if now.Sub(t.reported) > TriedFor {
			l.unwait(t)
			continue
		}
		addrs := p.unused(t.addrs)
		if len(addrs) == 0 || p.isClaimed(t.id) {
			l.wait(t, now.Add(AddrGap))
			continue
		}
		l.starts.AllowN(now, 1)
		p.start(t, addrs)
		return attempt{target: t, id: t.id, addrs: addrs, finder: finder}, true
	}
}

func (p *plan) start(t *target, addrs []ma.Multiaddr) {
	t.lane.unwait(t)
	t.busy = true
	t.lane.busy++
	p.busy++
	if t.id != "" {
		p.peers[t.id] = struct{}{}
	}
	for _, a := range addrs {
		p.used[string(a.Bytes())] = struct{}{}
	}
}

// wake returns when next may have an attempt if nothing else happens before.
func (p *plan) wake(now time.Time, connections int) (time.Time, bool) {
	var first time.Time
	if p.busy == MaxAttempts {
		return first, false
	}
	for _, l := range p.lanes {
		if at, ok := l.ready(now); ok && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if calm := p.calmUntil(now, connections); !first.IsZero() && calm.After(first) {
		first = calm
	}
	return first, !first.IsZero()
}

func (p *plan) calmUntil(now time.Time, connections int) time.Time {
	if connections < EnoughConnections {
		return now
	}
	return tokenAt(p.calm, now)
}

// claim reserves a peer for an attempt that learned its id; false says that another attempt has it. A claim lasts until
// release or, at the latest, until the attempt is finished.
func (p *plan) claim(a *attempt, id peer.ID) bool {
	if p.isClaimed(id) {
		return false
	}
	p.peers[id] = struct{}{}
	a.id = id
	return true
}

// release takes back what claim did.
func (p *plan) release(a *attempt) {
	delete(p.peers, a.id)
	a.id = ""
}

func (p *plan) isClaimed(id peer.ID) bool {
	_, is := p.peers[id]
	return is
}

// finders returns those that reported a peer by its id, as far as it is remembered.
func (p *plan) finders(id peer.ID) []int {
	var finders []int
	for i, l := range p.lanes {
		if l.targets[targetKey(id, nil)] != nil {
			finders = append(finders, i)
		}
	}
	return finders
}

var errFinishedTwice = errors.New("an attempt was finished twice")

// finish notes how an attempt ended.
func (p *plan) finish(now time.Time, a attempt, how outcome) {
	t := a.target
	if !t.busy {
		panic(errFinishedTwice)
	}
	t.busy = false
	t.lane.busy--
	p.busy--
	delete(p.peers, a.id)
	for _, addr := range a.addrs {
		p.resting = append(p.resting, resting{string(addr.Bytes()), now.Add(AddrGap)})
	}
	switch how {
	case connected:
		t.failures, t.strangers = 0, 0
		t.due = now.Add(ReconnectGap)
		return // until it is reported again
	case itself:
		t.lane.forget(t)
		return
	case claimed:
		t.due = now.Add(AddrGap)
	case stranger:
		t.due = now.Add(backoff.Delay(StrangerRetryBase, StrangerRetryLimit, t.strangers, p.random()))
		t.strangers++
	case unlearned:
		t.due = now.Add(backoff.Delay(LearnRetryBase, RetryLimit, t.failures, p.random()))
		t.failures++
	default:
		t.due = now.Add(backoff.Delay(RetryBase, RetryLimit, t.failures, p.random()))
		t.failures++
	}
	t.lane.wait(t, t.due)
}

// unused returns those of addrs that are not in use, nor were just now.
func (p *plan) unused(addrs []ma.Multiaddr) []ma.Multiaddr {
	var free []ma.Multiaddr
	for _, a := range addrs {
		if _, is := p.used[string(a.Bytes())]; !is {
			free = append(free, a)
		}
	}
	return free
}

// rest frees the addresses that have rested.
func (p *plan) rest(now time.Time) {
	n := 0
	for n < len(p.resting) && !p.resting[n].until.After(now) {
		delete(p.used, p.resting[n].addr)
		n++
	}
	p.resting = p.resting[n:]
}
