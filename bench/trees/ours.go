package main

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/ledger/tree"
)

const (
	pagePrefix  = 't'
	valuePrefix = 'v'
	// buildBatch is how large the batches of a build get, in bytes.
	buildBatch = 4 << 20
)

// ours is the ledger's tree. It keeps the values beside the tree in the same batch, as the ledger does.
type ours struct {
	db    *store
	cache *tree.Cache
	root  tree.Hash
}

func newOurs(db *store, cache int) *ours { return &ours{db: db, cache: tree.NewCache(cache)} }

// Page reads a page.
func (o *ours) Page(key []byte) ([]byte, error) {
	var room [64]byte
	return o.db.fetch(append(append(room[:0], pagePrefix), key...))
}

func (o *ours) fill(pairs func(yield func(pair) bool)) error {
	var entries []tree.Entry
	b := o.db.NewBatch()
	flush := func(limit int) error {
		if b.Len() < limit {
			return nil
		}
		err := o.db.commit(b)
		b = o.db.NewBatch()
		return err
	}
	for p := range pairs {
		entries = append(entries, tree.NewEntry(p.key, p.value))
		if err := setValue(b, p); err != nil {
			return err
		}
		if err := flush(buildBatch); err != nil {
			return err
		}
	}
	root, err := tree.Build(sorted(entries), func(key, page []byte) error {
		if err := setPage(b, key, page); err != nil {
			return err
		}
		return flush(buildBatch)
	})
	o.root = root
	if err != nil {
		return err
	}
	return o.db.commit(b)
}

func (o *ours) update(changes []pair) error {
	entries := make([]tree.Entry, len(changes))
	b := o.db.NewBatch()
	for i, p := range changes {
		entries[i] = tree.NewEntry(p.key, p.value)
		if err := setValue(b, p); err != nil {
			return err
		}
	}
	tree.Sort(entries)
	u, err := tree.At(o, o.root, o.cache).Update(entries)
	if err != nil {
		return err
	}
	for key, page := range u.Writes() {
		if err := setPage(b, key, page); err != nil {
			return err
		}
	}
	if err := o.db.commit(b); err != nil {
		return err
	}
	u.Keep()
	o.root = u.Root()
	return nil
}

func (o *ours) prove(p pair) (int, func() error, error) {
	return proveIn(tree.At(o, o.root, o.cache), p)
}

func proveIn(t *tree.Tree, p pair) (int, func() error, error) {
	proof, err := t.Prove(tree.HashKey(p.key))
	if err != nil {
		return 0, nil, err
	}
	encoded, root := proof.Append(nil), t.Root()
	return len(encoded), func() error {
		proof, err := tree.ParseProof(encoded)
		if err != nil {
			return err
		}
		return proof.Present(root, tree.NewEntry(p.key, p.value))
	}, nil
}

// sorted sorts entries and goes through them.
func sorted(entries []tree.Entry) func(yield func(tree.Entry, error) bool) {
	tree.Sort(entries)
	return func(yield func(tree.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func setPage(b *pebble.Batch, key, page []byte) error {
	var room [64]byte
	key = append(append(room[:0], pagePrefix), key...)
	if page == nil {
		return b.Delete(key, nil)
	}
	return b.Set(key, page, nil)
}

func setValue(b *pebble.Batch, p pair) error {
	return b.Set(append([]byte{valuePrefix}, p.key...), p.value, nil)
}

// alone is our tree without a store: its pages are in a map, encoded. What it costs is what the tree costs.
type alone struct {
	pages map[string][]byte
	cache *tree.Cache
	root  tree.Hash
}

func newAlone(cache int) *alone {
	return &alone{pages: map[string][]byte{}, cache: tree.NewCache(cache)}
}

// Page reads a page.
func (a *alone) Page(key []byte) ([]byte, error) { return a.pages[string(key)], nil }

func (a *alone) set(key, page []byte) error {
	if page == nil {
		delete(a.pages, string(key))
		return nil
	}
	a.pages[string(key)] = append([]byte(nil), page...)
	return nil
}

func (a *alone) fill(pairs func(yield func(pair) bool)) error {
	var entries []tree.Entry
	for p := range pairs {
		entries = append(entries, tree.NewEntry(p.key, p.value))
	}
	root, err := tree.Build(sorted(entries), a.set)
	a.root = root
	return err
}

func (a *alone) update(changes []pair) error {
	entries := make([]tree.Entry, len(changes))
	for i, p := range changes {
		entries[i] = tree.NewEntry(p.key, p.value)
	}
	tree.Sort(entries)
	u, err := tree.At(a, a.root, a.cache).Update(entries)
	if err != nil {
		return err
	}
	for key, page := range u.Writes() {
		if err := a.set(key, page); err != nil {
			return err
		}
	}
	u.Keep()
	a.root = u.Root()
	return nil
}

func (a *alone) prove(p pair) (int, func() error, error) {
	return proveIn(tree.At(a, a.root, a.cache), p)
}
