package records

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// errNewer is the answer of a holder that has a newer version.
var errNewer = errors.New("has a newer version")

// A tally counts the answers to one write and knows when it is decided. It has no clock and does no I/O.
//
// A holder that has a newer version may have it from a write that was acknowledged before this one began, by a peer whose clock is ahead; this one must come
// after it. So the first stamp only counts where it was stored. If it was not stored by enough, those who answered have told the newest version that was acknowledged before, as any
// two quorums share a holder; a second stamp is later than that. Versions newer than the second stamp are of writes at the same time as this one, and a holder that has one
// counts as if it had stored this one just before: whoever asks a quorum finds this version or one that replaced it.
//
// A holder that is catching up stores what it is told and does not count towards the quorum that reads rely on: another member that counts stands in for it, a substitute. Its copy counts
// all the same towards the number of copies.
type tally struct {
	*placement
	need    int
	level   Consistency
	final   bool  // newer versions count as stored
	targets []int // the holders, the witness, and the substitutes
	stored  []int // holders that have it on disk
	proof   []int // stored, and those beside the holders that have it
	newer   int   // holders that have a newer version, unless that counts as stored
	counted int   // answers that count, of those who have it
	behind  int   // answers of holders that do not count
	alone   bool  // nobody else can stand in: all who count were told
	failed  []outcome[response]
	newest  disk.Rank // greatest version that a holder has instead
}

// enough says before anything is written that it could not be acknowledged, because too many peers are dead.
func (p *placement) enough(key string, level Consistency) error {
	if need := level.needed(p.topology); len(p.holders) < need {
		return fault.New(fault.Unavailable, "write %q: %d copies are needed for %s, and %d of the %d peers known are dead; nothing was written; "+
			"it works again once they are back or have been forgotten; check `moot peers`", key, need, level, len(p.hashes)-len(p.holders), len(p.hashes))
	}
	return nil
}

func newTally(p *placement, level Consistency, final bool) *tally {
	t := &tally{placement: p, level: level, final: final, need: level.needed(p.topology), targets: slices.Clip(p.holders)}
	if p.witness >= 0 && level != One {
		t.targets = append(t.targets, p.witness)
	}
	return t
}

// add counts an answer.
func (t *tally) add(o outcome[response]) {
	newer := o.err == nil && o.answer.status == statusNewer
	if newer && t.newest.Compare(o.answer.rank) < 0 {
		t.newest = o.answer.rank
	}
	switch {
	case newer && !t.final:
		t.newer++
		o.err = errNewer
		t.failed = append(t.failed, o)
	case o.err != nil:
		t.failed = append(t.failed, o)
	default:
		t.proof = append(t.proof, o.member)
		holder := slices.Contains(t.holders, o.member)
		if holder {
			t.stored = append(t.stored, o.member)
		}
		if o.answer.standing.level.counts() {
			t.counted++
		} else if holder {
			t.behind++
		}
	}
}

// missing returns how many members beside the holders are to stand in for holders that are catching up.
func (t *tally) missing() int {
	if t.level == One || t.alone || t.acknowledged() {
		return 0
	}
	return min(t.behind, t.quorum-t.counted-t.pending())
}

// outdated reports whether enough holders answered to know a stamp that is late enough.
func (t *tally) outdated() bool {
	return t.newer > 0 && len(t.stored)+t.newer >= min(t.need, t.quorum)
}

// superseded reports whether a later stamp may fare better.
func (t *tally) superseded() bool { return t.newer > 0 && !t.acknowledged() }

// acknowledged reports whether the write has reached its level.
func (t *tally) acknowledged() bool {
	return len(t.stored) >= t.need && (t.level == One || t.spansZones(t.proof) && (t.counted >= t.quorum || t.alone))
}

// pending is how many have not answered.
func (t *tally) pending() int { return len(t.targets) - len(t.proof) - len(t.failed) }

// hopeless reports whether no answer that may still come can acknowledge the write.
func (t *tally) hopeless() bool {
	if t.acknowledged() {
		return false
	}
	return t.pending() == 0 && t.missing() <= 0 || len(t.stored)+t.pending() < t.need
}

// err says why the write was not acknowledged.
func (t *tally) err(key string) error {
	kind := fault.Unavailable
	for _, o := range t.failed {
		switch k := fault.KindOf(o.err); k {
		case fault.Invalid, fault.Forbidden, fault.TooLarge:
			return fault.As(k, fmt.Errorf("write %q: %s: %w", key, t.id(o.member), o.err))
		case fault.Full:
			kind = k
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "write %q: %d of %d copies needed for %s were stored (wanted %d)", key, len(t.stored), t.need, t.level, t.wanted)
	switch {
	case len(t.stored) < t.need:
	case !t.spansZones(t.proof):
		b.WriteString(", all in one zone though two are alive")
	default:
		fmt.Fprintf(&b, ", and %d of them at holders that are in sync, of %d needed", t.counted, t.quorum)
	}
	t.describeMissing(&b)
	b.WriteString("; the write may still take effect; try again or check `moot peers`")
	return fault.As(kind, errors.New(b.String()))
}

func (t *tally) describeMissing(b *strings.Builder) {
	answered := map[int]bool{}
	for _, i := range t.proof {
		answered[i] = true
	}
	for _, o := range t.failed {
		answered[o.member] = true
		fmt.Fprintf(b, "; %s %s", t.id(o.member), complaint(o.err))
	}
	for _, i := range t.targets {
		if !answered[i] {
			fmt.Fprintf(b, "; %s did not answer", t.id(i))
		}
	}
}

// complaint says what a member did instead of answering.
func complaint(err error) string {
	if r, ok := errors.AsType[*refusedError](err); ok {
		return r.Error()
	}
	for _, own := range []error{errNewer, errLiar, errAhead, errBehind} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	if fault.KindOf(err) == fault.Invalid { // what it sent
		return "answered wrongly: " + err.Error()
	}
	return "did not answer"
}
