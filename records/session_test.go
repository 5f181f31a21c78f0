package records

import (
	"testing"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

func TestSession(t *testing.T) {
	rng := newRNG(t)
	hashOf := func(i int) disk.Hash { return disk.Hash{byte(i), byte(i >> 8), 1} }
	rankOf := func(time int) disk.Rank { return Version{Time: Timestamp(time)}.rank() }
	var s Session
	if s.String() != "" || !s.allows(hashOf(1), rankOf(0)) {
		t.Error("a session that has seen nothing forbids something")
	}
	seen := map[int]int{}
	var order []int
	for range 2000 {
		key, time := rng.IntN(100), 1+rng.IntN(1000)
		s = s.with(hashOf(key), rankOf(time))
		seen[key] = max(seen[key], time)
		for i, k := range order {
			if k == key {
				order = append(order[:i], order[i+1:]...)
				break
			}
		}
		if order = append(order, key); len(order) > maxSession {
			delete(seen, order[0])
			order = order[1:]
		}
	}
	parsed, err := ParseSession(s.String())
	if err != nil || len(parsed.floors) != maxSession {
		t.Fatalf("parsed %d keys, %v", len(parsed.floors), err)
	}
	for key, time := range seen {
		if !parsed.allows(hashOf(key), rankOf(time)) || !parsed.allows(hashOf(key), rankOf(time+1)) || parsed.allows(hashOf(key), rankOf(time-1)) {
			t.Fatalf("key %d was seen at %d, and the session does not know", key, time)
		}
		if parsed.allows(hashOf(key), disk.Rank{}) || parsed.allowsNone(hashOf(key), Timestamp(time)) || !parsed.allowsNone(hashOf(key), Timestamp(time+1)) {
			t.Fatalf("key %d was seen at %d, and the session is told that there is none", key, time)
		}
	}
	if !parsed.allows(hashOf(200), disk.Rank{}) || !parsed.allowsNone(hashOf(200), 0) {
		t.Error("a key that was not seen is bound")
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add("")
	f.Add(Session{}.with(disk.Hash{1}, disk.Rank{2}).with(disk.Hash{3}, disk.Rank{4}).String())
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSession(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%v", err)
			}
			return
		}
		if s.String() != text || len(s.floors) > maxSession {
			t.Fatalf("%q became %q", text, s.String())
		}
	})
}
