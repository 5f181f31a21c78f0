package history

import (
	"fmt"
	"maps"
	"slices"
)

// A Violation is a broken promise.
type Violation struct {
	Promise string
	Ops     []*Op // that show it
	Detail  string
}

// Error tells the violation with the operations that show it.
func (v *Violation) Error() string {
	text := v.Promise + ": " + v.Detail
	for _, o := range v.Ops {
		text += "\n\t" + o.String()
	}
	return text
}

// The promises that Check looks at.
const (
	NothingInvented = "nobody reads what nobody wrote"
	OneVersion      = "a version is of one value"
	NothingLost     = "no acknowledged write is lost"
	ReadsSeeWrites  = "a read sees what was acknowledged before it began"
	NoFalseNotFound = "not found is only said of what is not there"
	SessionsForward = "sessions never go backwards"
	NodesForward    = "reads through one node never go backwards"
)

// Check returns the promises that the history shows to be broken, by key; none when all were kept.
func Check(h *History) []*Violation {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := h.byKey()
	var found []*Violation
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		c := checker{history: h, ops: keys[key]}
		for _, o := range c.ops {
			if o.Kind != Get && (o.Outcome == OK || o.Outcome == Unknown) {
				c.writes = append(c.writes, o)
			}
		}
		c.values()
		c.reads()
		c.forward(SessionsForward, func(o *Op) string {
			if o.Session == 0 {
				return ""
			}
			return fmt.Sprint(o.Session)
		})
		c.forward(NodesForward, func(o *Op) string { return o.Node })
		if h.Final != nil {
			c.final(h.Final[key])
		}
		found = append(found, c.found...)
	}
	return found
}

// A checker checks the operations of one key.
type checker struct {
	history *History
	ops     []*Op
	writes  []*Op // that took effect or may have
	found   []*Violation
}

func (c *checker) report(promise, detail string, ops ...*Op) {
	c.found = append(c.found, &Violation{promise, ops, detail})
}

// values checks that every value read was written to that key, before the read ended, and that no two values have one version. One value may have two: a write that
// meets a newer version is stamped again.
func (c *checker) values() {
	valueOf := map[string]string{}
	for _, o := range c.ops {
		if o.Outcome != OK {
			continue
		}
		if o.Kind == Get {
			c.written(o)
		}
		if v, ok := valueOf[o.Version]; ok && v != o.Value {
			c.report(OneVersion, "two values have one version", o)
		}
		valueOf[o.Version] = o.Value
	}
}

func (c *checker) written(r *Op) {
	for _, w := range c.writes {
		if w.Kind == Put && w.Value == r.Value {
			if w.Call > r.Return {
				c.report(NothingInvented, "it was read before it was written", w, r)
			}
			return
		}
	}
	c.report(NothingInvented, "no write wrote it", r)
}

// reads checks every read against the writes that it must see.
func (c *checker) reads() {
	for _, r := range c.ops {
		if r.Kind != Get || r.Outcome != OK && r.Outcome != NotFound {
			continue
		}
		for _, w := range c.writes {
			switch {
			case w.Outcome != OK || w.Return >= r.Call:
			case r.Outcome == OK:
				if c.mustSee(w, r) && r.Version < w.Version {
					c.report(ReadsSeeWrites, "an older version was read", w, r)
				}
			case w.Kind == Put:
				if (c.mustSee(w, r) || c.fromBefore(w, r)) && !c.deletedSince(w.Version, r) {
					c.report(NoFalseNotFound, "it was acknowledged and not deleted", w, r)
				}
			}
		}
	}
}

// mustSee reports whether a read must see a write that was acknowledged before it: the network was whole from the one to the other, or divided all the time with both on
// the same side.
func (c *checker) mustSee(w, r *Op) bool {
	for i := range c.history.Splits {
		s := &c.history.Splits[i]
		if s.overlaps(w.Call, r.Return) && !(s.contains(w.Call, r.Return) && w.Side == r.Side) {
			return false
		}
	}
	return true
}

// fromBefore reports whether the write was acknowledged while the network was whole, and the read came in the split after that. Such a read may see an older version, where those that have the
// newest are on the other side; but not nothing.
func (c *checker) fromBefore(w, r *Op) bool {
	inside := false
	for i := range c.history.Splits {
		s := &c.history.Splits[i]
		if s.overlaps(w.Call, w.Return) {
			return false
		}
		inside = inside || s.contains(r.Call, r.Return)
	}
	return inside
}

// deletedSince reports whether a deletion above the version, or of unknown outcome, may explain that r found nothing.
func (c *checker) deletedSince(version string, r *Op) bool {
	return slices.ContainsFunc(c.writes, func(d *Op) bool {
		return d.Kind == Delete && d.Call <= r.Return && (d.Outcome == Unknown || d.Version > version)
	})
}

// forward checks that within each group, an operation never falls behind one that had ended before it began.
func (c *checker) forward(promise string, group func(*Op) string) {
	newest := map[string][]*Op{} // by group, those that ended with what was seen
	for _, o := range c.ops {
		g := group(o)
		if g == "" || o.Outcome != OK && !(o.Kind == Get && o.Outcome == NotFound) {
			continue
		}
		for _, before := range newest[g] {
			switch {
			case before.Return >= o.Call:
			case o.Outcome == OK && o.Version < before.Version:
				c.report(promise, "a later operation has an older version", before, o)
			case o.Outcome == NotFound && before.Kind != Delete && !c.deletedSince(before.Version, o):
				c.report(promise, "what was seen is gone", before, o)
			}
		}
		if o.Outcome == OK {
			newest[g] = append(newest[g], o)
		}
	}
}

// final checks what is left against the newest write that was acknowledged.
func (c *checker) final(left State) {
	var newest *Op
	for _, w := range c.writes {
		if w.Outcome == OK && (newest == nil || w.Version > newest.Version) {
			newest = w
		}
	}
	end := &Op{Kind: Get, Key: c.ops[0].Key, Value: left.Value, Version: left.Version, Outcome: NotFound, Node: "the end"}
	for _, o := range c.ops {
		end.Call = max(end.Call, o.Return)
	}
	end.Return = end.Call
	if left.Found {
		end.Outcome = OK
		c.written(end)
	}
	switch {
	case newest == nil:
	case left.Found && left.Version < newest.Version:
		c.report(NothingLost, "an older version is left", newest, end)
	case !left.Found && newest.Kind == Put && !c.deletedSince(newest.Version, end):
		c.report(NothingLost, "nothing is left", newest, end)
	}
}
