package discovery

import (
	"container/heap"
	"container/list"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// A target is what one finder told of one peer, or of one address whose peer is unknown, and how connecting to it went.
type target struct {
	lane  *lane
	id    peer.ID        // empty while only an address is known
	addrs []ma.Multiaddr // newest first, 1 to MaxAddrsPerPeer

	reported  time.Time // when last
	due       time.Time // when it may be attempted next
	failures  int       // attempts in a row that failed
	strangers int       // attempts in a row that ended at a peer of another network
	busy      bool      // an attempt is under way

	recent *list.Element // in lane.recent; nil once forgotten
	place  int           // in lane.waiting, or notWaiting
}

const notWaiting = -1

func (t *target) key() string { return targetKey(t.id, t.addrs[0]) }

// targetKey is a peer's id or, where the peer is unknown, its only address. Binary addresses begin with a protocol
// code, peer ids are told apart from them by a prefix that is none.
func targetKey(id peer.ID, addr ma.Multiaddr) string {
	if id != "" {
		return "\x00" + string(id)
	}
	return string(addr.Bytes())
}

// learnAddrs puts addrs before those known and returns whether one of them is new.
func (t *target) learnAddrs(addrs []ma.Multiaddr) bool {
	fresh := false
	for _, a := range slices.Backward(addrs) {
		i := slices.IndexFunc(t.addrs, a.Equal)
		if i < 0 {
			fresh = true
			i = min(len(t.addrs), MaxAddrsPerPeer-1)
			t.addrs = append(t.addrs[:i], a)
		}
		copy(t.addrs[1:i+1], t.addrs[:i])
		t.addrs[0] = a
	}
	return fresh
}

// A lane holds the targets of one finder. Finders have lanes of their own so that one that is flooded or lied to can
// neither displace nor delay what another one finds.
type lane struct {
	targets map[string]*target
	recent  list.List // every target, the one reported longest ago first
	waiting dueHeap   // the targets to be attempted, none of them busy
	starts  *rate.Limiter
	busy    int
}

func newLane() *lane {
	return &lane{targets: make(map[string]*target), starts: rate.NewLimiter(AttemptsPerSecond, AttemptBurst)}
}

// target returns the target of c, made if it is new; fresh says that its addresses were not all known.
func (l *lane) target(c candidate, now time.Time) (t *target, fresh bool) {
	key := targetKey(c.id, c.addrs[0])
	if t := l.targets[key]; t != nil {
		l.recent.MoveToBack(t.recent)
		return t, t.learnAddrs(c.addrs)
	}
	if len(l.targets) == MaxTargetsPerFinder {
		l.displace()
	}
	t = &target{lane: l, id: c.id, addrs: slices.Clone(c.addrs), due: now, place: notWaiting}
	t.recent = l.recent.PushBack(t)
	l.targets[key] = t
	return t, true
}

// displace forgets the idle target that was reported longest ago.
func (l *lane) displace() {
	for e := l.recent.Front(); e != nil; e = e.Next() {
		if t := e.Value.(*target); !t.busy {
			l.forget(t)
			return
		}
	}
}

func (l *lane) forget(t *target) {
	if t.recent == nil {
		return
	}
	l.unwait(t)
	delete(l.targets, t.key())
	l.recent.Remove(t.recent)
	t.recent = nil
}

func (l *lane) wait(t *target, due time.Time) {
	t.due = due
	if t.place == notWaiting {
		heap.Push(&l.waiting, t)
		return
	}
	heap.Fix(&l.waiting, t.place)
}

func (l *lane) unwait(t *target) {
	if t.place != notWaiting {
		heap.Remove(&l.waiting, t.place)
	}
}

// ready returns when the lane may start its next attempt; ok is false while it can't, whatever the time.
func (l *lane) ready(now time.Time) (at time.Time, ok bool) {
	if len(l.waiting) == 0 || l.busy == MaxAttemptsPerFinder {
		return time.Time{}, false
	}
	at = tokenAt(l.starts, now)
	if due := l.waiting[0].due; due.After(at) {
		at = due
	}
	return at, true
}

// tokenAt returns when limiter will have a token: now if it has one.
func tokenAt(limiter *rate.Limiter, now time.Time) time.Time {
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 {
		return now
	}
	// Rounded up, so that the token is there when the time has come.
	return now.Add(time.Duration(missing/float64(limiter.Limit())*float64(time.Second)) + time.Microsecond)
}

// dueHeap orders targets by when they are due, so that none is overtaken for ever by newer ones.
type dueHeap []*target

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *dueHeap) Push(x any) {
	t := x.(*target)
	t.place = len(*h)
	*h = append(*h, t)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.place = notWaiting
	return t
}
