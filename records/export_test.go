package records

import (
	"crypto/sha256"

	"github.com/libp2p/go-libp2p/core/peer"
)

// HoldersOf returns the holders of a key, nearest first.
func (s *Store) HoldersOf(key string) []peer.ID {
	p := s.currentTopology().place(sha256.Sum256([]byte(key)))
	var ids []peer.ID
	for _, i := range p.holders {
		ids = append(ids, p.id(i))
	}
	return ids
}

// Holds returns the version of a key on this peer's disk.
func (s *Store) Holds(key string) (Version, bool) {
	head, found, err := s.holder.disk.Head(sha256.Sum256([]byte(key)))
	if err != nil {
		panic(err)
	}
	return versionOf(head.Rank), found
}
