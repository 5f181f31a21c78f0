// Package routingtest holds what tests of routing and of its users share: the conformance suite that every routing.Router passes, and a
// routing.Viewer in memory.
package routingtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
)

// Network is a settled network of 4 to 20 peers and the router of one of them.
type Network struct {
	Router routing.Router
	// Self is the router's own node. Alive are the others that live, with their addresses; there are at least 3.
	Self  peer.ID
	Alive []peer.AddrInfo
	// Dead was in the network and is known to be dead. Stranger is in nobody's view.
	Dead, Stranger peer.ID
}

// TestRouter checks that a router keeps the contract of routing.Router. The suite does not change the network.
func TestRouter(t *testing.T, n Network) {
	check := func(name string, test func(*testing.T, Network)) {
		// Not t.Run: subtests can't share the simulated time in which some routers are tested.
		before := t.Failed()
		test(t, n)
		if t.Failed() && !before {
			t.Errorf("router conformance: %s", name)
		}
	}
	check("FindPeer finds everybody", findsEverybody)
	check("FindPeer of a stranger", strangerIsNotFound)
	check("ended contexts", endedContexts)
	check("ClosestPeers is ordered and complete", closestPeers)
	check("ClosestPeersTo is ordered, complete and has addresses", closestPeersTo)
	check("ClosestPeers with odd arguments", oddArguments)
}

func findsEverybody(t *testing.T, n Network) {
	for _, want := range n.Alive {
		got, err := n.Router.FindPeer(t.Context(), want.ID)
		if err != nil || got.ID != want.ID {
			t.Errorf("FindPeer(%s) = %v, %v", want.ID, got, err)
			continue
		}
		for _, a := range want.Addrs {
			if !slices.ContainsFunc(got.Addrs, func(b ma.Multiaddr) bool { return a.Equal(b) }) {
				t.Errorf("FindPeer(%s) = %v, want %v", want.ID, got.Addrs, want.Addrs)
			}
		}
	}
	if got, err := n.Router.FindPeer(t.Context(), n.Self); err != nil || got.ID != n.Self || len(got.Addrs) == 0 {
		t.Errorf("FindPeer(self) = %v, %v", got, err)
	}
}

func strangerIsNotFound(t *testing.T, n Network) {
	if got, err := n.Router.FindPeer(t.Context(), n.Stranger); fault.KindOf(err) != fault.NotFound {
		t.Errorf("FindPeer(stranger) = %v, %v; want not-found", got, err)
	}
}

func endedContexts(t *testing.T, n Network) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Router.FindPeer(ctx, n.Stranger); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("FindPeer with an ended context: %v, want unavailable", err)
	}
	if _, err := n.Router.ClosestPeers(ctx, []byte("key"), 3); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ClosestPeers with an ended context: %v, want unavailable", err)
	}
	if _, err := n.Router.ClosestPeersTo(ctx, [sha256.Size]byte{}, 3); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ClosestPeersTo with an ended context: %v, want unavailable", err)
	}
}

func closestPeers(t *testing.T, n Network) {
	alive := []peer.ID{n.Self}
	for _, p := range n.Alive {
		alive = append(alive, p.ID)
	}
	for i := range 20 {
		key := fmt.Appendf(nil, "key %d", i)
		want := byDistance(alive, sha256.Sum256(key))
		for _, count := range []int{1, 3, len(alive), len(alive) + 5} {
			got, err := n.Router.ClosestPeers(t.Context(), key, count)
			if err != nil {
				t.Errorf("ClosestPeers: %v", err)
			} else if !slices.Equal(got, want[:min(count, len(want))]) {
				t.Errorf("ClosestPeers(%q, %d) = %v, want %v", key, count, got, want[:min(count, len(want))])
			}
		}
	}
}

func closestPeersTo(t *testing.T, n Network) {
	addrs := map[peer.ID][]ma.Multiaddr{}
	alive := []peer.ID{n.Self}
	for _, p := range n.Alive {
		alive = append(alive, p.ID)
		addrs[p.ID] = p.Addrs
	}
	// The ends of the id space, a peer's own place, the place of the dead one, and others.
	targets := [][sha256.Size]byte{{}, {0: 0x80}, sha256.Sum256([]byte(n.Alive[0].ID)), sha256.Sum256([]byte(n.Dead))}
	for i := range 16 {
		targets = append(targets, [sha256.Size]byte{byte(i * 16)})
	}
	for _, target := range targets {
		want := byDistance(alive, target)
		for _, count := range []int{1, 3, len(alive) + 5} {
			infos, err := n.Router.ClosestPeersTo(t.Context(), target, count)
			if err != nil {
				t.Errorf("ClosestPeersTo: %v", err)
				continue
			}
			var got []peer.ID
			for _, info := range infos {
				got = append(got, info.ID)
				if len(info.Addrs) == 0 || len(addrs[info.ID]) > 0 && !slices.ContainsFunc(addrs[info.ID], info.Addrs[0].Equal) {
					t.Errorf("ClosestPeersTo: %s is at %v, want %v", info.ID, info.Addrs, addrs[info.ID])
				}
			}
			if !slices.Equal(got, want[:min(count, len(want))]) {
				t.Errorf("ClosestPeersTo(%x, %d) = %v, want %v", target, count, got, want[:min(count, len(want))])
			}
		}
	}
}

func oddArguments(t *testing.T, n Network) {
	for _, count := range []int{0, -1} {
		if got, err := n.Router.ClosestPeers(t.Context(), []byte("key"), count); err != nil || len(got) > 0 {
			t.Errorf("ClosestPeers of %d = %v, %v", count, got, err)
		}
		if got, err := n.Router.ClosestPeersTo(t.Context(), [sha256.Size]byte{}, count); err != nil || len(got) > 0 {
			t.Errorf("ClosestPeersTo of %d = %v, %v", count, got, err)
		}
	}
	if _, err := n.Router.ClosestPeers(t.Context(), nil, 3); fault.KindOf(err) != fault.Invalid {
		t.Errorf("ClosestPeers of no key: %v, want invalid", err)
	}
}

// byDistance sorts by the definition in routing.Router.
func byDistance(peers []peer.ID, target [sha256.Size]byte) []peer.ID {
	distance := func(p peer.ID) []byte {
		d := sha256.Sum256([]byte(p))
		for i := range d {
			d[i] ^= target[i]
		}
		return d[:]
	}
	sorted := slices.Clone(peers)
	slices.SortFunc(sorted, func(a, b peer.ID) int { return bytes.Compare(distance(a), distance(b)) })
	return sorted
}
