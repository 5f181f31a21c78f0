package routing

import (
	"context"
	"errors"

	"github.com/folkmoot/folkmoot/fault"
)

// Method is a way of finding peers.
type Method string

// The ways of finding peers that the view does not hold.
const (
	// MethodIterative: the asker goes round, see Lookup.
	MethodIterative Method = "iterative"
	// MethodRecursive: the question is passed on, see Recursive.
	MethodRecursive Method = "recursive"
	// MethodBroadcast: everybody is asked, see Broadcast.
	MethodBroadcast Method = "broadcast"
)

// DefaultMethod is what a node uses unless it is told otherwise. docs/routing.md has the comparison from which it follows.
const DefaultMethod = MethodIterative

// Methods returns all of them.
func Methods() []Method { return []Method{MethodIterative, MethodRecursive, MethodBroadcast} }

// ParseMethod returns the method called name, DefaultMethod for an empty one. Any other is fault.Invalid.
func ParseMethod(name string) (Method, error) {
	if name == "" {
		return DefaultMethod, nil
	}
	for _, m := range Methods() {
		if string(m) == name {
			return m, nil
		}
	}
	return "", fault.New(fault.Invalid, "way of routing %q: want iterative, recursive or broadcast", name)
}

// Ways are all ways of finding peers, of one node. A node takes part in all of them, whichever it uses itself.
type Ways struct {
	Iterative *Lookup
	Recursive *Recursive
	Broadcast *Broadcast
}

// NewWays returns the ways of a node, which answer others from here on. Close ends that.
func NewWays(cfg LookupConfig, gossip Gossip) (*Ways, error) {
	var w Ways
	var err error
	if w.Iterative, err = NewLookup(cfg); err != nil {
		return nil, err
	}
	if w.Recursive, err = NewRecursive(cfg); err != nil {
		return nil, err
	}
	if w.Broadcast, err = NewBroadcast(cfg, gossip); err != nil {
		return nil, errors.Join(err, w.Recursive.Close())
	}
	return &w, nil
}

// Finder returns the one of a method.
func (w *Ways) Finder(m Method) Finder {
	switch m {
	case MethodRecursive:
		return w.Recursive
	case MethodBroadcast:
		return w.Broadcast
	}
	return w.Iterative
}

// Run answers others until ctx ends. It returns nil.
func (w *Ways) Run(ctx context.Context) error { return w.Broadcast.Run(ctx) }

// Close stops to answer others. Run must have returned, or never been called.
func (w *Ways) Close() error { return errors.Join(w.Recursive.Close(), w.Broadcast.Close()) }
