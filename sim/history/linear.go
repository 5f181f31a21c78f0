package history

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what porcupine says of the keys of a history.
type Verdict struct {
	// Linearizable and Undecided count the keys; undecided are those for which the time did not suffice.
	Linearizable, Undecided int
	// Illegal are the keys whose answers no single register could have given.
	Illegal []string
}

// absent is the state of a key without a record. No value is empty.
const absent = ""

// Linearizable asks porcupine about every key, with at most the given time for each. Writes whose outcome is unknown may take effect at any time after they were called, or never. For keys
// with conditions, a conditional write that was acknowledged must have met its condition, and one that was refused must not; for others conditional writes are taken as plain ones, and
// refused ones as not having happened.
func Linearizable(h *History, withConditions func(key string) bool, timeout time.Duration) Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	var v Verdict
	keys := h.byKey()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		conditions := withConditions(key)
		switch porcupine.CheckOperationsTimeout(register(conditions), operations(keys[key], conditions), timeout) {
		case porcupine.Ok:
			v.Linearizable++
		case porcupine.Unknown:
			v.Undecided++
		default:
			v.Illegal = append(v.Illegal, key)
		}
	}
	return v
}

// operations leaves out what says nothing: reads that failed, and puts that failed and were never seen, unless they may be why a condition was not met. That a write had no effect needs no
// proof, and each one left in doubles the search.
func operations(ops []*Op, conditions bool) []porcupine.Operation {
	seen := map[string]bool{}
	refused := false
	for _, o := range ops {
		refused = refused || conditions && o.Outcome == Conflict
		seen[o.Value] = seen[o.Value] || o.Kind == Get && o.Outcome == OK
		seen[o.If.Value] = seen[o.If.Value] || o.If.Value != ""
	}
	var list []porcupine.Operation
	for i, o := range ops {
		end := o.Return
		if o.Outcome == Unknown {
			if o.Kind == Get || o.Kind == Put && !seen[o.Value] && !refused {
				continue
			}
			end = math.MaxInt64
		}
		list = append(list, porcupine.Operation{ClientId: i, Input: o, Call: o.Call, Output: o.Outcome, Return: end})
	}
	return list
}

// register is a register that holds a value or none.
func register(conditions bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return absent },
		Step: func(state, input, _ any) (bool, any) {
			return step(state.(string), input.(*Op), conditions)
		},
		DescribeOperation: func(input, _ any) string { return input.(*Op).String() },
	}
}

func step(state string, o *Op, conditions bool) (bool, any) {
	met := !(o.If.Absent && state != absent || o.If.Value != "" && state != o.If.Value)
	next := o.Value
	if o.Kind == Delete {
		next = absent
	}
	switch {
	case o.Kind == Get && o.Outcome == NotFound:
		return state == absent, state
	case o.Kind == Get:
		return state == o.Value, state
	case !conditions:
		if o.Outcome == Conflict {
			return true, state
		}
		return true, next
	case o.Outcome == Conflict:
		return !met, state
	case o.Outcome == Unknown && !met: // refused, and nobody was told
		return true, state
	}
	return met, next
}
