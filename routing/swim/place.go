package swim

import (
	"bytes"
	"crypto/sha256"

	"github.com/libp2p/go-libp2p/core/peer"
)

// key is a point of the id space, or a distance in it.
type key = [sha256.Size]byte

// Distance returns the XOR of two points of the id space.
func Distance(a, b [sha256.Size]byte) [sha256.Size]byte {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

// place is where a peer is as this node sees it.
type place struct {
	// hash is the peer's Kademlia id, the SHA-256 of its id; distance is how far that is from this node's.
	hash, distance key
	// rank orders pairs of peers at random. Both sides of a pair compute the same.
	rank key
}

// placeOf computes the place of a peer.
func (m *Machine) placeOf(id peer.ID) place {
	own := m.self.ID
	p := place{hash: sha256.Sum256([]byte(id)), rank: pairRank(own, id)}
	p.distance = Distance(p.hash, m.selfKey)
	return p
}

func compareDistance(a, b *member) int { return bytes.Compare(a.distance[:], b.distance[:]) }
func compareRank(a, b *member) int     { return bytes.Compare(a.rank[:], b.rank[:]) }
