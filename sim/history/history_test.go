package history_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/sim/history"
)

const patience = 10 * time.Second

// promises returns the promises that a history shows to be broken, each once.
func promises(h *history.History) []string {
	var broken []string
	for _, v := range history.Check(h) {
		broken = append(broken, v.Promise)
	}
	slices.Sort(broken)
	return slices.Compact(broken)
}

func put(call, end int64, value, version string) history.Op {
	return history.Op{Kind: history.Put, Key: "k", Value: value, Version: version, Call: call, Return: end, Outcome: history.OK}
}

func get(call, end int64, value, version string) history.Op {
	return history.Op{Kind: history.Get, Key: "k", Value: value, Version: version, Call: call, Return: end, Outcome: history.OK}
}

func missing(call, end int64) history.Op {
	return history.Op{Kind: history.Get, Key: "k", Call: call, Return: end, Outcome: history.NotFound}
}

func deletion(call, end int64, version string) history.Op {
	return history.Op{Kind: history.Delete, Key: "k", Version: version, Call: call, Return: end, Outcome: history.OK}
}

func failed(o history.Op) history.Op {
	o.Outcome, o.Version = history.Unknown, ""
	return o
}

func at(node string, o history.Op) history.Op {
	o.Node = node
	return o
}

func side(n int, o history.Op) history.Op {
	o.Side = n
	return o
}

func in(session int, o history.Op) history.Op {
	o.Session = session
	return o
}

