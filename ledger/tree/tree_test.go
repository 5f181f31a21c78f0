package tree

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

// TestHistories takes trees through random histories: after each block root and pages must be those that the definition and Build make of the
// entries, with a cache of any size.
func TestHistories(t *testing.T) {
	for _, spread := range []int{0, 2, 5, 40} {
		for _, cache := range []*Cache{nil, NewCache(8 << 10), NewCache(64 << 20)} {
			t.Run(fmt.Sprintf("spread %d, cache %t", spread, cache != nil), func(t *testing.T) {
				t.Parallel()
				history(t, spread, cache)
			})
		}
	}
}

const historyBlocks = 30

func history(t *testing.T, spread int, cache *Cache) {
	r := seeded(t)
	m, pages, root := model{}, memory{}, Hash{}
	for block := range historyBlocks {
		// It grows, is changed, and shrinks to nothing.
		n, removals := 1+r.IntN(60), 0.1
		if block >= 2*historyBlocks/3 {
			removals = 0.9
		}
		if block%15 == 7 {
			n = 400
		}
		changes := randomChanges(r, m, n, spread, removals)
		if block == historyBlocks-1 {
			changes = m.sorted()
			for i := range changes {
				changes[i].Value = Hash{}
			}
		}
		before := At(pages, root, cache)
		other, err := before.Update(randomChanges(r, m, 20, spread, 0.5)) // is not stored
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(2) == 0 {
			other.Keep() // of no use, and no harm
		}
		u, err := before.Update(changes)
		if err != nil {
			t.Fatalf("block %d: %v", block, err)
		}
		pages.store(t, u)
		u.Keep()
		root = u.Root()
		m.apply(changes)
		if want := m.root(); root != want {
			t.Fatalf("block %d: root %x, want %x", block, root, want)
		}
		built, want := build(t, m.sorted())
		if built != root {
			t.Fatalf("block %d: built root %x, want %x", block, built, root)
		}
		if !pages.equal(want) {
			t.Fatalf("block %d: %d pages are stored, which are not the %d of the entries", block, len(pages), len(want))
		}
		again, err := At(pages, root, nil).Update(m.sorted())
		if err != nil || again.Root() != root || again.Len() != 0 {
			t.Fatalf("block %d: changes to what is there make %d writes, error %v", block, again.Len(), err)
		}
		checkCache(t, cache)
	}
	if root != (Hash{}) || len(pages) != 0 {
		t.Fatalf("root %x and %d pages are left of nothing", root, len(pages))
	}
}

func checkCache(t *testing.T, c *Cache) {
	t.Helper()
	if c == nil {
		return
	}
	bytes := 0
	for depth, level := range c.levels {
		if len(level) > 0 && depth > c.deep {
			t.Fatalf("the cache says that no page is below %d, and has one at %d", c.deep, depth)
		}
		for _, p := range level {
			bytes += p.bytes()
		}
	}
	if bytes != c.bytes || bytes > c.max {
		t.Fatalf("%d bytes are in the cache, it says %d, the bound is %d", bytes, c.bytes, c.max)
	}
}

func TestRemovalsUndoWhatWasAdded(t *testing.T) {
	r := seeded(t)
	m := model{}
	m.apply(randomChanges(r, m, 500, 0, 0))
	root, pages := build(t, m.sorted())
	added := randomChanges(r, model{}, 800, 0, 0)
	u, err := At(pages, root, nil).Update(added)
	if err != nil {
		t.Fatal(err)
	}
	after := memory{}
	for k, v := range pages {
		after[k] = v
	}
	after.store(t, u)
	for i := range added {
		added[i].Value = m[added[i].Key]
	}
	if u, err = At(after, u.Root(), nil).Update(added); err != nil {
		t.Fatal(err)
	}
	after.store(t, u)
	if u.Root() != root || !after.equal(pages) {
		t.Error("the tree is not what it was")
	}
}

func TestEntries(t *testing.T) {
	for _, spread := range []int{0, 5} {
		r := seeded(t)
		m := model{}
		m.apply(randomChanges(r, m, 3000, spread, 0))
		root, pages := build(t, m.sorted())
		for n := range 20 {
			from := randomKey(r, spread)
			if n == 0 {
				from = Hash{}
			}
			var got []Entry
			for e, err := range At(pages, root, nil).Entries(from) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e)
			}
			want := slices.DeleteFunc(m.sorted(), func(e Entry) bool { return slices.Compare(e.Key[:], from[:]) < 0 })
			if !slices.Equal(got, want) {
				t.Fatalf("from %x: %d entries, want %d", from, len(got), len(want))
			}
		}
	}
}

