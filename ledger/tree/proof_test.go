package tree

import (
	"bytes"
	"slices"
	"testing"
)

// sample returns a tree of some entries.
func sample(t *testing.T, n, spread int) (model, *Tree) {
	r := seeded(t)
	m := model{}
	m.apply(randomChanges(r, m, n, spread, 0))
	root, pages := build(t, m.sorted())
	return m, At(pages, root, NewCache(1<<20))
}

func TestProofs(t *testing.T) {
	for _, n := range []int{1, 2, 8, 9, 800} {
		for _, spread := range []int{0, 2, 5, 40} {
			r := seeded(t)
			m, tree := sample(t, n, spread)
			keys := append([]Entry{{Key: randomKey(r, 0)}, {Key: randomKey(r, spread)}}, m.sorted()...)
			for _, e := range keys {
				checkProof(t, m, tree, e.Key)
				near := e.Key
				near[r.IntN(len(near))] ^= 1 << r.IntN(8)
				checkProof(t, m, tree, near)
			}
		}
	}
}

// checkProof asks for the proof of a key, and sees that it shows what is there, survives encoding, and shows nothing else.
func checkProof(t *testing.T, m model, tree *Tree, key Hash) {
	t.Helper()
	made, err := tree.Prove(key)
	if err != nil {
		t.Fatal(err)
	}
	encoded := made.Append(nil)
	p, err := ParseProof(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.Append(nil), encoded) {
		t.Fatal("a proof has two encodings")
	}
	value, there := m[key]
	other := value
	other[0] ^= 1
	if got := p.Present(tree.Root(), Entry{key, value}) == nil; got != there {
		t.Fatalf("present: %t, want %t", got, there)
	}
	if got := p.Absent(tree.Root(), key) == nil; got == there {
		t.Fatalf("absent: %t, present: %t", got, there)
	}
	if p.Present(tree.Root(), Entry{key, other}) == nil || p.Present(Hash{1}, Entry{key, value}) == nil || p.Absent(Hash{1}, key) == nil {
		t.Fatal("a proof shows what is not so")
	}
}

// TestFlippedBits flips every bit of proofs: none may then show anything. Of a shorter list of siblings, too, nothing follows.
func TestFlippedBits(t *testing.T) {
	r := seeded(t)
	m, tree := sample(t, 300, 0)
	keys := []Hash{m.sorted()[7].Key, m.sorted()[100].Key}
	seen := map[ending]bool{}
	for len(seen) < 3 || len(keys) < 20 {
		keys = append(keys, randomKey(r, 0))
		p, err := tree.Prove(keys[len(keys)-1])
		if err != nil {
			t.Fatal(err)
		}
		seen[p.ending] = true
		if len(seen) < 3 { // the entry itself is asked for first
			p, _ = tree.Prove(keys[0])
			seen[p.ending] = true
		}
	}
	for _, key := range keys {
		p, err := tree.Prove(key)
		if err != nil {
			t.Fatal(err)
		}
		good := p.Append(nil)
		for i := range 8 * len(good) {
			bad := slices.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			if p, err := ParseProof(bad); err == nil && (p.Present(tree.Root(), Entry{key, m[key]}) == nil || p.Absent(tree.Root(), key) == nil) {
				t.Fatalf("bit %d flipped, and the proof holds", i)
			}
		}
		for n := range good {
			if _, err := ParseProof(good[:n]); err == nil {
				t.Fatalf("the first %d of %d bytes are a proof", n, len(good))
			}
		}
	}
}

// TestProofOfAnotherKey uses proofs for keys that they were not made for: at most they show absence, and only where it is so.
func TestProofOfAnotherKey(t *testing.T) {
	r := seeded(t)
	m, tree := sample(t, 200, 5)
	entries := m.sorted()
	for range 5000 {
		p, err := tree.Prove(entries[r.IntN(len(entries))].Key)
		if r.IntN(2) == 0 {
			p, err = tree.Prove(randomKey(r, 5))
		}
		if err != nil {
			t.Fatal(err)
		}
		e := entries[r.IntN(len(entries))]
		if p.Absent(tree.Root(), e.Key) == nil {
			t.Fatal("an entry is shown to be absent")
		}
		key := randomKey(r, 5)
		if m[key] == (Hash{}) && p.Present(tree.Root(), Entry{key, e.Value}) == nil {
			t.Fatal("an absent entry is shown to be present")
		}
	}
}

// TestLongestProof makes the deepest leaf that there can be.
func TestLongestProof(t *testing.T) {
	var a, b Hash
	b[len(b)-1] = 1
	m := model{a: HashValue(nil), b: HashValue([]byte("b"))}
	for depth := range maxDepth - 1 {
		var k Hash
		k[depth/8] = 0x80 >> (depth % 8)
		m[k] = HashValue([]byte{byte(depth)})
	}
	root, pages := build(t, m.sorted())
	if root != m.root() {
		t.Fatal("wrong root")
	}
	tree := At(pages, root, nil)
	for k := range m {
		checkProof(t, m, tree, k)
	}
	p, err := tree.Prove(a)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(p.Append(nil)), MaxProof-2*len(a); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}
