package tree

import (
	"bytes"
	"crypto/sha256"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// maxBucket is how many entries a bucket holds at most: a subtree of that many is one page, and only a larger one has inner nodes that are
	// kept. docs/adr/0008-the-ledgers-tree.md has what other sizes cost.
	maxBucket = 8
	// pageLevels is how many levels of inner nodes are in a branch page: it begins at a depth that is a multiple of this.
	pageLevels = 5
	// maxNodes is how many nodes a branch page has at most, its frontier included.
	maxNodes = 2<<pageLevels - 1
)

// Kinds of nodes. Up to maxBucket they say how many entries the subtree has, and it is a bucket or, at zero, nothing.
const (
	kindInner = 0xfe // both children are in the same page
	kindPage  = 0xff // a branch page hangs here
)

// A node is a node of a branch page.
type node struct {
	hash Hash
	kind uint8
	size uint8 // of its subtree, in nodes of the same page
}

// small reports whether the subtree of the node is a bucket or empty.
func (n *node) small() bool { return n.kind <= maxBucket }

// A page is what is read and written at once: a branch, which has nodes, or a bucket, which has entries. It does not change once it is made.
type page struct {
	hash    Hash
	nodes   []node  // in pre-order: the root, what hangs on its left, what hangs on its right
	entries []Entry // 1 to maxBucket, sorted
}

// node returns the page as it stands in the page above.
func (p *page) node() node {
	if p.nodes != nil {
		return node{hash: p.hash, kind: kindPage, size: 1}
	}
	return node{hash: p.hash, kind: uint8(len(p.entries)), size: 1}
}

// bytes is about how much memory the page takes.
func (p *page) bytes() int {
	const overhead = 160 // the page itself and its place in the cache
	return overhead + len(p.nodes)*(sha256.Size+2) + len(p.entries)*2*sha256.Size
}

// children returns the indexes of the children of the inner node i.
func children(nodes []node, i int) (left, right int) {
	left = i + 1
	return left, left + int(nodes[left].size)
}

// Formats of pages, the first byte of each.
const (
	bucketFormat = 1
	branchFormat = 2
)

// maxPage is the length of the longest page, in bytes.
const maxPage = max(2+maxBucket*2*sha256.Size, 1+maxNodes+(maxNodes+1)/2*sha256.Size)

// append writes the page. A bucket is its format, the number of entries, and key and value of each. A branch is its format and the kinds of its
// nodes in pre-order, each but inner and empty ones followed by its hash; hashes of inner nodes follow from the others.
func (p *page) append(b []byte) []byte {
	if p.nodes == nil {
		b = append(b, bucketFormat, byte(len(p.entries)))
		for i := range p.entries {
			b = append(append(b, p.entries[i].Key[:]...), p.entries[i].Value[:]...)
		}
		return b
	}
	b = append(b, branchFormat)
	for i := range p.nodes {
		n := &p.nodes[i]
		b = append(b, n.kind)
		if n.kind != 0 && n.kind != kindInner {
			b = append(b, n.hash[:]...)
		}
	}
	return b
}

var errPage = fault.New(fault.Internal, "malformed page of the tree")

// decodePage reads the page at a place and computes its hash. What it takes has exactly one encoding, and is a page that the entries it stands for would
// have; whether it is the right one, only its hash tells.
func decodePage(at place, b []byte) (*page, error) {
	if len(b) < 2 || len(b) > maxPage {
		return nil, errPage
	}
	switch b[0] {
	case bucketFormat:
		return decodeBucket(at, int(b[1]), b[2:])
	case branchFormat:
		return decodeBranch(at, b[1:])
	}
	return nil, errPage
}

func decodeBucket(at place, count int, b []byte) (*page, error) {
	if count == 0 || count > maxBucket || len(b) != count*2*sha256.Size {
		return nil, errPage
	}
	p := &page{entries: make([]Entry, count)}
	for i := range p.entries {
		e := &p.entries[i]
		e.Key, e.Value, b = Hash(b), Hash(b[sha256.Size:]), b[2*sha256.Size:]
		if !at.holds(&e.Key) || e.Value == (Hash{}) || i > 0 && bytes.Compare(p.entries[i-1].Key[:], e.Key[:]) >= 0 {
			return nil, errPage
		}
	}
	p.hash = hashEntries(p.entries, at.depth)
	return p, nil
}

func decodeBranch(at place, b []byte) (*page, error) {
	// A bucket's depth fits a byte of its key, as it does in every tree: more than maxBucket keys never share that many bits.
	if !at.isPage() || at.depth+pageLevels >= maxDepth || b[0] != kindInner {
		return nil, errPage
	}
	d := branchDecoder{rest: b, nodes: make([]node, 0, min(maxNodes, 2*len(b)/sha256.Size+1))}
	if !d.node(pageLevels) || len(d.rest) != 0 {
		return nil, errPage
	}
	return &page{hash: d.nodes[0].hash, nodes: d.nodes}, nil
}

type branchDecoder struct {
	rest  []byte
	nodes []node
}

// node reads a node with what hangs on it, levels above the end of the page.
func (d *branchDecoder) node(levels int) bool {
	if len(d.rest) == 0 {
		return false
	}
	i := len(d.nodes)
	d.nodes = append(d.nodes, node{kind: d.rest[0], size: 1})
	d.rest = d.rest[1:]
	switch kind := d.nodes[i].kind; {
	case kind == kindInner && levels > 0:
		left := d.node(levels - 1)
		return left && d.node(levels-1) && seal(d.nodes, i)
	case kind == 0:
		return true
	case kind <= maxBucket, kind == kindPage && levels == 0:
		if len(d.rest) < sha256.Size {
			return false
		}
		d.nodes[i].hash, d.rest = Hash(d.rest), d.rest[sha256.Size:]
		return d.nodes[i].hash != (Hash{})
	}
	return false
}

// seal gives the inner node i, on which the rest of nodes hangs, its size and hash. It reports whether the node ought to be: whether more hangs
// on it than a bucket holds.
func seal(nodes []node, i int) bool {
	l, r := children(nodes, i)
	left, right := &nodes[l], &nodes[r]
	nodes[i].size = uint8(len(nodes) - i)
	nodes[i].hash = hashInner(&left.hash, &right.hash)
	return !left.small() || !right.small() || int(left.kind)+int(right.kind) > maxBucket
}
