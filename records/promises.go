package records

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
)

// maxPromises bounds the copies that are remembered.
const maxPromises = 1024

// promises are the copies that members said lately that they had stored when a read brought them what they lacked: it is asked of them again.
type promises struct {
	kept *lru.Cache[promise, disk.Rank]
}

type promise struct {
	peer peer.ID
	hash disk.Hash
}

func newPromises() promises {
	kept, err := lru.New[promise, disk.Rank](maxPromises)
	if err != nil {
		panic(err) // only for a size below one
	}
	return promises{kept}
}

// hold blames a member that says that it has everything, and does not have what it said that it had stored.
func (s *Store) hold(p *placement, o *outcome[reply], hash disk.Hash) {
	r := &o.answer
	if o.err != nil || r.level != LevelSynced && r.level != LevelPartial {
		return
	}
	id := promise{p.id(o.member), hash}
	stored, ok := s.promises.kept.Peek(id)
	if !ok || r.found && r.rank.Compare(stored) >= 0 {
		return
	}
	s.promises.kept.Remove(id) // one blame for one lie
	s.conduct.blame(id.peer, denied)
}
