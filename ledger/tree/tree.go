package tree

import (
	"fmt"

	"github.com/folkmoot/folkmoot/fault"
)

// Pages is where the pages of trees are kept.
type Pages interface {
	// Page returns the page under key, nil where there is none. Neither side changes key or page afterwards; key is only good during the call.
	// Keys are 1 to 33 bytes long.
	Page(key []byte) ([]byte, error)
}

// A Tree is one state of the tree: a root and the pages in which it is kept. It does not change, and can be used by many goroutines if its pages can,
// for as long as these stay what they are: a store that goes on needs a snapshot for it. Where pages are of another state, or damaged, methods return
// an error of kind Internal, never a wrong result.
type Tree struct {
	pages Pages
	root  Hash
	cache *Cache
}

// At returns the tree with the given root, whose pages are in pages. cache may be nil; trees at different roots of one store can share one.
// Nothing is read before it is needed. The root of the empty tree, which has no pages, is all zeros.
func At(pages Pages, root Hash, cache *Cache) *Tree {
	return &Tree{pages: pages, root: root, cache: cache}
}

// Root returns the hash that stands for all entries: equal entries have equal roots, whatever happened before.
func (t *Tree) Root() Hash { return t.root }

// top returns the node at the root, as a page above would have it.
func (t *Tree) top() (node, error) {
	if t.root == (Hash{}) {
		return node{size: 1}, nil
	}
	p, err := t.page(place{}, t.root)
	if err != nil {
		return node{}, err
	}
	return p.node(), nil
}

// load returns the page that the node n at a place stands for.
func (t *Tree) load(at place, n *node) (*page, error) {
	p, err := t.page(at, n.hash)
	if err == nil && p.node().kind != n.kind {
		return nil, fault.New(fault.Internal, "page %s is not what the page above says", &at)
	}
	return p, err
}

// page returns the page at a place, which has the given hash.
func (t *Tree) page(at place, hash Hash) (*page, error) {
	if p := t.cache.get(at, hash); p != nil {
		return p, nil
	}
	var room [maxPageKey]byte
	raw, err := t.pages.Page(at.appendKey(room[:0]))
	if err != nil {
		return nil, fmt.Errorf("read page %s of the tree: %w", &at, err)
	}
	if raw == nil {
		return nil, fault.New(fault.Internal, "page %s of the tree is missing", &at)
	}
	p, err := decodePage(at, raw)
	if err != nil {
		return nil, fmt.Errorf("page %s: %w", &at, err)
	}
	if p.hash != hash {
		return nil, fault.New(fault.Internal, "page %s is damaged or of another state of the tree", &at)
	}
	t.cache.put(at, p)
	return p, nil
}
