package records

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxSkews bounds the peers whose clocks are remembered.
	maxSkews = 1024
	// skewAge is for how long what a peer's clock showed is good: of each pair of holders both begin a comparison well within it.
	skewAge = 10 * time.Minute
	// maxParted is by how much the wall clock may go another way than the monotonic one since then, as it does while it is slewed.
	maxParted = time.Second
)

// skews are what other peers' clocks showed. A peer that compares copies says as of when, which is settledAgo by its clock: that tells the clock without a question of its own. Liars change nothing as long as they are fewer
// than half.
type skews struct {
	// passed tells how long it is from one time of this node's to another by a clock that nobody sets; nil: the monotonic clock that the times hold.
	passed func(from, to time.Time) time.Duration

	mu    sync.Mutex
	heard map[peer.ID]shown // guarded by mu
}

// shown is what a peer's clock showed at a time of this node's, which holds a monotonic clock, too.
type shown struct{ theirs, at time.Time }

// note takes down that a peer compares as of a time.
func (s *skews) note(from peer.ID, asOf uint64, now time.Time) {
	if asOf == asOfNow {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard == nil {
		s.heard = map[peer.ID]shown{}
	}
	if _, known := s.heard[from]; !known && len(s.heard) >= maxSkews {
		s.forget(now)
		if len(s.heard) >= maxSkews {
			return
		}
	}
	s.heard[from] = shown{Timestamp(asOf).Time().Add(settledAgo), now}
}

// since returns how long ago something was heard, whatever became of the wall clock.
func (s *skews) since(at, now time.Time) time.Duration {
	if s.passed != nil {
		return s.passed(at, now)
	}
	return now.Sub(at)
}

// forget drops what is too old, and what was heard before the clock was set or the machine slept, which makes the two clocks part: of now nothing is known then. mu is held.
func (s *skews) forget(now time.Time) {
	for id, h := range s.heard {
		age := s.since(h.at, now)
		if parted := now.Round(0).Sub(h.at.Round(0)) - age; age > skewAge || parted.Abs() > maxParted {
			delete(s.heard, id)
		}
	}
}

// ahead returns by how much this node's clock is ahead of those of half of the peers that were heard, and behind where it is negative, and how many these were. Of an even number it is what is nearer to nothing.
func (s *skews) ahead(now time.Time) (by time.Duration, peers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	if len(s.heard) == 0 {
		return 0, 0
	}
	list := make([]time.Duration, 0, len(s.heard))
	for _, h := range s.heard {
		shows := h.theirs.Add(s.since(h.at, now))
		list = append(list, now.Round(0).Sub(shows))
	}
	slices.Sort(list)
	low, high := list[(len(list)-1)/2], list[len(list)/2]
	switch {
	case low > 0:
		return low, len(list)
	case high < 0:
		return high, len(list)
	}
	return 0, len(list)
}
