package routing

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

// closest returns up to n of peers, nearest first by the XOR of their ids' SHA-256 and key's.
func closest(peers []peer.ID, key []byte, n int) []peer.ID {
	type ranked struct {
		distance [sha256.Size]byte
		id       peer.ID
	}
	target := sha256.Sum256(key)
	all := make([]ranked, 0, len(peers))
	for _, p := range peers {
		d := sha256.Sum256([]byte(p))
		for i := range d {
			d[i] ^= target[i]
		}
		all = append(all, ranked{d, p})
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
