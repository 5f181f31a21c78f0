package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
)

// TestRandomOperations runs random writes, removals, sweeps, restarts and crashes against a model; everything that the store tells of its records must agree.
func TestRandomOperations(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewCrashableMem()
	d := mustOpen(t, Config{FS: fs})
	defer func() { closeDisk(t, d) }()
	model := map[string]Head{}
	last, epoch := uint64(0), d.Epoch()
	for range 250 {
		switch rng.IntN(20) {
		case 0:
			removeSome(t, d, model, rng)
		case 1:
			sweepSome(t, d, model, uint64(rng.IntN(600)))
		case 2:
			clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
			closeDisk(t, d)
			fs = clone
			d = mustOpen(t, Config{FS: fs})
		case 3:
			checkModel(t, d, model)
		default:
			putSome(t, d, model, rng)
		}
		if d.LastSequence() < last || d.Epoch() != epoch {
			t.Fatalf("sequence %d after %d, epoch %x after %x", d.LastSequence(), last, d.Epoch(), epoch)
		}
		last = d.LastSequence()
	}
	checkModel(t, d, model)
}

func checkModel(t *testing.T, d *Disk, model map[string]Head) {
	t.Helper()
	found := checkConsistent(t, d)
	if len(found) != len(model) {
		t.Fatalf("%d records, want %d", len(found), len(model))
	}
	for key, head := range model {
		if found[key] != head {
			t.Fatalf("%+v, want %+v", found[key], head)
		}
	}
}

func putSome(t *testing.T, d *Disk, model map[string]Head, rng *rand.Rand) {
	t.Helper()
	var updates []Update
	for range 1 + rng.IntN(10) {
		hash, head, envelope := record(fmt.Sprint("key", rng.IntN(200)), uint64(1+rng.IntN(1000))<<counterBits)
		head.Deleted = rng.IntN(4) == 0
		if !head.Deleted && rng.IntN(2) == 0 {
			head.Expires = uint64(rng.IntN(1000))
		}
		updates = append(updates, Update{hash, head, envelope})
	}
	before := d.LastSequence()
	winners, err := d.PutMany(t.Context(), updates)
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range updates {
		old, had := model[u.Head.Key]
		if had && old.Rank.Compare(u.Head.Rank) >= 0 {
			if winners[i] != old {
				t.Fatalf("winner %+v, want %+v", winners[i], old)
			}
			continue
		}
		w := winners[i]
		if w.Sequence <= before || w.Stored < old.Stored || w.Rank != u.Head.Rank {
			t.Fatalf("winner %+v after %+v, sequence %d", w, old, before)
		}
		before = w.Sequence
		model[w.Key] = w
	}
}

func removeSome(t *testing.T, d *Disk, model map[string]Head, rng *rand.Rand) {
	t.Helper()
	var items []Item
	want := 0
	for key, head := range model {
		hash, _, _ := record(key, 0)
		if rng.IntN(2) == 0 {
			head.Rank[0]++ // not what is there
		} else {
			delete(model, key)
			want++
		}
		items = append(items, Item{hash, head})
		if len(items) == removeChunk+20 {
			break
		}
	}
	if removed, err := d.Remove(t.Context(), items); removed != want || err != nil {
		t.Fatalf("removed %d, %v; want %d", removed, err, want)
	}
}

func sweepSome(t *testing.T, d *Disk, model map[string]Head, before uint64) {
	t.Helper()
	confirmed := func(s Shard) uint64 { return uint64(s%3) * 200 << counterBits }
	want := 0
	for key, h := range model {
		hash, _, _ := record(key, 0)
		due := h.Expires != 0 && h.Expires < before
		if h.Deleted {
			due = h.Rank.Time() < before<<counterBits && h.Rank.Time() < confirmed(ShardOf(hash))
		}
		if due {
			delete(model, key)
			want++
		}
	}
	if removed, err := d.Sweep(t.Context(), before, 0, confirmed); removed != want || err != nil {
		t.Fatalf("swept %d, %v; want %d", removed, err, want)
	}
}

