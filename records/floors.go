package records

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/folkmoot/folkmoot/records/disk"
)

// maxFloors bounds the keys whose newest version that was seen through this node is remembered.
const maxFloors = 16 << 10

// floors are the newest versions that were written or read through this node, so that who comes through it is never taken back.
type floors struct {
	seen *lru.Cache[disk.Hash, disk.Rank]
}

func newFloors() floors {
	seen, err := lru.New[disk.Hash, disk.Rank](maxFloors)
	if err != nil {
		panic(err) // only for a size below one
	}
	return floors{seen}
}

func (f floors) allows(hash disk.Hash, rank disk.Rank) bool {
	least, ok := f.seen.Get(hash)
	return !ok || rank.Compare(least) >= 0
}

// allowsNone reports whether it may be said that there is no record: none was seen, or only one from before the given time.
func (f floors) allowsNone(hash disk.Hash, before Timestamp) bool {
	least, ok := f.seen.Get(hash)
	return !ok || versionOf(least).Time < before
}

// raise notes a version. A lost race between two notes leaves one of them.
func (f floors) raise(hash disk.Hash, rank disk.Rank) {
	if least, ok := f.seen.Peek(hash); !ok || least.Compare(rank) < 0 {
		f.seen.Add(hash, rank)
	}
}
