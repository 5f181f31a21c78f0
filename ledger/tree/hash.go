package tree

import "crypto/sha256"

// A Hash is a SHA-256 digest. The hash of all zeros stands for nothing: an empty tree, an empty subtree, the value of an
// absent entry. No input is known that has it, and finding one would be a preimage of SHA-256.
type Hash = [sha256.Size]byte

// What is hashed begins with one of these, so that a leaf is never taken for an inner node, nor either for something that is
// hashed elsewhere. None begins with another. With 64 bytes after them they stay within two blocks of SHA-256, which is what 64 bytes
// alone would take: they cost nothing.
const (
	keyDomain   = "folkmoot/tree/key/1"
	valueDomain = "folkmoot/tree/value/1"
	leafDomain  = "folkmoot/tree/leaf/1"
	innerDomain = "folkmoot/tree/inner/1"
)

// maxDepth is the depth of a leaf that shares all bits but the last with another.
const maxDepth = 8 * sha256.Size

// An Entry is what the tree knows of a key and its value: their hashes.
type Entry struct {
	// Key is where the entry stands: its bits, the first one first, say left (0) or right (1) from the root on.
	Key Hash
	// Value is the hash of the value; in a list of changes all zeros stand for the removal of the entry.
	Value Hash
}

// NewEntry returns the entry of a key and its value.
func NewEntry(key, value []byte) Entry { return Entry{Key: HashKey(key), Value: HashValue(value)} }

// HashKey returns the place of a key in the tree.
func HashKey(key []byte) Hash { return hashBytes(keyDomain, key) }

// HashValue returns what the tree holds of a value. The hash of an empty value is not that of an absent one.
func HashValue(value []byte) Hash { return hashBytes(valueDomain, value) }

func hashBytes(domain string, data []byte) Hash {
	var room [192]byte // keys and most values fit, and then nothing is allocated
	return sha256.Sum256(append(append(room[:0], domain...), data...))
}

func hashLeaf(e *Entry) Hash {
	var b [len(leafDomain) + 2*sha256.Size]byte
	copy(b[:], leafDomain)
	copy(b[len(leafDomain):], e.Key[:])
	copy(b[len(leafDomain)+sha256.Size:], e.Value[:])
	return sha256.Sum256(b[:])
}

func hashInner(left, right *Hash) Hash {
	var b [len(innerDomain) + 2*sha256.Size]byte
	copy(b[:], innerDomain)
	copy(b[len(innerDomain):], left[:])
	copy(b[len(innerDomain)+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// bit returns the bit of h at depth, which is below maxDepth.
func bit(h *Hash, depth int) int { return int(h[depth>>3]>>(7-depth&7)) & 1 }

// split cuts entries, which are sorted and equal in the bits before depth, at the first with a one at depth.
func split(entries []Entry, depth int) (left, right []Entry) {
	low, high := 0, len(entries)
	for low < high {
		if mid := int(uint(low+high) >> 1); bit(&entries[mid].Key, depth) == 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return entries[:low], entries[low:]
}

// hashEntries returns the hash of the subtree at depth that holds entries, which are sorted, distinct and equal in the bits before depth.
func hashEntries(entries []Entry, depth int) Hash {
	switch len(entries) {
	case 0:
		return Hash{}
	case 1:
		return hashLeaf(&entries[0])
	}
	left, right := split(entries, depth)
	l, r := hashEntries(left, depth+1), hashEntries(right, depth+1)
	return hashInner(&l, &r)
}
