package tree

import (
	"bytes"
	"crypto/sha256"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is the state that a tree stands for, and the naive way to its root: the definition in the package comment, word by word.
type model map[Hash]Hash

func (m model) root() Hash { return modelRoot(slices.Collect(maps.Keys(m)), m, 0) }

func modelRoot(keys []Hash, m model, depth int) Hash {
	switch len(keys) {
	case 0:
		return Hash{}
	case 1:
		v := m[keys[0]]
		return sha256.Sum256([]byte("folkmoot/tree/leaf/1" + string(keys[0][:]) + string(v[:])))
	}
	var halves [2][]Hash
	for _, k := range keys {
		side := k[depth/8] << (depth % 8) >> 7
		halves[side] = append(halves[side], k)
	}
	l, r := modelRoot(halves[0], m, depth+1), modelRoot(halves[1], m, depth+1)
	return sha256.Sum256([]byte("folkmoot/tree/inner/1" + string(l[:]) + string(r[:])))
}

func (m model) apply(changes []Entry) {
	for _, c := range changes {
		if c.Value == (Hash{}) {
			delete(m, c.Key)
		} else {
			m[c.Key] = c.Value
		}
	}
}

// sorted returns the entries as Build takes them.
func (m model) sorted() []Entry {
	entries := make([]Entry, 0, len(m))
	for k, v := range m {
		entries = append(entries, Entry{k, v})
	}
	Sort(entries)
	return entries
}

// memory keeps pages in a map.
type memory map[string][]byte

func (m memory) Page(key []byte) ([]byte, error) { return m[string(key)], nil }

func (m memory) store(t *testing.T, u *Update) {
	t.Helper()
	written := map[string]bool{}
	for key, page := range u.Writes() {
		if written[string(key)] {
			t.Errorf("the page under %x is written twice", key)
		}
		written[string(key)] = true
		if page == nil {
			if m[string(key)] == nil {
				t.Errorf("a page is removed that was not there: %x", key)
			}
			delete(m, string(key))
			continue
		}
		if bytes.Equal(m[string(key)], page) {
			t.Errorf("a page is written that has not changed: %x", key)
		}
		m[string(key)] = bytes.Clone(page)
	}
	if len(written) != u.Len() {
		t.Errorf("%d writes, Len says %d", len(written), u.Len())
	}
}

func (m memory) equal(o memory) bool { return maps.EqualFunc(m, o, bytes.Equal) }

// build makes the pages of entries in one go.
func build(t *testing.T, entries []Entry) (Hash, memory) {
	t.Helper()
	pages := memory{}
	root, err := Build(withoutErrors(entries), func(key, page []byte) error {
		if pages[string(key)] != nil {
			t.Errorf("page %x is written twice", key)
		}
		pages[string(key)] = bytes.Clone(page)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return root, pages
}

func withoutErrors(entries []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// seeded returns a source of chance and says how to repeat it if the test fails.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	return seededWith(t, rand.Uint64())
}

func seededWith(t *testing.T, seed uint64) *rand.Rand {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %#x", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// randomKey returns a key that shares a number of bits with another one of its kind, mostly few: with spread 0 as hashes do, above it in deep
// clusters, which nobody can grind but which the tree must stand.
func randomKey(r *rand.Rand, spread int) Hash {
	var k Hash
	if spread > 0 {
		k[0] = byte(r.IntN(2)) << 7
		for i, n := 0, r.IntN(spread); i < n; i++ {
			at := r.IntN(maxDepth)
			k[at/8] ^= 0x80 >> (at % 8)
		}
		return k
	}
	for i := range k {
		k[i] = byte(r.Uint32())
	}
	return k
}

func randomValue(r *rand.Rand) Hash { return HashValue([]byte{byte(r.Uint32()), byte(r.Uint32())}) }

// randomChanges returns n changes or fewer, some of what is there, some removals, some without effect.
func randomChanges(r *rand.Rand, m model, n, spread int, removals float64) []Entry {
	there := m.sorted()
	changes := map[Hash]Hash{}
	for range n {
		key := randomKey(r, spread)
		if len(there) > 0 && r.IntN(2) == 0 {
			key = there[r.IntN(len(there))].Key
		}
		switch {
		case r.Float64() < removals:
			changes[key] = Hash{}
		case r.IntN(10) == 0 && m[key] != Hash{}:
			changes[key] = m[key]
		default:
			changes[key] = randomValue(r)
		}
	}
	return model(changes).sorted()
}
