package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkUpdate changes random entries of a tree in blocks of 4,000, all of whose pages are in the cache; an operation is one entry. bench/trees measures with a store.
func BenchmarkUpdate(b *testing.B) {
	const block = 4000
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			m, pages := model{}, memory{}
			for len(m) < n {
				m[randomKey(r, 0)] = randomValue(r)
			}
			all := m.sorted()
			root, err := Build(withoutErrors(all), func(key, page []byte) error {
				pages[string(key)] = bytes.Clone(page)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			tree := At(pages, root, NewCache(1<<30))
			changes := make([]Entry, 0, block)
			for done := 0; b.Loop(); done++ {
				if done%block != 0 {
					continue
				}
				b.StopTimer()
				changes = changes[:0]
				for i, at := range r.Perm(n)[:block] {
					all[at].Value = HashValue([]byte{byte(i), byte(i >> 8), byte(done)})
					changes = append(changes, all[at])
				}
				b.StartTimer()
				Sort(changes)
				u, err := tree.Update(changes)
				if err != nil {
					b.Fatal(err)
				}
				u.Keep()
				tree = At(pages, u.Root(), tree.cache) // what is not stored is in the cache
			}
		})
	}
}

// BenchmarkProof makes and checks proofs in a tree of 100,000 entries.
func BenchmarkProof(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	m, pages := model{}, memory{}
	for len(m) < 100_000 {
		m[randomKey(r, 0)] = randomValue(r)
	}
	all := m.sorted()
	root, err := Build(withoutErrors(all), func(key, page []byte) error {
		pages[string(key)] = bytes.Clone(page)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	tree := At(pages, root, NewCache(1<<30))
	for b.Loop() {
		e := all[r.IntN(len(all))]
		p, err := tree.Prove(e.Key)
		if err != nil || p.Present(root, e) != nil {
			b.Fatal(err)
		}
	}
}
