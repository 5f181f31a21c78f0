package swim

import (
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxConfirmers bounds the distinct peers that are remembered as suspecting one member.
const maxConfirmers = 8

// accusationLife is how long an accusation of a live member counts.
const accusationLife = 3 * time.Second

// suspicion is the time in which a suspect may still answer or refute (Lifeguard, section IV-B).
type suspicion struct {
	since, nextProbe time.Time
	// confirmed are the peers that said, in their own name, that they suspect the member too.
	confirmed []peer.ID
	// own is the number of this node's probes that failed since.
	own int
	// refused is set when the member's machine refused a connection: nothing runs there that could answer.
	refused bool
}

// confirm counts from's word once.
func (s *suspicion) confirm(from peer.ID) {
	s.confirmed = appendOnce(s.confirmed, from)
}

// deadline is when the suspect is dead. It shrinks from SuspicionMax with the logarithm of the confirmations, which makes the first count most.
func (s *suspicion) deadline(t *Timing, h health, l *lateness) time.Time {
	n := min(len(s.confirmed)+s.own, t.Confirmations)
	if s.refused {
		n = t.Confirmations
	}
	shrink := math.Log(float64(n+1)) / math.Log(float64(t.Confirmations+1))
	d := t.SuspicionMax - time.Duration(shrink*float64(t.SuspicionMax-t.SuspicionMin))
	return s.since.Add(l.suspicion(h.suspicion(d)))
}

// accusers remembers who lately said in its own name that it suspects a member that is alive here.
type accusers struct {
	peers []peer.ID
	since time.Time
}

func (a *accusers) add(now time.Time, from peer.ID) {
	if now.Sub(a.since) > accusationLife {
		*a = accusers{since: now}
	}
	a.peers = appendOnce(a.peers, from)
}

func (a *accusers) fresh(now time.Time) []peer.ID {
	if now.Sub(a.since) > accusationLife {
		return nil
	}
	return a.peers
}

func appendOnce(peers []peer.ID, id peer.ID) []peer.ID {
	for _, p := range peers {
		if p == id {
			return peers
		}
	}
	if len(peers) == maxConfirmers {
		return peers
	}
	return append(peers, id)
}

// health is Lifeguard's local health multiplier: a score that rises when this node itself seems slow, and lengthens its timeouts. 0 is
// healthy. The effect is bounded so that Timing's promises hold at the worst score.
type health int

// maxHealth is the worst score; each point lengthens probes' timeouts by 1/probeStep and suspicions by 1/suspicionStep.
const (
	maxHealth     = 4
	probeStep     = 8
	suspicionStep = 10
)

func (h *health) worse(by int) { *h = min(*h+health(by), maxHealth) }
func (h *health) worst()       { *h = maxHealth }
func (h *health) better()      { *h = max(*h-1, 0) }

func (h health) timeout(d time.Duration) time.Duration   { return d + d*time.Duration(h)/probeStep }
func (h health) suspicion(d time.Duration) time.Duration { return d + d*time.Duration(h)/suspicionStep }
