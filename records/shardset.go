package records

import (
	"iter"
	"math/bits"

	"github.com/folkmoot/folkmoot/records/disk"
)

// shardSetSize is the length of a shardSet, in bytes.
const shardSetSize = disk.Shards / 8

// A shardSet is a set of shards, one bit for each. The zero value is empty.
type shardSet [shardSetSize]byte

func (s *shardSet) add(i disk.Shard) { s[i/8] |= 1 << (i % 8) }

func (s *shardSet) remove(i disk.Shard) { s[i/8] &^= 1 << (i % 8) }

func (s *shardSet) has(i disk.Shard) bool { return s[i/8]&(1<<(i%8)) != 0 }

func (s *shardSet) len() (n int) {
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return n
}

// all yields the shards in ascending order.
func (s *shardSet) all() iter.Seq[disk.Shard] {
	return func(yield func(disk.Shard) bool) {
		for i, b := range s {
			for ; b != 0; b &= b - 1 {
				if !yield(disk.Shard(8*i + bits.TrailingZeros8(b))) {
					return
				}
			}
		}
	}
}
