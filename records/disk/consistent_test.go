package disk

import (
	"crypto/sha256"
	"math"
	"testing"
)

// checkConsistent checks that digests, lists, changes and counts tell of the same records, each of them whole. It returns their keys.
func checkConsistent(t *testing.T, d *Disk) map[string]Head {
	t.Helper()
	found := map[string]Head{}
	live := int64(0)
	for s := range Shard(Shards) {
		var want ShardDigest
		var after Hash
		if d.Records(s) == 0 && s%16 != 0 {
			continue // what is missed here is missed in the lists, too
		}
		for more := true; more; {
			var items []Item
			var err error
			if items, more, err = d.Heads(s, after, 100); err != nil {
				t.Fatalf("shard %d: %v", s, err)
			}
			for _, i := range items {
				after = i.Hash
				sum := digestOf(&i.Hash, &i.Head.Rank)
				want.Sum.xor(&sum)
				want.Records++
				live += liveness(&i.Head)
				found[i.Head.Key] = i.Head
				if i.Hash != sha256.Sum256([]byte(i.Head.Key)) || ShardOf(i.Hash) != s {
					t.Fatalf("%q is listed in shard %d as %x", i.Head.Key, s, i.Hash)
				}
				if envelope, err := d.Envelope(i.Hash); err != nil || envelope == nil {
					t.Fatalf("%q has a head but no envelope: %v", i.Head.Key, err)
				}
			}
		}
		if got, known := d.Digest(s, math.MaxUint64); got != want || !known || d.Records(s) != int(want.Records) {
			t.Fatalf("digest of shard %d = %x, %v, %d records; want %x", s, got, known, d.Records(s), want)
		}
	}
	if d.Count() != live {
		t.Errorf("count = %d, want %d", d.Count(), live)
	}
	checkListed(t, d, found)
	checkChanges(t, d, found)
	return found
}

func checkListed(t *testing.T, d *Disk, found map[string]Head) {
	t.Helper()
	heads, more, err := d.List("", "", math.MaxInt, math.MaxInt)
	if err != nil || more || len(heads) != len(found) {
		t.Fatalf("list: %d records, %v, %v; want %d", len(heads), more, err, len(found))
	}
	for _, h := range heads {
		if found[h.Key] != h {
			t.Fatalf("listed %+v; want %+v", h, found[h.Key])
		}
	}
}

func checkChanges(t *testing.T, d *Disk, found map[string]Head) {
	t.Helper()
	seen, next := 0, uint64(0)
	for next < d.LastSequence() {
		changes, after, err := d.Changes(next, 100, nil)
		if err != nil {
			t.Fatal(err)
		}
		last := next
		for _, c := range changes {
			if c.Head.Sequence <= last || c.Head.Sequence > after || found[c.Head.Key] != c.Head {
				t.Fatalf("change %+v after %d, up to %d; want %+v", c, last, after, found[c.Head.Key])
			}
			last = c.Head.Sequence
			seen++
		}
		next = after
	}
	if seen != len(found) {
		t.Fatalf("%d changes of %d records", seen, len(found))
	}
}
