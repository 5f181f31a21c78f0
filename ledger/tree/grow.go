package tree

import "slices"

// A grower makes subtrees out of smaller ones, and cuts them into pages. Whether it changes a tree or builds one, the form of a subtree depends on its entries alone:
//
//   - up to maxBucket entries are a bucket, which hangs where they part from all others;
//   - more are an inner node, in the branch page that begins at the nearest multiple of pageLevels above.
type grower struct {
	// put keeps a page at a place, drop forgets the one that was there, and load returns the one that is. Each place is put or dropped once at most.
	put  func(at place, p *page) error
	drop func(at place)
	load func(at place, n *node) (*page, error)

	free []*branch // for further use
}

// A branch is a branch page in the making.
type branch struct {
	nodes []node
}

// add appends a node and returns its index.
func (b *branch) add(n node) int {
	n.size = 1
	b.nodes = append(b.nodes, n)
	return len(b.nodes) - 1
}

// A stem is a subtree whose nodes are the last in a branch. That of a small one may still be loose: its entries are not in a page, and its node has no hash yet, since
// it may become part of a larger bucket.
type stem struct {
	index   int // of its first node in the branch
	changed bool
	loose   bool
	stored  bool    // of a loose one: its place has a page as yet
	entries []Entry // of a loose one
}

// small adds a loose stem of at most maxBucket entries. stored says whether its place has a page as yet.
func (b *branch) small(entries []Entry, stored bool) stem {
	return stem{index: b.add(node{kind: uint8(len(entries))}), changed: true, loose: true, stored: stored, entries: entries}
}

// A child adds the subtree at a place to a branch.
type child func(b *branch, at place) (stem, error)

// join adds the subtree at a place whose halves both is called for, left first. It is an inner node, in a page of its own where one begins, or a loose stem if that is
// enough. stored says whether a page begins at the place as yet.
func (g *grower) join(b *branch, at place, stored bool, both child) (stem, error) {
	if !at.isPage() {
		return g.inner(b, at, both)
	}
	own := g.open()
	defer g.close(own)
	s, err := g.inner(own, at, both)
	if err != nil {
		return stem{}, err
	}
	top := own.nodes[s.index]
	if top.small() {
		return b.small(s.entries, stored), nil
	}
	if s.changed {
		if err := g.put(at, &page{hash: top.hash, nodes: slices.Clone(own.nodes)}); err != nil {
			return stem{}, err
		}
	}
	return stem{index: b.add(node{hash: top.hash, kind: kindPage}), changed: s.changed}, nil
}

func (g *grower) inner(b *branch, at place, both child) (stem, error) {
	start := b.add(node{kind: kindInner})
	var halves [2]stem
	for side := range halves {
		s, err := both(b, at.child(side))
		if err != nil {
			return stem{}, err
		}
		halves[side] = s
	}
	left, right := &halves[0], &halves[1]
	l, r := &b.nodes[left.index], &b.nodes[right.index]
	if l.small() && r.small() && int(l.kind)+int(r.kind) <= maxBucket {
		entries := make([]Entry, 0, maxBucket)
		for side, s := range halves {
			own, err := g.take(at.child(side), &b.nodes[s.index], s)
			if err != nil {
				return stem{}, err
			}
			entries = append(entries, own...)
		}
		b.nodes = b.nodes[:start]
		return b.small(entries, false), nil
	}
	for side, s := range halves {
		if err := g.settle(at.child(side), &b.nodes[s.index], s); err != nil {
			return stem{}, err
		}
	}
	seal(b.nodes, start)
	return stem{index: start, changed: left.changed || right.changed}, nil
}

// plant adds a subtree of the given entries where there was none, or, if stored, a bucket.
func (g *grower) plant(b *branch, at place, stored bool, entries []Entry) (stem, error) {
	if len(entries) <= maxBucket {
		return b.small(entries, stored), nil
	}
	if stored && !at.isPage() {
		g.drop(at)
	}
	return g.join(b, at, stored, func(b *branch, below place) (stem, error) {
		left, right := split(entries, at.depth)
		if bit(&below.path, at.depth) == 0 {
			return g.plant(b, below, false, left)
		}
		return g.plant(b, below, false, right)
	})
}

// take returns the entries of a small stem, which is going to be part of another.
func (g *grower) take(at place, n *node, s stem) ([]Entry, error) {
	if s.loose {
		if s.stored {
			g.drop(at)
		}
		return s.entries, nil
	}
	if n.kind == 0 {
		return nil, nil
	}
	p, err := g.load(at, n)
	if err != nil {
		return nil, err
	}
	g.drop(at)
	return p.entries, nil
}

// settle gives a loose stem its page, and its node a hash.
func (g *grower) settle(at place, n *node, s stem) error {
	switch {
	case !s.loose:
		return nil
	case n.kind == 0:
		if s.stored {
			g.drop(at)
		}
		return nil
	}
	n.hash = hashEntries(s.entries, at.depth)
	return g.put(at, &page{hash: n.hash, entries: slices.Clone(s.entries)}) // they may be part of a long list
}

// whole grows the subtree at the root, and returns the hash of the tree.
func (g *grower) whole(root child) (Hash, error) {
	b := g.open()
	defer g.close(b)
	s, err := root(b, place{})
	if err != nil {
		return Hash{}, err
	}
	n := &b.nodes[s.index]
	err = g.settle(place{}, n, s)
	return n.hash, err
}

func (g *grower) open() *branch {
	if last := len(g.free) - 1; last >= 0 {
		b := g.free[last]
		g.free = g.free[:last]
		return b
	}
	return &branch{nodes: make([]node, 0, maxNodes)}
}

func (g *grower) close(b *branch) {
	b.nodes = b.nodes[:0]
	g.free = append(g.free, b)
}
