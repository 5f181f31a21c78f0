package swim

import "time"

// lateness is by how much this node was late with its own ticks lately: it takes others' answers up as late, and needs as long for its own part of a handshake. Lifeguard's health multiplier
// guesses that from probes that failed; this is measured, so that it also holds where everybody is short of processor time at once, and what is too late is not made again and again.
type lateness struct {
	lag  time.Duration
	seen time.Time // when lag was brought up to date
}

const (
	// maxLag bounds what lateness does.
	maxLag = 30 * time.Second
	// firstLag is how much one late tick counts at most, and lagGrowth times what it was each further one: a process that was stopped once is not short of processor time.
	firstLag  = 500 * time.Millisecond
	lagGrowth = 2
	// lagMemory is the time in which lateness is mostly forgotten.
	lagMemory = 10 * time.Second
	// candidateLags, probeLags and suspicionLags are how many times a thread of execution waits for its turn, at both ends, in a handshake and an exchange, in an exchange, and until a suspect's
	// refutation is heard.
	candidateLags = 8
	probeLags     = 3
	suspicionLags = 6
	// easyLag is the lateness that has half as many probes begun as usual.
	easyLag = 250 * time.Millisecond
	// strainedProbes is the most probes of members that a node begins before others have ended while it is short of processor time: more of them would only wait longer.
	strainedProbes = 8
)

// observe notes that a tick came late by d.
func (l *lateness) observe(now time.Time, d time.Duration) {
	past := min(now.Sub(l.seen), lagMemory)
	l.lag -= l.lag * past / lagMemory
	l.lag = max(l.lag, min(d, lagGrowth*l.lag+firstLag, maxLag))
	l.seen = now
}

func (l *lateness) candidate(d time.Duration) time.Duration { return d + candidateLags*l.lag }
func (l *lateness) probe(d time.Duration) time.Duration     { return d + probeLags*l.lag }
func (l *lateness) suspicion(d time.Duration) time.Duration { return d + suspicionLags*l.lag }

// pause is the time between two probes that are d apart usually. Where all are late, to probe as often as ever is what keeps them late.
func (l *lateness) pause(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*float64(l.lag)/float64(easyLag))
}

// window is how many candidates may be probed directly at once: it grows with each that answers, and halves when this node is short of processor time and handshakes run out, so that
// those under way get the time that they need (additive increase, multiplicative decrease: Chiu, Jain, 1989).
type window struct {
	room float64
	// cut is when it was last halved, after which it grows slowly. Handshakes that began before say nothing new.
	cut time.Time
}

const (
	firstWindow = 4
	minWindow   = 2
	// slowHandshake is how long a handshake takes at least that fails for want of processor time.
	slowHandshake = time.Second
)

func newWindow() window { return window{room: firstWindow} }

func (w *window) size() int { return int(w.room) }

func (w *window) answered() {
	growth := 1.0
	if !w.cut.IsZero() {
		growth /= w.room
	}
	w.room = min(w.room+growth, maxCandidateProbes)
}

func (w *window) ranOut(now, began time.Time) {
	if began.After(w.cut) {
		w.room, w.cut = max(w.room/2, minWindow), now
	}
}
