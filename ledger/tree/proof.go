package tree

import (
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

// MaxProof is the length of the longest encoded proof, in bytes. In a tree of a million entries whose keys nobody ground they are about 700 bytes long.
const MaxProof = 3 + maxDepth/8 + maxDepth*sha256.Size + 2*sha256.Size

// An ending is what the way from the root down to a key ends at.
type ending uint8

const (
	endsAtEntry   ending = 1 + iota // the entry of the key
	endsAtOther                     // the entry of another key, which has the subtree for itself
	endsAtNothing                   // an empty subtree
)

// A Proof shows, to somebody who knows the root only, what value a key has or that it has none: the hashes of all that hangs beside the way to it. It
// proves nothing until Present or Absent was asked.
type Proof struct {
	ending   ending
	other    Entry  // of endsAtOther
	siblings []Hash // from the root down; all zeros: nothing hangs there
}

// Prove returns the proof of what the tree has under a key, the hash that HashKey makes.
func (t *Tree) Prove(key Hash) (*Proof, error) {
	top, err := t.top()
	if err != nil {
		return nil, err
	}
	p := &Proof{ending: endsAtNothing}
	at, nodes := place{}, []node{top}
	for !nodes[0].small() {
		if nodes[0].kind == kindPage {
			branch, err := t.load(at, &nodes[0])
			if err != nil {
				return nil, err
			}
			nodes = branch.nodes
		}
		on, beside := children(nodes, 0)
		side := bit(&key, at.depth)
		if side == 1 {
			on, beside = beside, on
		}
		p.siblings = append(p.siblings, nodes[beside].hash)
		at, nodes = at.child(side), nodes[on:]
	}
	if nodes[0].kind == 0 {
		return p, nil
	}
	bucket, err := t.load(at, &nodes[0])
	if err != nil {
		return nil, err
	}
	p.within(bucket.entries, at.depth, key)
	return p, nil
}

// within goes on with the proof in a bucket.
func (p *Proof) within(entries []Entry, depth int, key Hash) {
	for ; len(entries) > 1; depth++ {
		on, beside := split(entries, depth)
		if bit(&key, depth) == 1 {
			on, beside = beside, on
		}
		p.siblings = append(p.siblings, hashEntries(beside, depth+1))
		entries = on
	}
	switch {
	case len(entries) == 0:
	case entries[0].Key == key:
		p.ending = endsAtEntry
	default:
		p.ending, p.other = endsAtOther, entries[0]
	}
}

var (
	errNotPresent = fault.New(fault.Invalid, "the proof does not show that the entry is in the tree")
	errNotAbsent  = fault.New(fault.Invalid, "the proof does not show that the key is not in the tree")
)

// Present returns nil if the proof shows that the tree with the given root has the entry, and an error of kind Invalid otherwise.
func (p *Proof) Present(root Hash, e Entry) error {
	if p.ending != endsAtEntry || e.Value == (Hash{}) || p.rootOver(e.Key, hashLeaf(&e)) != root {
		return errNotPresent
	}
	return nil
}

// Absent returns nil if the proof shows that the tree with the given root has no entry under the key, and an error of kind Invalid otherwise.
func (p *Proof) Absent(root, key Hash) error {
	var end Hash
	switch p.ending {
	case endsAtNothing:
	case endsAtOther:
		at := place{depth: len(p.siblings), path: key}
		if p.other.Key == key || !at.holds(&p.other.Key) {
			return errNotAbsent
		}
		end = hashLeaf(&p.other)
	default:
		return errNotAbsent
	}
	if p.rootOver(key, end) != root {
		return errNotAbsent
	}
	return nil
}

// rootOver returns the root of the tree where the way to key ends at a subtree with the given hash.
func (p *Proof) rootOver(key, end Hash) Hash {
	for depth := len(p.siblings) - 1; depth >= 0; depth-- {
		if bit(&key, depth) == 0 {
			end = hashInner(&end, &p.siblings[depth])
		} else {
			end = hashInner(&p.siblings[depth], &end)
		}
	}
	return end
}

// Append writes the proof: ending uint8, number of siblings uint16, a bit for each that is there, the first one in the highest bit of the first byte; those
// siblings; and for endsAtOther that entry's key and value.
func (p *Proof) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, byte(p.ending)), uint16(len(p.siblings)))
	bits := len(b)
	b = append(b, make([]byte, (len(p.siblings)+7)/8)...)
	for i := range p.siblings {
		if p.siblings[i] != (Hash{}) {
			b[bits+i/8] |= 0x80 >> (i % 8)
			b = append(b, p.siblings[i][:]...)
		}
	}
	if p.ending == endsAtOther {
		b = append(append(b, p.other.Key[:]...), p.other.Value[:]...)
	}
	return b
}

var errProof = fault.New(fault.Invalid, "malformed proof")

// ParseProof reads a proof, which it does not keep. What it takes has exactly one encoding.
func ParseProof(data []byte) (*Proof, error) {
	s := cryptobyte.String(data)
	p := &Proof{}
	var count uint16
	var bits []byte
	if len(data) > MaxProof || !s.ReadUint8((*uint8)(&p.ending)) || p.ending < endsAtEntry || p.ending > endsAtNothing ||
		!s.ReadUint16(&count) || count > maxDepth || !s.ReadBytes(&bits, (int(count)+7)/8) || !p.readSiblings(&s, int(count), bits) {
		return nil, errProof
	}
	if p.ending == endsAtOther && (!s.CopyBytes(p.other.Key[:]) || !s.CopyBytes(p.other.Value[:]) || p.other.Value == (Hash{})) || !s.Empty() {
		return nil, errProof
	}
	return p, nil
}

func (p *Proof) readSiblings(s *cryptobyte.String, count int, bits []byte) bool {
	if count == 0 {
		return true
	}
	if spare := 8*len(bits) - count; bits[len(bits)-1]&(1<<spare-1) != 0 {
		return false
	}
	p.siblings = make([]Hash, count)
	for i := range p.siblings {
		if bits[i/8]&(0x80>>(i%8)) != 0 && (!s.CopyBytes(p.siblings[i][:]) || p.siblings[i] == (Hash{})) {
			return false
		}
	}
	return p.siblings[count-1] != (Hash{}) // a subtree with one leaf is that leaf
}
