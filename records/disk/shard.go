package disk

import (
	"crypto/sha256"
	"encoding/binary"
)

// Shards is how many equal parts the space of key hashes is cut into. All records of one shard lie with the same peers, and are compared together.
const Shards = 1 << ShardBits

// ShardBits is how many leading bits the key hashes of a shard have in common.
const ShardBits = 12

// A Shard is one part of the space of key hashes: those that start with the same 12 bits, which are its number.
type Shard uint16

// ShardOf returns the shard that a key's hash lies in.
func ShardOf(h Hash) Shard { return Shard(binary.BigEndian.Uint16(h[:]) >> (16 - ShardBits)) }

// First returns the smallest hash of the shard.
func (s Shard) First() (h Hash) {
	binary.BigEndian.PutUint16(h[:], uint16(s)<<(16-ShardBits))
	return h
}

// bounds returns the range of keys, end excluded, that the shard has in a space that is ordered by hash.
func (s Shard) bounds(space byte) (start, end []byte) {
	first := s.First()
	start = append([]byte{space}, first[:]...)
	if s == Shards-1 {
		return start, []byte{space + 1}
	}
	next := (s + 1).First()
	return start, append([]byte{space}, next[:]...)
}

// A Digest is the XOR over a shard's records of the first 16 bytes of SHA-256(hash ‖ rank). Anyone who may write can make two sets of records
// with the same digest; it shows differences that arise by themselves, not malice.
type Digest [16]byte

func (d *Digest) xor(other *Digest) {
	for i := range d {
		d[i] ^= other[i]
	}
}

// ShardDigest tells two peers, with next to no doubt, whether they have the same versions of a shard's records.
type ShardDigest struct {
	Sum     Digest
	Records uint32 // tombstones included
}

// digestOf returns what one record adds to its shard's digest.
func digestOf(hash *Hash, rank *Rank) Digest {
	var b [len(Hash{}) + len(Rank{})]byte
	copy(b[:], hash[:])
	copy(b[len(hash):], rank[:])
	sum := sha256.Sum256(b[:])
	return Digest(sum[:len(Digest{})])
}

// Add adds a record's version to the digest, or takes it out again.
func (d *Digest) Add(hash Hash, rank Rank) {
	sum := digestOf(&hash, &rank)
	d.xor(&sum)
}