func TestHeadsInPages(t *testing.T) {
	d := mustOpen(t, Config{FS: vfs.NewMem()})
	defer closeDisk(t, d)
	hash, _, _ := record("key", 1)
	s := ShardOf(hash)
	want := 0
	for i := range 5 * Shards {
		if h, _, _ := record(fmt.Sprint(i), 1); ShardOf(h) == s {
			mustPut(t, d, fmt.Sprint(i), 1)
			want++
		}
	}
	got := 0
	var after Hash
	for more := true; more; {
		var items []Item
		var err error
		if items, more, err = d.Heads(s, after, 2); err != nil || len(items) > 2 || more && len(items) != 2 {
			t.Fatalf("%d items, %v, %v", len(items), more, err)
		}
		for _, i := range items {
			if bytes.Compare(i.Hash[:], after[:]) <= 0 {
				t.Fatalf("%x after %x", i.Hash, after)
			}
			after = i.Hash
			got++
		}
	}
	if got != want || want == 0 {
		t.Errorf("%d heads, want %d", got, want)
	}
}

func TestChangesMatchAndResume(t *testing.T) {
	d := mustOpen(t, Config{FS: vfs.NewMem(), NoSync: true})
	defer closeDisk(t, d)
	var updates []Update
	for i := range maxChangesScanned + 10 {
		hash, head, envelope := record(fmt.Sprintf("%c/%d", 'a'+rune(i%2), i), 1)
		updates = append(updates, Update{hash, head, envelope})
	}
	if _, err := d.PutMany(t.Context(), updates); err != nil {
		t.Fatal(err)
	}
	none := func(*Head) bool { return false }
	changes, next, err := d.Changes(0, 10, none)
	if len(changes) != 0 || next != maxChangesScanned || err != nil {
		t.Errorf("%d changes up to %d, %v: one call looks at a bounded number", len(changes), next, err)
	}
	if changes, next, err = d.Changes(next, 10, none); len(changes) != 0 || next != d.LastSequence() || err != nil {
		t.Errorf("%d changes up to %d, %v", len(changes), next, err)
	}
	onlyB := func(h *Head) bool { return strings.HasPrefix(h.Key, "b/") }
	if changes, next, err = d.Changes(0, 3, onlyB); len(changes) != 3 || changes[0].Head.Key != "b/1" || next != changes[2].Head.Sequence || err != nil {
		t.Errorf("changes %+v up to %d, %v", changes, next, err)
	}
	mustPut(t, d, "b/1", 2) // moves to the end
	if changes, _, err = d.Changes(d.LastSequence()-1, 10, onlyB); len(changes) != 1 || changes[0].Head.Key != "b/1" || err != nil {
		t.Errorf("%d changes, %v", len(changes), err)
	}
	if changes, _, err = d.Changes(0, 1, onlyB); len(changes) != 1 || changes[0].Head.Key != "b/3" || err != nil {
		t.Errorf("first change is %+v, %v", changes, err)
	}
}

func TestChangedIsClosedByTheNextChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := mustOpen(t, Config{FS: vfs.NewMem()})
		defer closeDisk(t, d)
		mustPut(t, d, "before", 1)
		changed := d.Changed()
		if err := d.SetClock(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		mustPut(t, d, "before", 1) // is there already
		select {
		case <-changed:
			t.Error("closed though no record has changed")
		default:
		}
		go func() {
			hash, head, envelope := record("after", 1)
			if _, err := d.Put(t.Context(), hash, head, envelope); err != nil {
				t.Error(err)
			}
		}()
		<-changed
		if d.LastSequence() != 2 {
			t.Errorf("sequence %d when the change is announced", d.LastSequence())
		}
		synctest.Wait()
	})
}

func TestStoredNeverGoesBack(t *testing.T) {
	fs := vfs.NewMem()
	now := time.UnixMilli(5000)
	cfg := Config{FS: fs, Now: func() time.Time { return now }}
	d := mustOpen(t, cfg)
	if h := mustPut(t, d, "a", 1); h.Stored != 5000 || h.Sequence != 1 {
		t.Errorf("stored at %d as %d", h.Stored, h.Sequence)
	}
	now = time.UnixMilli(3000)
	if h := mustPut(t, d, "b", 1); h.Stored != 5000 {
		t.Errorf("stored at %d though the clock went back", h.Stored)
	}
	closeDisk(t, d)
	d = mustOpen(t, cfg)
	defer closeDisk(t, d)
	if h := mustPut(t, d, "c", 1); h.Stored != 5000 || h.Sequence != 3 {
		t.Errorf("after reopening stored at %d as %d", h.Stored, h.Sequence)
	}
}