// TestBuildReadsAhead builds trees around the size of the window.
func TestBuildReadsAhead(t *testing.T) {
	r := seeded(t)
	for _, n := range []int{0, 1, maxBucket, maxBucket + 1, buildWindow - 1, buildWindow, buildWindow + 1, 3 * buildWindow} {
		m := model{}
		for len(m) < n {
			m[randomKey(r, 0)] = randomValue(r)
		}
		if root, _ := build(t, m.sorted()); root != m.root() {
			t.Errorf("%d entries: wrong root", n)
		}
	}
}

func TestRefusals(t *testing.T) {
	a, b := NewEntry([]byte("a"), nil), NewEntry([]byte("b"), nil)
	sorted := []Entry{a, b}
	Sort(sorted)
	wrong := errors.New("wrong")
	for name, err := range map[string]error{
		"update, out of order": updateError([]Entry{sorted[1], sorted[0]}),
		"update, twice":        updateError([]Entry{a, a}),
		"build, out of order":  buildError([]Entry{sorted[1], sorted[0]}),
		"build, twice":         buildError([]Entry{a, a}),
		"build, no value":      buildError([]Entry{{Key: a.Key}}),
	} {
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if _, err := Build(withoutErrors(sorted), func([]byte, []byte) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("write fails: %v", err)
	}
	if _, err := Build(func(yield func(Entry, error) bool) { yield(Entry{}, wrong) }, nil); !errors.Is(err, wrong) {
		t.Errorf("read fails: %v", err)
	}
}

func updateError(changes []Entry) error {
	_, err := At(memory{}, Hash{}, nil).Update(changes)
	return err
}

func buildError(entries []Entry) error {
	_, err := Build(withoutErrors(entries), func([]byte, []byte) error { return nil })
	return err
}

// TestDamage alters, removes and swaps each page of a tree in turn: whatever needs the page must fail, nothing may come out wrong.
func TestDamage(t *testing.T) {
	r := seeded(t)
	m := model{}
	m.apply(randomChanges(r, m, 300, 0, 0))
	root, pages := build(t, m.sorted())
	changes := m.sorted()
	for i := range changes {
		changes[i].Value = randomValue(r)
	}
	for key, page := range pages {
		at := r.IntN(len(page))
		altered := slices.Clone(page)
		altered[at] ^= 1 << r.IntN(8)
		for _, bad := range [][]byte{altered, nil, {}, page[:at], append(slices.Clone(page), 0)} {
			pages[key] = bad
			tree := At(pages, root, nil)
			if _, err := tree.Update(changes); fault.KindOf(err) != fault.Internal || err == nil {
				t.Fatalf("update with page %x damaged: %v", key, err)
			}
			var last error
			for e, err := range tree.Entries(Hash{}) {
				if last = err; err == nil && m[e.Key] != e.Value {
					t.Fatal("an entry is wrong")
				}
			}
			if last == nil {
				t.Fatalf("all entries with page %x damaged", key)
			}
		}
		pages[key] = page
	}
}

func TestEmptyTree(t *testing.T) {
	tree := At(memory{}, Hash{}, nil)
	u, err := tree.Update(nil)
	if err != nil || u.Root() != tree.Root() || u.Len() != 0 {
		t.Errorf("an update without changes: root %x, %d writes, error %v", u.Root(), u.Len(), err)
	}
	p, err := tree.Prove(HashKey([]byte("k")))
	if err != nil || p.Absent(tree.Root(), HashKey([]byte("k"))) != nil {
		t.Errorf("no proof that nothing is there: %v", err)
	}
	for range tree.Entries(Hash{}) {
		t.Error("an entry of nothing")
	}
}

// TestReadersShareACache proves and goes through several states at once, with a cache that is too small for one.
func TestReadersShareACache(t *testing.T) {
	cache := NewCache(16 << 10)
	var readers sync.WaitGroup
	for range 4 {
		r := seeded(t)
		m := model{}
		m.apply(randomChanges(r, m, 300, 0, 0))
		root, pages := build(t, m.sorted())
		readers.Go(func() {
			tree := At(pages, root, cache)
			for e, err := range tree.Entries(Hash{}) {
				if err != nil {
					t.Error(err)
					return
				}
				p, err := tree.Prove(e.Key)
				if err != nil || p.Present(root, Entry{e.Key, m[e.Key]}) != nil {
					t.Errorf("no proof of %x: %v", e.Key, err)
				}
			}
		})
	}
	readers.Wait()
	checkCache(t, cache)
}
