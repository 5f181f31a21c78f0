package swim

import (
	"errors"
	"fmt"
	"time"
)

// Timing holds the detector's times and rates. Default's values keep these promises with 2 to LargeNetwork members: a peer that freezes or
// vanishes is Suspect at every other within 3 s and Dead within 10 s, and Alive again within 3 s of coming back.
type Timing struct {
	// Period is the protocol period. Probes are spread evenly over it.
	Period time.Duration
	// MaxProbesPerPeriod bounds the probes of live members begun in one period. Below the bound their number is such
	// that every live member is probed once in TargetCycle.
	MaxProbesPerPeriod int
	TargetCycle        time.Duration
	// LargeNetwork is the number of present members above which connections are kept to MaxNeighbours of them only, and one probe is begun per period.
	LargeNetwork int

	// Direct is how long a direct probe may go unanswered before others are asked to probe; Indirect is how long these have. An
	// answer that comes later still counts, until Patience after the probe began.
	Direct, Indirect, Patience time.Duration
	// Helpers is how many others are asked to probe.
	Helpers int

	// A suspect that doesn't answer is dead after SuspicionMax, or earlier as confirmations come in, but not before SuspicionMin, which is
	// reached with Confirmations of them. Its own failed probes confirm, and so does every other peer that says it suspects too.
	SuspicionMin, SuspicionMax time.Duration
	Confirmations              int

	// Absent is the time in which every away or dead member is probed once, as far as MaxAbsentPerPeriod
	// allows. AbsentTimeout bounds such a probe, which mostly begins with a dial.
	Absent, AbsentTimeout time.Duration
	MaxAbsentPerPeriod    int
	// CandidateTimeout bounds the probe of a candidate; CandidateBackoff is the pause after its first failure, which doubles up to CandidateBackoffMax.
	CandidateTimeout, CandidateBackoff, CandidateBackoffMax time.Duration
	// YoungerPause is how long a candidate that began later than this node is left to connect by itself.
	YoungerPause time.Duration

	// Sync is the pause between exchanges of all claims with a random member (anti-entropy), SyncPause the least time between any two of them.
	Sync, SyncPause time.Duration
	// HearsayPause is the least time between two probes of one peer that others' words cause.
	HearsayPause time.Duration
	// RefutePause is the least time between two refutations by this node.
	RefutePause time.Duration
	// LateTick is a delay of a Tick that shows that this node is short of processor time. For Strained after it, the machine does less: what it would do about
	// peers that seem silent costs more than it brings when everybody seems silent.
	LateTick, Strained time.Duration
	// Stall is a gap between two Ticks after which the machine concludes that not its peers but it itself stood still.
	Stall time.Duration
	// Forget is how long a dead member stays, counted from when it was last alive or, when it never was, entered.
	Forget time.Duration
}

// Default returns the timing for production.
func Default() Timing {
	return Timing{
		Period: 500 * time.Millisecond, MaxProbesPerPeriod: 4, TargetCycle: time.Second, LargeNetwork: 128,
		Direct: 500 * time.Millisecond, Indirect: 500 * time.Millisecond, Patience: 3 * time.Second, Helpers: 3,
		SuspicionMin: 2500 * time.Millisecond, SuspicionMax: 5 * time.Second, Confirmations: 3,
		Absent: 2 * time.Second, AbsentTimeout: 2 * time.Second, MaxAbsentPerPeriod: 4,
		CandidateTimeout: 3 * time.Second, CandidateBackoff: 500 * time.Millisecond, CandidateBackoffMax: 30 * time.Second, YoungerPause: time.Second,
		Sync: 10 * time.Second, SyncPause: time.Second,
		HearsayPause: time.Second, RefutePause: 2 * time.Second,
		LateTick: 200 * time.Millisecond, Strained: 10 * time.Second, Stall: 1500 * time.Millisecond,
		Forget: 10 * time.Minute,
	}
}

// Validate reports the first thing that is wrong with t.
func (t *Timing) Validate() error {
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"Period", t.Period}, {"TargetCycle", t.TargetCycle}, {"Direct", t.Direct}, {"Indirect", t.Indirect}, {"Patience", t.Patience},
		{"SuspicionMin", t.SuspicionMin}, {"SuspicionMax", t.SuspicionMax}, {"Absent", t.Absent}, {"AbsentTimeout", t.AbsentTimeout},
		{"CandidateTimeout", t.CandidateTimeout}, {"CandidateBackoff", t.CandidateBackoff}, {"CandidateBackoffMax", t.CandidateBackoffMax}, {"YoungerPause", t.YoungerPause},
		{"Sync", t.Sync}, {"SyncPause", t.SyncPause}, {"HearsayPause", t.HearsayPause}, {"RefutePause", t.RefutePause},
		{"LateTick", t.LateTick}, {"Strained", t.Strained}, {"Stall", t.Stall}, {"Forget", t.Forget},
	} {
		if d.d <= 0 {
			return fmt.Errorf("timing: %s is %v, want more than 0", d.name, d.d)
		}
	}
	switch {
	case t.MaxProbesPerPeriod < 1 || t.MaxAbsentPerPeriod < 1 || t.Confirmations < 1:
		return errors.New("timing: MaxProbesPerPeriod, MaxAbsentPerPeriod and Confirmations must be at least 1")
	case t.Helpers < 0 || t.LargeNetwork < 1:
		return errors.New("timing: Helpers must not be negative and LargeNetwork at least 1")
	case t.SuspicionMin > t.SuspicionMax:
		return errors.New("timing: SuspicionMin is longer than SuspicionMax")
	case t.Patience < t.Direct+t.Indirect:
		return errors.New("timing: Patience is shorter than Direct and Indirect together")
	}
	return nil
}

// liveInterval is the time between two probes of the rotation of live members, of which there are n.
func (t *Timing) liveInterval(n int) time.Duration {
	if n > t.LargeNetwork {
		return t.Period
	}
	return t.Period / time.Duration(t.perPeriod(n, t.TargetCycle, t.MaxProbesPerPeriod))
}

// absentInterval is the time between two probes of the rotation of away and dead members, of which there are n.
func (t *Timing) absentInterval(n int) time.Duration {
	return max(t.Absent/time.Duration(max(n, 1)), t.Period/time.Duration(t.MaxAbsentPerPeriod))
}

// suspectInterval is the time between two probes of the same suspect, when there are n suspects: few are probed once per period each, and more share
// that rate.
func (t *Timing) suspectInterval(n int) time.Duration {
	return max(t.Period, t.Period*time.Duration(n)/fewSuspects)
}

// fewSuspects is the number of suspects up to which each gets full attention. More at once mean that the trouble is elsewhere: at this node, or in
// the network between.
const fewSuspects = 8

// perPeriod is how many probes a period needs so that n members are probed once in cycle, within 1 to limit.
func (t *Timing) perPeriod(n int, cycle time.Duration, limit int) int {
	need := (time.Duration(n)*t.Period + cycle - 1) / cycle
	return int(min(max(need, 1), time.Duration(limit)))
}
