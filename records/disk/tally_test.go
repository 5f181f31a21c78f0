package disk

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// history is all that was ever stored of one record since it was last removed.
type history []Rank

// asOf returns the newest version that is not later than t.
func (h history) asOf(t uint64) (newest Rank, ok bool) {
	for _, r := range h {
		if r.Time() <= t && (!ok || r.Compare(newest) > 0) {
			newest, ok = r, true
		}
	}
	return newest, ok
}

func digestModel(records map[Hash]history, s Shard, asOf uint64) (d ShardDigest) {
	for hash, h := range records {
		if newest, ok := h.asOf(asOf); ok && ShardOf(hash) == s {
			sum := digestOf(&hash, &newest)
			d.Sum.xor(&sum)
			d.Records++
		}
	}
	return d
}

// TestDigestAsOf compares digests of the past with those of a model that forgets nothing: versions come late, early and ahead of the clock, replace one another, and are
// removed.
func TestDigestAsOf(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	const horizon = uint64(asOfHorizon / time.Millisecond)
	known, asked := 0, 0
	for range 20 {
		var tal tally
		records := map[Hash]history{}
		now := uint64(10 * horizon)
		hashes := make([]Hash, 12)
		for i := range hashes {
			hashes[i] = Hash{0, byte(rng.IntN(3)) << 4, byte(i)} // three shards
		}
		for range 300 {
			now += rng.Uint64N(horizon / 20)
			hash := hashes[rng.IntN(len(hashes))]
			change(&tal, records, hash, now, rng)
			shard, asOf := ShardOf(hashes[rng.IntN(len(hashes))]), (now-rng.Uint64N(horizon*3/2)+rng.Uint64N(60_000))<<counterBits
			got, ok := tal.digest(shard, asOf)
			asked++
			if ok {
				known++
			}
			if want := digestModel(records, shard, asOf); ok && got != want {
				t.Fatalf("digest of shard %d as of %d at %d = %+v, want %+v", shard, asOf>>counterBits, now, got, want)
			}
			if recent := (now - horizon/2) << counterBits; !ok && asOf >= recent {
				t.Fatalf("digest as of %d is not known at %d", asOf>>counterBits, now)
			}
		}
	}
	if known < asked/2 || known == asked {
		t.Errorf("%d of %d digests were known", known, asked)
	}
}

// change stores a version from up to a minute ago to half a minute ahead, or removes the record.
func change(tal *tally, records map[Hash]history, hash Hash, now uint64, rng *rand.Rand) {
	h := records[hash]
	newest, had := h.asOf(^uint64(0))
	if had && rng.IntN(8) == 0 {
		tal.apply([]delta{{hash: hash, old: newest, had: true}}, now)
		delete(records, hash)
		return
	}
	version := rank((now - rng.Uint64N(60_000) + rng.Uint64N(90_000)) << counterBits)
	version[8] = byte(rng.IntN(4))
	if had && newest.Compare(version) >= 0 {
		return // an older one does not get to the digests
	}
	tal.apply([]delta{{hash: hash, old: newest, new: version, had: had, has: true}}, now)
	records[hash] = append(h, version)
}

func TestDigestLogIsBounded(t *testing.T) {
	var tal tally
	hash, other := Hash{}, Hash{0xff}
	tal.apply([]delta{{hash: other, new: rank(1), has: true}}, 1)
	for i := range uint64(maxLogged + 10) {
		tal.apply([]delta{{hash: hash, old: rank(i), new: rank(i + 1), had: i > 0, has: true}}, 1)
	}
	if len(tal.log) > maxLogged || len(tal.peek(0).steps) > maxLogged {
		t.Errorf("%d changes are kept", len(tal.log))
	}
	if _, known := tal.digest(0, 9); known {
		t.Error("a digest is known that needs what was forgotten")
	}
	if d, known := tal.digest(0, 12); !known || d.Records != 1 {
		t.Errorf("digest = %+v, %v", d, known)
	}
	if _, known := tal.digest(ShardOf(other), 0); known {
		t.Error("the oldest change was not forgotten")
	}
	tal.apply(nil, uint64(2*asOfHorizon.Milliseconds()))
	if len(tal.log) != 0 {
		t.Errorf("%d changes are kept after the horizon", len(tal.log))
	}
	if tal.peek(5) == nil || tal.peek(tallyChunk) != nil {
		t.Error("figures of shards without records take memory")
	}
}

// TestDigestAfterReopening: of what was written before, only digests since the newest version are known.
func TestDigestAfterReopening(t *testing.T) {
	fs := vfs.NewMem()
	d := mustOpen(t, Config{FS: fs})
	mustPut(t, d, "key", 100)
	mustPut(t, d, "key", 200)
	hash, _, _ := record("key", 1)
	s := ShardOf(hash)
	now, known := d.Digest(s, 200)
	before, knownBefore := d.Digest(s, 199)
	if !known || !knownBefore || now == before || before.Records != 1 {
		t.Errorf("digests %+v, %v and %+v, %v", now, known, before, knownBefore)
	}
	closeDisk(t, d)
	d = mustOpen(t, Config{FS: fs})
	defer closeDisk(t, d)
	if got, known := d.Digest(s, 200); got != now || !known {
		t.Errorf("digest = %+v, %v; want %+v", got, known, now)
	}
	if _, known := d.Digest(s, 199); known {
		t.Error("the digest of the time before the newest version is known")
	}
	if got, known := d.Digest((s+1)%Shards, 0); got != (ShardDigest{}) || !known {
		t.Errorf("digest of an empty shard = %+v, %v", got, known)
	}
}

func TestShardBounds(t *testing.T) {
	for s := range Shard(Shards) {
		start, end := s.bounds(spaceHead)
		first := s.First()
		last := first
		last[1] |= 0x0f
		copy(last[2:], bytes.Repeat([]byte{0xff}, len(last)))
		if ShardOf(first) != s || ShardOf(last) != s || !bytes.Equal(start, headKey(first)) ||
			bytes.Compare(headKey(last), end) >= 0 || s > 0 && binary.BigEndian.Uint16(start[1:]) != uint16(s)<<4 {
			t.Fatalf("shard %d: %x to %x", s, start, end)
		}
		if s < Shards-1 {
			if next, _ := (s + 1).bounds(spaceHead); !bytes.Equal(next, end) {
				t.Fatalf("shard %d ends at %x, the next starts at %x", s, end, next)
			}
		}
	}
}
