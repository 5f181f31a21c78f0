package nat

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// State says whether others can dial something.
type State string

const (
	// Unknown: nobody has been able to tell yet.
	Unknown State = "unknown"
	// Reachable: of a node, that every peer that was asked can dial it at one of its addresses; of an address, that one of them can.
	Reachable State = "reachable"
	// Unreachable: of a node, that there are peers that can dial none of its addresses; of an address, that none of those asked can.
	Unreachable State = "unreachable"
)

// Verdict says where a node can be reached.
type Verdict struct {
	State State
	Addrs []AddrVerdict
}

// AddrVerdict says whether one address can be dialled.
type AddrVerdict struct {
	Addr  ma.Multiaddr
	State State
	// Own says that the node has the address, or announces it; otherwise others see the node at it.
	Own bool
}

// answer is what one peer says of the addresses that it was asked about.
type answer struct {
	from    peer.ID
	results []checkResult
}

// told says whether the peer tried anything.
func (a answer) told() bool {
	return slices.ContainsFunc(a.results, func(r checkResult) bool { return r != notTried })
}

// conclude makes a verdict of what peers answered about candidates. A peer that can dial none of the addresses is enough for the node to be unreachable: the network is to be whole, and what follows from it, a
// way through a relay, comes beside the others.
func conclude(candidates []AddrVerdict, answers []answer) Verdict {
	v := Verdict{State: Unknown, Addrs: slices.Clone(candidates)}
	for i := range v.Addrs {
		v.Addrs[i].State = Unknown
	}
	for _, a := range answers {
		if !a.told() {
			continue
		}
		can := false
		for i, r := range a.results {
			switch {
			case r == reached:
				v.Addrs[i].State, can = Reachable, true
			case r == notReached && v.Addrs[i].State == Unknown:
				v.Addrs[i].State = Unreachable
			}
		}
		switch {
		case !can:
			v.State = Unreachable
		case v.State == Unknown:
			v.State = Reachable
		}
	}
	return v
}
