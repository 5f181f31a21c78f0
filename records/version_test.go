package records

import (
	"cmp"
	"math/rand/v2"
	"testing"
	"time"
)

func randomVersion(rng *rand.Rand) (v Version) {
	v.Time = Timestamp(rng.Uint64N(4)) // few values: ties are common
	if rng.IntN(2) == 0 {
		v.Time = Timestamp(rng.Uint64())
	}
	v.Hash[0], v.Hash[15] = byte(rng.IntN(3)), byte(rng.IntN(3))
	return v
}

func TestVersionsAreOrderedTheSameEverywhere(t *testing.T) {
	rng := newRNG(t)
	for range 10_000 {
		a, b := randomVersion(rng), randomVersion(rng)
		want := a.Compare(b)
		if b.Compare(a) != -want || (want == 0) != (a == b) {
			t.Fatalf("%s and %s: %d and %d", a, b, want, b.Compare(a))
		}
		if got := a.rank().Compare(b.rank()); got != want { // on the disk
			t.Fatalf("%s and %s: %d, as ranks %d", a, b, want, got)
		}
		if got := cmp.Compare(a.String(), b.String()); got != want { // as texts
			t.Fatalf("%s and %s: %d, as texts %d", a, b, want, got)
		}
		if versionOf(a.rank()) != a {
			t.Fatalf("%s became %s", a, versionOf(a.rank()))
		}
		if got, err := ParseVersion(a.String()); got != a || err != nil {
			t.Fatalf("%s was read as %s, %v", a, got, err)
		}
	}
}

func TestParseVersionRefuses(t *testing.T) {
	fine := Version{Time: 1}.String()
	for _, s := range []string{"", "-", fine[:len(fine)-1], fine + "0", "0" + fine, "G" + fine[1:], "A" + fine[1:], fine[:8] + "-" + fine[8:16] + fine[17:]} {
		if v, err := ParseVersion(s); err == nil {
			t.Errorf("%q was read as %s", s, v)
		}
	}
}

func TestTimestamp(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	if got := timestampOf(at); !got.Time().Equal(at) || uint64(got)&(1<<counterBits-1) != 0 {
		t.Errorf("%s became %d, %s", at, got, got.Time())
	}
	if got := timestampOf(time.Unix(-5, 0)); got != 0 {
		t.Errorf("a time before 1970 became %d", got)
	}
}