func TestSequenceSurvivesRemoval(t *testing.T) {
	fs := vfs.NewMem()
	d := mustOpen(t, Config{FS: fs})
	mustPut(t, d, "a", 1)
	head := mustPut(t, d, "b", 1)
	hash, _, _ := record("b", 1)
	if n, err := d.Remove(t.Context(), []Item{{hash, head}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	closeDisk(t, d)
	d = mustOpen(t, Config{FS: fs})
	defer closeDisk(t, d)
	if h := mustPut(t, d, "c", 1); h.Sequence != 3 {
		t.Errorf("sequence %d was given out again", h.Sequence)
	}
}

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := mustOpen(t, Config{FS: vfs.NewMem(), Quota: 10 << 20})
		defer closeDisk(t, d)
		hash, head, _ := record("key", 1)
		tombstone := head
		tombstone.Deleted, tombstone.Rank = true, rank(1<<40)
		var err error
		for i := range uint64(100) {
			time.Sleep(roomCheckEvery) // virtual time
			h, head, _ := record(fmt.Sprint("key", i), 1)
			if _, err = d.Put(t.Context(), h, head, make([]byte, 1<<20)); err != nil {
				break
			}
		}
		if fault.KindOf(err) != fault.Full || !strings.Contains(err.Error(), "--quota") || d.Bytes() > 20<<20 {
			t.Fatalf("%v at %d bytes", err, d.Bytes())
		}
		if winners, err := d.PutMany(t.Context(), []Update{{hash, head, []byte("e")}, {hash, tombstone, []byte("t")}}); fault.KindOf(err) != fault.Full ||
			len(winners) != 2 || winners[0].Key != "" || winners[1].Rank != tombstone.Rank {
			t.Errorf("over the quota: %+v, %v", winners, err)
		}
		if got, found, err := d.Head(hash); !found || !got.Deleted || err != nil {
			t.Errorf("the deletion was not taken: %+v, %v", got, err)
		}
	})
}

func TestNotes(t *testing.T) {
	fs := vfs.NewMem()
	d := mustOpen(t, Config{FS: fs})
	if err := d.SetNote(t.Context(), "levels", []byte("at rest")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.SetNote(t.Context(), "gone", []byte{1}), d.SetNote(t.Context(), "gone", nil)); err != nil {
		t.Fatal(err)
	}
	if err := d.SetNote(t.Context(), "large", make([]byte, maxNote+1)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("large note: %v", err)
	}
	closeDisk(t, d)
	d = mustOpen(t, Config{FS: fs})
	defer closeDisk(t, d)
	for name, want := range map[string]string{"levels": "at rest", "gone": "", "large": ""} {
		if got, err := d.Note(name); string(got) != want || err != nil {
			t.Errorf("note %q = %q, %v", name, got, err)
		}
	}
}

func TestExport(t *testing.T) {
	d := mustOpen(t, Config{FS: vfs.NewMem()})
	defer closeDisk(t, d)
	want := map[string]bool{}
	for i := range 20 {
		key := fmt.Sprint("key", i)
		mustPut(t, d, key, 1)
		want[key+" at 1"] = true
	}
	first := true
	err := d.Export(t.Context(), func(envelope []byte) error {
		if first { // it is as of one moment
			mustPut(t, d, "later", 1)
			first = false
		}
		if !want[string(envelope)] {
			t.Errorf("exported %q", envelope)
		}
		delete(want, string(envelope))
		return nil
	})
	if err != nil || len(want) != 0 {
		t.Errorf("%v, left out %v", err, want)
	}
	stop := errors.New("stop")
	if err := d.Export(t.Context(), func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("export that is stopped: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Export(ctx, func([]byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("export that is cancelled: %v", err)
	}
}
