package tree

import (
	"slices"
	"testing"
)

// TestStrictDecoding has bytes that no tree writes, each wrong in one way.
func TestStrictDecoding(t *testing.T) {
	left := place{}.child(0)
	two := (&page{entries: []Entry{{Hash{1}, Hash{1}}, {Hash{2}, Hash{1}}}}).append(nil)
	if _, err := decodePage(left, two); err != nil {
		t.Fatal(err)
	}
	hash := slices.Repeat([]byte{7}, 32)
	branch := func(kinds ...byte) []byte {
		b := []byte{branchFormat}
		for _, k := range kinds {
			if b = append(b, k); k != 0 && k != kindInner {
				b = append(b, hash...)
			}
		}
		return b
	}
	if _, err := decodePage(place{}, branch(kindInner, 4, maxBucket-3)); err != nil {
		t.Fatal(err)
	}
	deepest := place{depth: 255}
	for name, c := range map[string]struct {
		at   place
		page []byte
	}{
		"bucket of another place":      {place{}.child(1), two},
		"bucket out of order":          {left, (&page{entries: []Entry{{Hash{2}, Hash{1}}, {Hash{1}, Hash{1}}}}).append(nil)},
		"bucket with a key twice":      {left, (&page{entries: []Entry{{Hash{2}, Hash{1}}, {Hash{2}, Hash{1}}}}).append(nil)},
		"entry without a value":        {left, (&page{entries: []Entry{{Key: Hash{2}}}}).append(nil)},
		"empty bucket":                 {left, []byte{bucketFormat, 0}},
		"unknown format":               {place{}, append([]byte{9}, branch(kindInner, 4, maxBucket)[1:]...)},
		"branch that is no more":       {place{}, branch(kindInner, 4, maxBucket-4)},
		"branch at a bucket's depth":   {left, branch(kindInner, 4, maxBucket)},
		"branch below all keys":        {deepest, branch(kindInner, 4, maxBucket)},
		"branch with one node":         {place{}, branch(4)},
		"branch page above the edge":   {place{}, branch(kindInner, kindPage, maxBucket)},
		"bucket larger than any":       {place{}, branch(kindInner, maxBucket+1, maxBucket)},
		"inner node below the edge":    {place{}, branch(slices.Concat(slices.Repeat([]byte{kindInner}, pageLevels+1), slices.Repeat([]byte{maxBucket}, pageLevels+2))...)},
		"bytes after the last node":    {place{}, append(branch(kindInner, 4, maxBucket), 0)},
		"bucket with the hash of none": {place{}, slices.Concat([]byte{branchFormat, kindInner, maxBucket}, hash, []byte{4}, make([]byte, 32))},
	} {
		if _, err := decodePage(c.at, c.page); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
	sibling := &Proof{ending: endsAtNothing, siblings: []Hash{{}, {1}}}
	if _, err := ParseProof(sibling.Append(nil)); err != nil {
		t.Error(err)
	}
	sibling.siblings[1] = Hash{}
	if _, err := ParseProof(sibling.Append(nil)); err == nil {
		t.Error("a proof with nothing beside the end of the way is taken")
	}
	if _, err := ParseProof((&Proof{ending: endsAtOther}).Append(nil)); err == nil {
		t.Error("a proof that ends at an entry without a value is taken")
	}
}
