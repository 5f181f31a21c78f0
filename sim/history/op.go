package history

import (
	"fmt"
	"slices"
	"sync"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Put Kind = iota
	Delete
	Get
)

// String returns the kind's name.
func (k Kind) String() string { return [...]string{"put", "delete", "get"}[k] }

// Outcome is what a client was told.
type Outcome uint8

const (
	// Unknown: an error, or no answer. A write may have taken effect, or take effect at any time after.
	Unknown Outcome = iota
	// OK: done; a read found a record.
	OK
	// NotFound: a read was told that there is no record.
	NotFound
	// Conflict: the condition of a write was not met, and nothing changed.
	Conflict
)

// String returns the outcome's name.
func (o Outcome) String() string { return [...]string{"unknown", "ok", "not found", "conflict"}[o] }

// A Condition is what a conditional write asks of the record as it is.
type Condition struct {
	// Absent wants that there is none.
	Absent bool
	// Value wants that this is the newest; empty: no condition.
	Value string
}

// An Op is one operation. Times are in any unit, the same for all of a history.
type Op struct {
	Kind         Kind
	Key          string
	Value        string // what a put wrote, and what a read that is OK returned
	If           Condition
	Call, Return int64
	Outcome      Outcome
	// Version orders the records of a key as the store does; of everything that is OK. Texts are compared.
	Version string
	// Node is the peer that was asked, in one of its lives.
	Node string
	// Session is the session that the operation belongs to; 0: none. The operations of a session follow one another.
	Session int
	// Side is the part of a divided network that Node is in; 0 while the network is whole.
	Side int
}

// maxShown is how much of a value is shown.
const maxShown = 12

// String tells the operation in one line.
func (o *Op) String() string {
	text := fmt.Sprintf("[%d-%d] %s %s", o.Call, o.Return, o.Kind, o.Key)
	if o.Kind == Put || o.Outcome == OK && o.Kind == Get {
		text += fmt.Sprintf(" %.*q", maxShown, o.Value)
	}
	if o.If.Absent {
		text += " if absent"
	} else if o.If.Value != "" {
		text += fmt.Sprintf(" if %.*q", maxShown, o.If.Value)
	}
	text += fmt.Sprintf(" at %s: %s %s", o.Node, o.Outcome, o.Version)
	if o.Session != 0 {
		text += fmt.Sprintf(" session %d", o.Session)
	}
	if o.Side != 0 {
		text += fmt.Sprintf(" side %d", o.Side)
	}
	return text
}

// A Split is a time during which the network was divided: from the first lost packet until everybody sees everybody again and records that differ were compared.
type Split struct{ From, To int64 }

func (s *Split) overlaps(from, to int64) bool { return from <= s.To && to >= s.From }
func (s *Split) contains(from, to int64) bool { return from >= s.From && to <= s.To }

// A State is what is left of a key in the end.
type State struct {
	Found          bool
	Version, Value string
}

// A History is what happened. Its methods may be called by many goroutines at once; the fields are for when they are done.
type History struct {
	mu     sync.Mutex
	Ops    []Op             // guarded by mu
	Splits []Split          // guarded by mu
	Final  map[string]State // guarded by mu; nil: not known
}

// Add adds an operation that has ended.
func (h *History) Add(o Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Ops = append(h.Ops, o)
}

// Split adds a time during which the network was divided.
func (h *History) Split(s Split) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Splits = append(h.Splits, s)
}

// Count returns how many operations ended that way.
func (h *History) Count(outcomes ...Outcome) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := 0
	for i := range h.Ops {
		if slices.Contains(outcomes, h.Ops[i].Outcome) {
			count++
		}
	}
	return count
}

// byKey returns the operations of each key, in the order in which they were called.
func (h *History) byKey() map[string][]*Op {
	keys := map[string][]*Op{}
	for i := range h.Ops {
		o := &h.Ops[i]
		keys[o.Key] = append(keys[o.Key], o)
	}
	for _, ops := range keys {
		slices.SortStableFunc(ops, func(a, b *Op) int { return int(a.Call - b.Call) })
	}
	return keys
}
