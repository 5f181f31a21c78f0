package tree

import (
	"bytes"
	"iter"
)

// Entries returns all entries whose key is not below from, sorted by key: what Build takes. It holds a few pages at a time, and reads each page that it
// needs once; an error comes with no entry and ends it. Going through all entries checks every page.
func (t *Tree) Entries(from Hash) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		top, err := t.top()
		if err != nil {
			yield(Entry{}, err)
			return
		}
		w := walk{tree: t, from: from, yield: yield}
		w.subtree(place{}, []node{top}, true)
	}
}

type walk struct {
	tree  *Tree
	from  Hash
	yield func(Entry, error) bool
}

// subtree goes through the subtree at a place, whose first node is at the front of nodes. edge says that from may be in it: what is left of that is left out.
// It reports whether to go on.
func (w *walk) subtree(at place, nodes []node, edge bool) bool {
	if nodes[0].kind == 0 {
		return true
	}
	if nodes[0].kind != kindInner {
		p, err := w.tree.load(at, &nodes[0])
		if err != nil {
			w.yield(Entry{}, err)
			return false
		}
		if p.nodes == nil {
			return w.bucket(p.entries)
		}
		nodes = p.nodes
	}
	left, right := children(nodes, 0)
	inRight := edge && bit(&w.from, at.depth) == 1
	return (inRight || w.subtree(at.child(0), nodes[left:], edge)) && w.subtree(at.child(1), nodes[right:], inRight)
}

func (w *walk) bucket(entries []Entry) bool {
	for i := range entries {
		if bytes.Compare(entries[i].Key[:], w.from[:]) >= 0 && !w.yield(entries[i], nil) {
			return false
		}
	}
	return true
}
