package records

import (
	"errors"
	"fmt"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// errNewer is the answer of a holder that has a newer version.
var errNewer = errors.New("has a newer version")

// A tally counts the answers to one write and knows when it is decided. It has no clock and does no I/O.
type tally struct {
	*placement
	need    int
	level   Consistency
	targets []int // the holders and the witness
	stored  []int // holders that have it on disk
	proof   []int // stored, and the witness if it has it
	failed  []outcome[response]
	newest  disk.Rank // greatest version that a holder said it has instead
}

func newTally(p *placement, level Consistency) *tally {
	t := &tally{placement: p, level: level, need: level.needed(p.topology), targets: p.holders}
	if p.witness >= 0 && level != One {
		t.targets = append(t.targets[:len(t.targets):len(t.targets)], p.witness)
	}
	return t
}

// add counts an answer.
func (t *tally) add(o outcome[response]) {
	switch {
	case o.err != nil:
		t.failed = append(t.failed, o)
	case o.answer.status == statusNewer:
		if t.newest.Compare(o.answer.rank) < 0 {
			t.newest = o.answer.rank
		}
		o.err = errNewer
		t.failed = append(t.failed, o)
	default:
		t.proof = append(t.proof, o.member)
		if o.member != t.witness {
			t.stored = append(t.stored, o.member)
		}
	}
}

// superseded reports whether a holder has a newer version.
func (t *tally) superseded() bool { return t.newest != disk.Rank{} }

// acknowledged reports whether the write has reached its level.
func (t *tally) acknowledged() bool {
	return len(t.stored) >= t.need && (t.level == One || t.spansZones(t.proof))
}

// pending is how many have not answered.
func (t *tally) pending() int { return len(t.targets) - len(t.proof) - len(t.failed) }

// hopeless reports whether no answer that may still come can acknowledge the write.
func (t *tally) hopeless() bool {
	if t.acknowledged() {
		return false
	}
	return t.pending() == 0 || len(t.stored)+t.pending() < t.need
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
	if len(t.stored) >= t.need {
		b.WriteString(", all in one zone though two are alive")
	}
	if n := t.wanted - len(t.holders); n > 0 {
		fmt.Fprintf(&b, "; %d of the peers known are dead", n)
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
	if errors.Is(err, errNewer) {
		return errNewer.Error()
	}
	return "did not answer"
}
