package tree

import (
	"bytes"
	"iter"
	"slices"

	"github.com/folkmoot/folkmoot/fault"
)

// An Update is what a list of changes makes of a tree: a new root, and the pages that differ. The tree itself and what is stored stay as they
// were, so that several updates of one tree can be computed and one of them be stored.
type Update struct {
	tree  *Tree
	root  Hash
	pages []write
	grow  grower
}

// A write is a page at its place, nil where it is removed.
type write struct {
	at   place
	page *page
}

// Update computes the tree after changes, which are sorted by key and have each key once; a value of all zeros removes the entry, and removing what is not there does
// nothing. Each node that changes is hashed once. Changes that are out of order are an error of kind Invalid.
func (t *Tree) Update(changes []Entry) (*Update, error) {
	for i := 1; i < len(changes); i++ {
		if bytes.Compare(changes[i-1].Key[:], changes[i].Key[:]) >= 0 {
			return nil, fault.New(fault.Invalid, "changes of the tree are out of order, or of one key twice, at %d", i)
		}
	}
	u := &Update{tree: t, pages: make([]write, 0, 2*len(changes))}
	u.grow = grower{
		put:  func(at place, p *page) error { u.pages = append(u.pages, write{at, p}); return nil },
		drop: func(at place) { u.pages = append(u.pages, write{at, nil}) },
		load: t.load,
	}
	top, err := t.top()
	if err != nil {
		return nil, err
	}
	u.root, err = u.grow.whole(func(b *branch, at place) (stem, error) {
		return u.change(b, at, []node{top}, changes)
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// Sort sorts entries by key, as Update and Build want them.
func Sort(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Key[:], b.Key[:]) })
}

// Root returns the root after the changes.
func (u *Update) Root() Hash { return u.root }

// Writes returns the pages to be stored, each once, and with a nil page the keys to be removed. Key and page are good until the next is asked for. Len
// says how many there are.
func (u *Update) Writes() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, page []byte) bool) {
		key, room := make([]byte, 0, maxPageKey), make([]byte, 0, maxPage)
		for i := range u.pages {
			w := &u.pages[i]
			var raw []byte
			if w.page != nil {
				raw = w.page.append(room)
			}
			if !yield(w.at.appendKey(key), raw) {
				return
			}
		}
	}
}

// Len returns how many pages Writes has.
func (u *Update) Len() int { return len(u.pages) }

// Keep puts the pages into the tree's cache, to be called once they are stored.
func (u *Update) Keep() {
	for i := range u.pages {
		u.tree.cache.put(u.pages[i].at, u.pages[i].page)
	}
}

// change adds what changes make of the subtree at a place, which was old with its first node at the front. All changes are below the place.
func (u *Update) change(b *branch, at place, old []node, changes []Entry) (stem, error) {
	if len(changes) == 0 {
		start := len(b.nodes)
		b.nodes = append(b.nodes, old[:old[0].size]...)
		return stem{index: start}, nil
	}
	if old[0].small() {
		return u.changeSmall(b, at, &old[0], changes)
	}
	wasPage := old[0].kind == kindPage
	if wasPage {
		p, err := u.tree.load(at, &old[0])
		if err != nil {
			return stem{}, err
		}
		old = p.nodes
	}
	l, r := children(old, 0)
	left, right := split(changes, at.depth)
	return u.grow.join(b, at, wasPage, func(b *branch, below place) (stem, error) {
		if bit(&below.path, at.depth) == 0 {
			return u.change(b, below, old[l:], left)
		}
		return u.change(b, below, old[r:], right)
	})
}

// changeSmall is change of a bucket, or of nothing.
func (u *Update) changeSmall(b *branch, at place, old *node, changes []Entry) (stem, error) {
	var entries []Entry
	if old.kind > 0 {
		p, err := u.tree.load(at, old)
		if err != nil {
			return stem{}, err
		}
		entries = p.entries
	}
	merged, changed := merge(entries, changes)
	if !changed {
		return stem{index: b.add(*old)}, nil
	}
	return u.grow.plant(b, at, old.kind > 0, merged)
}

// merge returns entries with changes applied, and whether that is any different; both are sorted.
func merge(entries, changes []Entry) (merged []Entry, changed bool) {
	merged = make([]Entry, 0, len(entries)+len(changes))
	for _, c := range changes {
		before := 0
		for before < len(entries) && bytes.Compare(entries[before].Key[:], c.Key[:]) < 0 {
			before++
		}
		merged, entries = append(merged, entries[:before]...), entries[before:]
		there := len(entries) > 0 && entries[0].Key == c.Key
		switch remove := c.Value == (Hash{}); {
		case there:
			changed = changed || entries[0].Value != c.Value
			entries = entries[1:]
		case !remove:
			changed = true
		}
		if c.Value != (Hash{}) {
			merged = append(merged, c)
		}
	}
	return append(merged, entries...), changed
}