// TestCheck gives Check histories in which one promise is broken, or none though it may look so.
func TestCheck(t *testing.T) {
	found := func(value, version string) *history.State {
		return &history.State{Found: true, Value: value, Version: version}
	}
	split := []history.Split{{From: 100, To: 200}}
	for name, c := range map[string]struct {
		ops    []history.Op
		splits []history.Split
		final  *history.State
		want   string // the promise broken
	}{
		"empty":                        {},
		"write and read":               {ops: []history.Op{put(1, 2, "a", "1"), get(3, 4, "a", "1")}, final: found("a", "1")},
		"concurrent read sees neither": {ops: []history.Op{put(1, 5, "a", "1"), missing(2, 3)}},
		"failed write is seen later":   {ops: []history.Op{failed(put(1, 2, "a", "")), missing(3, 4), get(5, 6, "a", "1")}, final: found("a", "1")},
		"failed write wins in the end": {ops: []history.Op{failed(put(1, 2, "a", "")), put(3, 4, "b", "2")}, final: found("a", "3")},
		"failed deletion":              {ops: []history.Op{put(1, 2, "a", "1"), failed(deletion(3, 4, "")), missing(5, 6)}, final: &history.State{}},
		"deleted":                      {ops: []history.Op{put(1, 2, "a", "1"), deletion(3, 4, "2"), missing(5, 6)}, final: &history.State{}},
		"stamped twice":                {ops: []history.Op{put(1, 9, "a", "3"), get(2, 3, "a", "1"), put(2, 5, "b", "2"), get(10, 11, "a", "3")}},

		"lost":                             {ops: []history.Op{put(1, 2, "a", "1")}, final: &history.State{}, want: history.NothingLost},
		"lost to an older one":             {ops: []history.Op{put(1, 2, "a", "1"), put(3, 4, "b", "2")}, final: found("a", "1"), want: history.NothingLost},
		"lost to an older deletion":        {ops: []history.Op{deletion(1, 2, "1"), put(3, 4, "b", "2")}, final: &history.State{}, want: history.NothingLost},
		"deleted comes back in the end":    {ops: []history.Op{put(1, 2, "a", "1"), deletion(3, 4, "2")}, final: found("a", "1"), want: history.NothingLost},
		"invented":                         {ops: []history.Op{put(1, 2, "a", "1"), get(3, 4, "x", "2")}, want: history.NothingInvented},
		"half written":                     {ops: []history.Op{put(1, 2, "abc", "1"), get(3, 4, "ab", "1")}, want: history.NothingInvented},
		"left and never written":           {ops: []history.Op{put(1, 2, "a", "1")}, final: found("x", "2"), want: history.NothingInvented},
		"read before it was written":       {ops: []history.Op{get(1, 2, "a", "1"), put(3, 4, "a", "1")}, want: history.NothingInvented},
		"refused and written all the same": {ops: []history.Op{{Kind: history.Put, Key: "k", Value: "a", Outcome: history.Conflict}, get(3, 4, "a", "1")}, want: history.NothingInvented},
		"two values of one version":        {ops: []history.Op{put(1, 2, "a", "1"), put(1, 2, "b", "1")}, want: history.OneVersion},
		"stale read":                       {ops: []history.Op{put(1, 2, "a", "1"), put(3, 4, "b", "2"), get(5, 6, "a", "1")}, want: history.ReadsSeeWrites},
		"deleted comes back":               {ops: []history.Op{put(1, 2, "a", "1"), deletion(3, 4, "2"), get(5, 6, "a", "1")}, want: history.ReadsSeeWrites},
		"false not found":                  {ops: []history.Op{put(1, 2, "a", "1"), missing(3, 4)}, want: history.NoFalseNotFound},
		"not found after an older deletion": {
			ops: []history.Op{deletion(1, 2, "1"), put(3, 4, "a", "2"), missing(5, 6)}, want: history.NoFalseNotFound},

		"session goes back, before the write is acknowledged": {
			ops: []history.Op{put(1, 2, "a", "1"), put(3, 20, "b", "2"), in(7, get(4, 5, "b", "2")), in(7, get(6, 7, "a", "1"))}, want: history.SessionsForward},
		"two sessions may": {
			ops: []history.Op{put(1, 2, "a", "1"), put(3, 20, "b", "2"), in(7, get(4, 5, "b", "2")), in(8, get(6, 7, "a", "1"))}},
		"session does not see its own write": {
			ops: []history.Op{in(7, side(1, put(110, 120, "a", "1"))), in(7, side(2, missing(130, 140)))}, splits: split, want: history.SessionsForward},
		"session and an acknowledged deletion": {
			ops: []history.Op{in(7, put(1, 2, "a", "1")), deletion(3, 9, "2"), in(7, missing(4, 5))}},
		"node goes back": {
			ops: []history.Op{put(1, 2, "a", "1"), put(3, 20, "b", "2"), at("n", get(4, 5, "b", "2")), at("n", get(6, 7, "a", "1"))}, want: history.NodesForward},
		"reads at once through one node": {
			ops: []history.Op{put(1, 2, "a", "1"), put(3, 20, "b", "2"), at("n", get(4, 8, "b", "2")), at("n", get(6, 7, "a", "1"))}},

		"other side, stale":              {ops: []history.Op{put(1, 2, "a", "1"), side(1, put(110, 120, "b", "2")), side(2, get(130, 140, "a", "1"))}, splits: split},
		"same side, stale":               {ops: []history.Op{put(1, 2, "a", "1"), side(1, put(110, 120, "b", "2")), side(1, get(130, 140, "a", "1"))}, splits: split, want: history.ReadsSeeWrites},
		"other side, not found":          {ops: []history.Op{side(1, put(110, 120, "b", "2")), side(2, missing(130, 140))}, splits: split},
		"same side, not found":           {ops: []history.Op{side(1, put(110, 120, "b", "2")), side(1, missing(130, 140))}, splits: split, want: history.NoFalseNotFound},
		"from before, stale":             {ops: []history.Op{put(1, 2, "a", "1"), put(3, 4, "b", "2"), side(1, get(130, 140, "a", "1"))}, splits: split},
		"from before, not found":         {ops: []history.Op{put(1, 2, "a", "1"), side(1, missing(130, 140))}, splits: split, want: history.NoFalseNotFound},
		"written apart, read when whole": {ops: []history.Op{side(1, put(110, 120, "b", "2")), missing(210, 220)}, splits: split, final: found("b", "2")},
		"written when whole again":       {ops: []history.Op{put(210, 220, "b", "2"), missing(230, 240)}, splits: split, want: history.NoFalseNotFound},
		"written apart and lost":         {ops: []history.Op{side(1, put(110, 120, "b", "2")), side(2, put(110, 120, "a", "1"))}, splits: split, final: found("a", "1"), want: history.NothingLost},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history.History{Ops: c.ops, Splits: c.splits}
			if c.final != nil {
				h.Final = map[string]history.State{"k": *c.final}
			}
			got := promises(h)
			if c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, c.want) {
				t.Errorf("broken: %q, want %q", got, c.want)
			}
		})
	}
}

