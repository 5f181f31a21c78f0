package routing

import (
	"crypto/sha256"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing/swim"
)

// State is what this node believes of a peer, from its own failure detector.
type State = swim.State

// The states of a member.
const (
	// Alive: the peer answers.
	Alive = swim.Alive
	// Suspect: direct and indirect probes went unanswered; it is still asked, but not waited for.
	Suspect = swim.Suspect
	// Away: the peer announced that it stops and means to come back.
	Away = swim.Away
	// Dead: certain not to answer. It stays in the view, and counts as known, until it has been silent for the time after which it is forgotten.
	Dead = swim.Dead
)

// Member is a peer of the network as this node sees it.
type Member struct {
	ID    peer.ID
	Addrs []ma.Multiaddr
	// Zone is the failure domain that the peer announced; empty when it announced none.
	Zone string
	// Version is the program version that the peer announced.
	Version string
	// Relay says that the peer relays for members that can't be reached otherwise.
	Relay bool
	State State
	// Leaving says that the peer hands over what it holds and goes for good. It runs and answers, and nothing more is to be placed on it.
	Leaving bool
	// Since is when State was entered.
	Since time.Time
	// LastSeen is when the peer last answered this node, or the zero time.
	LastSeen time.Time
	// RTT is the smoothed round-trip time of probes; 0 while unknown.
	RTT time.Duration
}

// View is a picture of the network at one moment: the node itself and every peer that it knows, or in a large network a part of them, those included that have been
// silent for less than the time after which they are forgotten (10 minutes by default). A View never changes; callers must not modify it.
type View struct {
	Self peer.ID
	// Members is sorted by ID and contains Self, which is Alive.
	Members []Member
	// Partial says that the network is larger than what this node keeps of it (Config.MaxView): Members holds the peers nearest to it by XOR and a sample of the others. Who
	// is nearest to some other point must be looked up (Router.ClosestPeersTo).
	Partial bool
	// Near says of which peers nobody is left out of a partial view: those whose id's SHA-256 has at least so many leading bits in common with that of Self's. It is 0 when the view is
	// not partial.
	Near int
}

// Member returns the member with the given id.
func (v *View) Member(id peer.ID) (Member, bool) {
	// A search that is handed the members themselves would copy each that it looks at.
	i, ok := sort.Find(len(v.Members), func(i int) int { return strings.Compare(string(id), string(v.Members[i].ID)) })
	if !ok {
		return Member{}, false
	}
	return v.Members[i], true
}

// newView returns the view of a node with the given claim, start and members, which are sorted by ID.
func newView(self *swim.Claim, started time.Time, members []swim.Member) *View {
	v := &View{Self: self.ID, Members: make([]Member, 0, len(members)+1)}
	for i := range members {
		v.Members = append(v.Members, newMember(&members[i]))
	}
	i, _ := slices.BinarySearchFunc(v.Members, self.ID, compareMember)
	v.Members = slices.Insert(v.Members, i, newMember(&swim.Member{Claim: self, State: Alive, Since: started}))
	return v
}

func newMember(m *swim.Member) Member {
	c := m.Claim
	return Member{
		ID: c.ID, Addrs: c.Addrs, Relay: c.Relay, Zone: c.Zone, Version: c.Version, Leaving: c.Departure != swim.Staying,
		State: m.State, Since: m.Since, LastSeen: m.LastSeen, RTT: m.RTT,
	}
}

func compareMember(m Member, id peer.ID) int { return strings.Compare(string(m.ID), string(id)) }

// Nearest returns up to n of the members that are alive, the node itself included, nearest first by the XOR of their Kademlia ids and target. A partial view may lack some that are nearer.
func (v *View) Nearest(target [sha256.Size]byte, n int) []peer.ID {
	alive := make([]peer.ID, 0, len(v.Members))
	for i := range v.Members {
		if v.Members[i].State == Alive {
			alive = append(alive, v.Members[i].ID)
		}
	}
	return closest(alive, target, n)
}

// Count returns how many members are in one of the given states.
func (v *View) Count(states ...State) int {
	n := 0
	for i := range v.Members {
		if slices.Contains(states, v.Members[i].State) {
			n++
		}
	}
	return n
}

// Viewer gives the current view. Membership implements it; what only reads the view depends on this.
type Viewer interface {
	// View returns the current view without blocking.
	View() *View
	// Changed returns a channel that is closed at the next change of the view's composition or of a member's state. Call it
	// before View so that no change is missed.
	Changed() <-chan struct{}
}
