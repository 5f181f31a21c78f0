package ledger

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

func randomResults(rng *rand.Rand, n int) []Result {
	results := make([]Result, n)
	for i := range results {
		results[i] = Result{ID: TransactionID(randomBytes(rng, 32))}
		if rng.IntN(2) == 0 {
			results[i].Code, results[i].Operation = Code(1+rng.IntN(int(codeCount)-1)), uint16(rng.IntN(MaxOperations))
		}
	}
	return results
}

func TestResultProofs(t *testing.T) {
	rng := testRand(t)
	for n := 1; n <= 70; n++ {
		results := randomResults(rng, n)
		block := &Recent{Results: ResultsRoot(results), Count: uint32(n)}
		for i := range results {
			p := ProveResult(results, i)
			if err := p.Verify(block, results[i]); err != nil {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
			data := p.Append(nil)
			if got, err := ParseResultProof(data); err != nil || !slices.Equal(got.Path, p.Path) || got.Index != p.Index || got.Count != p.Count {
				t.Fatalf("%d of %d: %v, %v", i, n, got, err)
			}
			for range 5 {
				flipped := slices.Clone(data)
				flipped[rng.IntN(len(flipped))] ^= 1 << rng.IntN(8)
				if q, err := ParseResultProof(flipped); err == nil && q.Verify(block, results[i]) == nil {
					t.Fatalf("%d of %d: %x proves as %x does", i, n, flipped, data)
				}
			}
			other := results[i]
			other.ID[0] ^= 1
			if p.Verify(block, other) == nil {
				t.Fatalf("%d of %d proves another transaction", i, n)
			}
			other = results[i]
			other.Code ^= 1
			if p.Verify(block, other) == nil {
				t.Fatalf("%d of %d proves another result", i, n)
			}
		}
		if n > 1 && ResultsRoot(results[:n-1]) == block.Results {
			t.Fatal("a result less has the same root")
		}
	}
}

// TestProofsTellThePlace moves proofs to every other place of trees of every size: the path of result 1 of 2 is also that of result 2 of 3.
func TestProofsTellThePlace(t *testing.T) {
	rng := testRand(t)
	for n := 2; n <= 33; n++ {
		results := randomResults(rng, n)
		block := &Recent{Results: ResultsRoot(results), Count: uint32(n)}
		for i := range results {
			p := ProveResult(results, i)
			for count := range uint32(70) {
				for index := range count {
					moved := ResultProof{index, count, p.Path}
					if (moved.Verify(block, results[i]) == nil) != (index == p.Index && count == p.Count) {
						t.Fatalf("the proof of result %d of %d, said to be that of %d of %d: %v", i, n, index, count, moved.Verify(block, results[i]))
					}
				}
			}
		}
	}
}

func TestCodesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for c := range codeCount {
		if c.String() == "" || seen[c.String()] {
			t.Errorf("code %d is called %q", c, c.String())
		}
		seen[c.String()] = true
	}
}

func FuzzResultProof(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 3))
	results := randomResults(rng, 11)
	block := &Recent{Results: ResultsRoot(results), Count: uint32(len(results))}
	for i := range results {
		p := ProveResult(results, i)
		f.Add(p.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseResultProof(data)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			return
		}
		if again := p.Append(nil); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
		for i, r := range results {
			if p.Verify(block, r) == nil && int(p.Index) != i {
				t.Errorf("%x proves result %d", data, i)
			}
		}
	})
}