func TestLinearizable(t *testing.T) {
	absent, ifA := history.Condition{Absent: true}, history.Condition{Value: "a"}
	when := func(c history.Condition, o history.Op) history.Op {
		o.If = c
		return o
	}
	refused := func(o history.Op) history.Op {
		o.Outcome, o.Version = history.Conflict, ""
		return o
	}
	for name, c := range map[string]struct {
		ops        []history.Op
		conditions bool
		legal      bool
	}{
		"in turn":                          {ops: []history.Op{missing(1, 2), put(3, 4, "a", "1"), get(5, 6, "a", "1")}, legal: true},
		"reads cross":                      {ops: []history.Op{put(1, 9, "a", "1"), put(1, 9, "b", "2"), get(2, 3, "b", "2"), get(4, 5, "a", "1"), get(6, 7, "b", "2")}},
		"new and old reads of one write":   {ops: []history.Op{put(1, 2, "a", "1"), put(3, 9, "b", "2"), get(4, 5, "b", "2"), get(6, 7, "a", "1")}},
		"a failed write takes effect late": {ops: []history.Op{failed(put(1, 2, "a", "")), put(3, 4, "b", "1"), get(5, 6, "b", "1"), get(7, 8, "a", "2")}, legal: true},
		"a failed write takes effect twice": {
			ops: []history.Op{failed(put(1, 2, "a", "")), get(3, 4, "a", "1"), put(5, 6, "b", "2"), get(7, 8, "b", "2"), get(9, 10, "a", "1")}},
		"a failed read":                {ops: []history.Op{put(1, 2, "a", "1"), failed(missing(3, 4))}, legal: true},
		"a failed deletion":            {ops: []history.Op{put(1, 2, "a", "1"), failed(deletion(3, 4, "")), get(5, 6, "a", "1"), missing(7, 8)}, legal: true},
		"two are first":                {ops: []history.Op{when(absent, put(1, 2, "a", "1")), when(absent, put(3, 4, "b", "2"))}, conditions: true},
		"two are first, not looked at": {ops: []history.Op{when(absent, put(1, 2, "a", "1")), when(absent, put(3, 4, "b", "2"))}, legal: true},
		"one of two is first":          {ops: []history.Op{when(absent, put(1, 4, "a", "1")), refused(when(absent, put(2, 3, "b", ""))), get(5, 6, "a", "1")}, conditions: true, legal: true},
		"refused for nothing":          {ops: []history.Op{refused(when(absent, put(1, 2, "a", "")))}, conditions: true},
		"refused for a failed write":   {ops: []history.Op{failed(put(1, 2, "b", "")), refused(when(absent, put(3, 4, "a", "")))}, conditions: true, legal: true},
		"a lost update":                {ops: []history.Op{put(1, 2, "a", "1"), when(ifA, put(3, 9, "b", "2")), when(ifA, put(3, 9, "c", "3"))}, conditions: true},
		"an update":                    {ops: []history.Op{put(1, 2, "a", "1"), when(ifA, put(3, 9, "b", "2")), refused(when(ifA, put(3, 9, "c", "")))}, conditions: true, legal: true},
	} {
		t.Run(name, func(t *testing.T) {
			v := history.Linearizable(&history.History{Ops: c.ops}, func(string) bool { return c.conditions }, patience)
			if v.Undecided != 0 || (len(v.Illegal) == 0) != c.legal {
				t.Errorf("verdict %+v, want legal %v", v, c.legal)
			}
		})
	}
}

// A world answers as the store promises: a register per key, with operations that take time and fail.
type world struct {
	rng     *rand.Rand
	history history.History
	state   map[string]history.State
	version int
}

// run makes a history of clients that ask at the same time, each of whose operations takes effect at one moment between call and return.
func (w *world) run(clients, each, keys int) *history.History {
	type pending struct {
		op     history.Op
		effect int64
	}
	var all []pending
	for c := range clients {
		now := int64(w.rng.IntN(20))
		for i := range each {
			o := history.Op{Key: fmt.Sprint("key", w.rng.IntN(keys)), Call: now, Session: c + 1, Node: fmt.Sprint("node", c%3)}
			o.Kind = history.Kind(w.rng.IntN(3))
			if w.rng.IntN(8) > 0 && o.Kind == history.Delete {
				o.Kind = history.Get
			}
			if o.Kind == history.Put {
				o.Value = fmt.Sprintf("%d/%d", c, i)
			}
			effect := now + 1 + int64(w.rng.IntN(10))
			o.Return = effect + 1 + int64(w.rng.IntN(10))
			now = o.Return + 1 + int64(w.rng.IntN(5))
			all = append(all, pending{o, effect})
		}
	}
	slices.SortStableFunc(all, func(a, b pending) int { return cmp.Compare(a.effect, b.effect) })
	for _, p := range all {
		w.history.Add(w.take(p.op))
	}
	w.history.Final = w.state
	return &w.history
}

func (w *world) take(o history.Op) history.Op {
	fails := w.rng.IntN(12) == 0
	if fails && w.rng.IntN(2) == 0 {
		return o // without effect
	}
	o.Outcome = history.OK
	if o.Kind == history.Get {
		s := w.state[o.Key]
		if o.Value, o.Version = s.Value, s.Version; !s.Found {
			o.Outcome, o.Version, o.Value = history.NotFound, "", ""
		}
	} else {
		w.version++
		o.Version = fmt.Sprintf("%06d", w.version)
		w.state[o.Key] = history.State{Found: o.Kind == history.Put, Version: o.Version, Value: o.Value}
	}
	if fails {
		o.Outcome, o.Version = history.Unknown, ""
		if o.Kind == history.Get {
			o.Value = ""
		}
	}
	return o
}

