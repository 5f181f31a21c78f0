package routing

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
)

// closest returns up to n of peers, nearest first by the XOR of their Kademlia ids and target.
func closest(peers []peer.ID, target [sha256.Size]byte, n int) []peer.ID {
	type ranked struct {
		distance [sha256.Size]byte
		id       peer.ID
	}
	all := make([]ranked, 0, len(peers))
	for _, p := range peers {
		all = append(all, ranked{swim.Distance(sha256.Sum256([]byte(p)), target), p})
	}
	slices.SortFunc(all, func(a, b ranked) int { return bytes.Compare(a.distance[:], b.distance[:]) })
	all = all[:max(0, min(n, len(all)))]
	nearest := make([]peer.ID, 0, len(all))
	for _, r := range all {
		nearest = append(nearest, r.id)
	}
	return nearest
}

func validateKey(key []byte) error {
	if len(key) == 0 {
		return fault.New(fault.Invalid, "the closest peers to an empty key")
	}
	return nil
}
