package routingtest

import (
	"slices"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/routing"
)

// Viewer is a routing.Viewer in memory, whose view tests set. Its methods may be called from many goroutines.
type Viewer struct {
	mu      sync.Mutex
	view    *routing.View // guarded by mu
	changed chan struct{} // guarded by mu
}

var _ routing.Viewer = (*Viewer)(nil)

// NewViewer returns a viewer of a network that consists of self and members.
func NewViewer(self peer.ID, members ...routing.Member) *Viewer {
	v := &Viewer{view: &routing.View{Self: self}, changed: make(chan struct{})}
	v.Set(append(members, routing.Member{ID: self, State: routing.Alive})...)
	return v
}

// Set adds members, in place of those with the same ids, and announces the change.
func (v *Viewer) Set(members ...routing.Member) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := &routing.View{Self: v.view.Self, Members: slices.Clone(v.view.Members)}
	for _, m := range members {
		i, found := slices.BinarySearchFunc(next.Members, m.ID, func(m routing.Member, id peer.ID) int { return strings.Compare(string(m.ID), string(id)) })
		if found {
			next.Members[i] = m
		} else {
			next.Members = slices.Insert(next.Members, i, m)
		}
	}
	v.view = next
	close(v.changed)
	v.changed = make(chan struct{})
}

// View returns the view as it was last set.
func (v *Viewer) View() *routing.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.view
}

// Changed returns a channel that is closed at the next Set.
func (v *Viewer) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}