// mutations break a history that is right, each in a way that the checkers must find. They return false where the history has no place for it.
var mutations = map[string]func(rng *rand.Rand, h *history.History) bool{
	"the newest write of a key is lost": func(_ *rand.Rand, h *history.History) bool {
		for key, s := range h.Final {
			if s.Found && acknowledged(h, s.Value) {
				h.Final[key] = history.State{}
				return !deletes(h, key)
			}
		}
		return false
	},
	"an older write is left": func(_ *rand.Rand, h *history.History) bool {
		for _, o := range h.Ops {
			if s := h.Final[o.Key]; o.Kind == history.Put && o.Outcome == history.OK && s.Found && o.Version < s.Version && acknowledged(h, s.Value) {
				h.Final[o.Key] = history.State{Found: true, Version: o.Version, Value: o.Value}
				return true
			}
		}
		return false
	},
	"a read finds nothing": func(rng *rand.Rand, h *history.History) bool {
		return change(rng, h, func(w, r *history.Op) bool {
			if w.Kind != history.Put || deletes(h, w.Key) {
				return false
			}
			r.Outcome, r.Version, r.Value = history.NotFound, "", ""
			return true
		})
	},
	"a read is stale": func(rng *rand.Rand, h *history.History) bool {
		return change(rng, h, func(w, r *history.Op) bool {
			for _, old := range h.Ops {
				if old.Kind == history.Put && old.Key == w.Key && old.Outcome == history.OK && old.Version < w.Version {
					r.Outcome, r.Version, r.Value = history.OK, old.Version, old.Value
					return true
				}
			}
			return false
		})
	},
	"a value is torn": func(rng *rand.Rand, h *history.History) bool {
		return change(rng, h, func(_, r *history.Op) bool {
			r.Outcome, r.Value = history.OK, r.Value+"?"
			return true
		})
	},
	"a value is of another key": func(rng *rand.Rand, h *history.History) bool {
		return change(rng, h, func(w, r *history.Op) bool {
			for _, o := range h.Ops {
				if o.Kind == history.Put && o.Key != w.Key && o.Outcome == history.OK {
					r.Outcome, r.Value, r.Version = history.OK, o.Value, o.Version
					return true
				}
			}
			return false
		})
	},
}

func acknowledged(h *history.History, value string) bool {
	return slices.ContainsFunc(h.Ops, func(o history.Op) bool { return o.Kind == history.Put && o.Value == value && o.Outcome == history.OK })
}

func deletes(h *history.History, key string) bool {
	return slices.ContainsFunc(h.Ops, func(o history.Op) bool { return o.Kind == history.Delete && o.Key == key })
}

// change calls f with an acknowledged write and a read after it of the same key, at random, until f has changed the read.
func change(rng *rand.Rand, h *history.History, f func(w, r *history.Op) bool) bool {
	for _, i := range rng.Perm(len(h.Ops)) {
		for j := range h.Ops {
			w, r := &h.Ops[i], &h.Ops[j]
			if w.Kind != history.Get && w.Outcome == history.OK && r.Kind == history.Get && r.Outcome != history.Unknown && r.Key == w.Key && w.Return < r.Call && f(w, r) {
				return true
			}
		}
	}
	return false
}

// TestMutations: histories that are right pass both checkers, and what breaks them is found by Check every time.
func TestMutations(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	make := func(n uint64) (*rand.Rand, *history.History) {
		w := &world{rng: rand.New(rand.NewPCG(seed, n)), state: map[string]history.State{}}
		return w.rng, w.run(6, 25, 8)
	}
	const rounds = 40
	for n := range uint64(rounds) {
		_, h := make(n)
		for _, v := range history.Check(h) {
			t.Errorf("round %d: a history that is right: %v", n, v)
		}
		if v := history.Linearizable(h, func(string) bool { return true }, patience); len(v.Illegal) > 0 || v.Linearizable == 0 {
			t.Errorf("round %d: a history that is right: %+v", n, v)
		}
	}
	for name, mutate := range mutations {
		t.Run(name, func(t *testing.T) {
			applied := 0
			for n := range uint64(rounds) {
				rng, h := make(n)
				if !mutate(rng, h) {
					continue
				}
				applied++
				if len(history.Check(h)) == 0 {
					t.Errorf("round %d: not found", n)
				}
			}
			if applied < rounds/4 {
				t.Errorf("could be applied to %d of %d histories only", applied, rounds)
			}
		})
	}
}
