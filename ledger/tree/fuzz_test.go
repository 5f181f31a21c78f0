package tree

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// FuzzPage feeds bytes to the decoder of pages: what it takes is the one encoding of the page.
func FuzzPage(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	m := model{}
	m.apply(randomChanges(r, m, 400, 0, 0))
	_, err := Build(withoutErrors(m.sorted()), func(key, page []byte) error {
		f.Add(key[0], bytes.Clone(key[1:]), bytes.Clone(page))
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, depth uint8, path, data []byte) {
		at := place{}
		for len(path) < len(at.path) {
			path = append(path, 0)
		}
		for at.depth < int(depth) {
			at = at.child(bit((*Hash)(path), at.depth))
		}
		p, err := decodePage(at, data)
		if err != nil {
			return
		}
		if got := p.append(nil); !bytes.Equal(got, data) {
			t.Fatalf("%x is read, and written as %x", data, got)
		}
		if p.nodes != nil && int(p.nodes[0].size) != len(p.nodes) {
			t.Fatal("the nodes do not all hang on the root")
		}
	})
}

// FuzzProof feeds bytes to the decoder of proofs: what it takes is the one encoding of the proof, and checking it ends.
func FuzzProof(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	m := model{}
	m.apply(randomChanges(r, m, 100, 0, 0))
	pages := memory{}
	root, err := Build(withoutErrors(m.sorted()), func(key, page []byte) error {
		pages[string(key)] = bytes.Clone(page)
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	tree := At(pages, root, nil)
	add := func(key Hash) {
		p, err := tree.Prove(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(key[:], p.Append(nil))
	}
	for _, e := range m.sorted()[:5] {
		add(e.Key)
	}
	for range 20 {
		add(randomKey(r, 0))
	}
	f.Fuzz(func(t *testing.T, k, data []byte) {
		p, err := ParseProof(data)
		if err != nil {
			return
		}
		if got := p.Append(nil); !bytes.Equal(got, data) || len(got) > MaxProof {
			t.Fatalf("%x is read, and written as %x", data, got)
		}
		var key Hash
		copy(key[:], k)
		value, there := m[key]
		if p.Absent(root, key) == nil && there || p.Present(root, Entry{key, HashValue(data)}) == nil && HashValue(data) != value {
			t.Fatal("a proof shows what is not so")
		}
	})
}

// FuzzUpdate makes changes of bytes: any list of them must lead to the root that the definition gives.
func FuzzUpdate(f *testing.F) {
	f.Add([]byte("some changes of a small tree"), []byte("and some more"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		m, pages, root := model{}, memory{}, Hash{}
		for _, data := range [][]byte{first, second} {
			changes := map[Hash]Hash{}
			for pair := range slices.Chunk(data[:len(data)&^1], 2) {
				// Few keys, which differ in bits far apart.
				key := Hash{0: pair[0] & 0xc0, 7: pair[0] << 2, 31: pair[0] & 0x0f}
				changes[key] = Hash{0: pair[1] & 3}
			}
			list := model(changes).sorted()
			u, err := At(pages, root, nil).Update(list)
			if err != nil {
				t.Fatal(err)
			}
			pages.store(t, u)
			root = u.Root()
			m.apply(list)
		}
		built, want := build(t, m.sorted())
		if root != m.root() || built != root || !pages.equal(want) {
			t.Fatalf("root %x, built %x, want %x", root, built, m.root())
		}
	})
}
