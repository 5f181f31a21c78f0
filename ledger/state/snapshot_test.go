package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

func snapshot(t *testing.T, s *state.Store) (chunks [][]byte, tip state.Tip) {
	t.Helper()
	v := s.View()
	defer v.Close()
	for chunk, err := range v.Snapshot() {
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk) > state.MaxChunk {
			t.Fatalf("a chunk of %d bytes", len(chunk))
		}
		chunks = append(chunks, bytes.Clone(chunk))
	}
	return chunks, v.Tip
}

// restore makes a store of a snapshot. Where that fails, the store goes on empty and is closed.
func restore(fs vfs.FS, tip state.Tip, chunks [][]byte) (*state.Store, error) {
	s, err := state.Open(state.Config{Dir: "state", FS: fs, Network: network})
	if err != nil {
		return nil, err
	}
	r, err := s.Restore(tip)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for _, c := range chunks {
		if err = r.Apply(c); err != nil {
			break
		}
	}
	if err == nil {
		err = r.Finish()
	}
	if err != nil {
		return nil, errors.Join(err, r.Abandon(), s.Close())
	}
	return s, nil
}

func TestSnapshots(t *testing.T) {
	rng := newRand(t)
	c := found(t, rng, vfs.NewMem(), 200)
	defer c.store.Close()
	old := c.transfer()
	c.block(old)
	c.blocks(20, 40)
	chunks, tip := snapshot(t, c.store)

	fs := vfs.NewMem()
	s, err := restore(fs, tip, chunks)
	if err != nil {
		t.Fatal(err)
	}
	if n := whole(t, s); n != whole(t, c.store) {
		t.Errorf("%d entries", n)
	}
	again, _ := snapshot(t, s)
	if !slices.EqualFunc(again, chunks, bytes.Equal) {
		t.Error("what was made of a snapshot makes another")
	}
	// It knows what was in the blocks that it does not have, and goes on like the other.
	v := s.View()
	if seen, err := v.Seen(old.ID(network), old.ValidFrom()); !seen || err != nil {
		t.Errorf("a transaction from before the snapshot: %v, %v", seen, err)
	}
	if first, err := v.First(); first != tip.Height+1 || err != nil {
		t.Errorf("the first block is %d, %v", first, err)
	}
	v.Close()
	next := c.make(c.transfer(), c.transfer())
	for _, one := range []*state.Store{c.store, s} {
		p, err := one.Prepare(next)
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Commit(p); err != nil {
			t.Fatal(err)
		}
	}
	if s.Tip() != c.store.Tip() {
		t.Errorf("it goes on to %v, the other to %v", s.Tip(), c.store.Tip())
	}
	if err := s.Prune(tip.Height + 1); err != nil {
		t.Fatal(err)
	}
	v = s.View()
	if _, ok, err := v.Find(old.ID(network)); ok || err != nil {
		t.Errorf("what the snapshot told is still there: %v", err)
	}
	v.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, fs)
	if s.Tip() != c.store.Tip() {
		t.Errorf("opened again it is at %v", s.Tip())
	}
	s.Close()
}

// TestForgedSnapshots: whatever is changed, left out or added is found out at the end at the latest, and the folder can be restored again.
func TestForgedSnapshots(t *testing.T) {
	rng := newRand(t)
	c := found(t, rng, vfs.NewMem(), 30)
	defer c.store.Close()
	c.blocks(6, 10)
	chunks, tip := snapshot(t, c.store)
	all := bytes.Join(chunks, nil)
	fs := vfs.NewMem()
	forged := map[string][]byte{
		"nothing":           nil,
		"something missing": all[:len(all)-1],
		"twice":             append(slices.Clone(all), all...),
		"more":              append(slices.Clone(all), 1, 'z', 0, 1, 'x'),
		"results of a block that there is not": append(append(append(slices.Clone(all), 9), ledger.RecentKey(1<<40)...),
			append([]byte{0, 0, 0, 0, 0, 1}, make([]byte, 35)...)...),
	}
	// Another list of results for a block, ahead of the right one: its ids must not stay.
	v := c.store.View()
	defer v.Close()
	var recent []byte
	if err := v.Ascend(ledger.RecentBlocks(), func(key, _ []byte) bool { recent = bytes.Clone(key); return false }); err != nil || recent == nil {
		t.Fatalf("no recent block: %v", err)
	}
	at := bytes.LastIndex(all, append([]byte{9}, recent...))
	other := append(append(append([]byte{9}, recent...), 0, 0, 0, 0, 0, 1), make([]byte, 35)...)
	forged["results twice"] = slices.Concat(all[:at], other, all[at:])
	forged["an entry behind results"] = append(slices.Clone(all), 1, 'a', 0, 1, 'x')
	forged["results under another key"] = slices.Concat(all[:at+1], []byte{'R'}, all[at+2:])
	for range 100 {
		flipped := slices.Clone(all)
		flipped[rng.IntN(len(flipped))] ^= 1 << rng.IntN(8)
		forged[fmt.Sprint("a bit flipped ", len(forged))] = flipped
	}
	for what, data := range forged {
		s, err := restore(fs, tip, [][]byte{data})
		if fault.KindOf(err) != fault.Invalid {
			t.Fatalf("%s: %v", what, err)
		}
		if s != nil {
			t.Fatalf("%s: a store came of it", what)
		}
		empty := openStore(t, fs)
		if n := empty.Tip(); n != (state.Tip{}) {
			t.Errorf("%s: something is left of it: %v", what, n)
		}
		empty.Close()
	}
	elsewhere := tip
	elsewhere.Root[0] ^= 1
	if _, err := restore(fs, elsewhere, chunks); fault.KindOf(err) != fault.Invalid {
		t.Errorf("of another state: %v", err)
	}
	if _, err := restore(fs, tip, [][]byte{make([]byte, state.MaxChunk+1)}); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
	s, err := restore(fs, tip, chunks)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, s)
	s.Close()
	if _, err := restore(fs, tip, chunks); fault.KindOf(err) != fault.Conflict {
		t.Errorf("over a ledger that is there: %v", err)
	}
}

func FuzzChunk(f *testing.F) {
	f.Add([]byte{1, 'u', 0, 1, 'x'}, []byte{2, 'v', 1, 0, 1, 'y'})
	f.Add(append(append([]byte{9}, ledger.RecentKey(5)...), append([]byte{0, 0, 0, 0, 0, 1}, make([]byte, 35)...)...), []byte{})
	f.Fuzz(func(t *testing.T, one, two []byte) {
		s, err := restore(vfs.NewMem(), state.Tip{Height: 1}, [][]byte{one, two})
		if err == nil {
			if len(one)+len(two) > 0 {
				t.Errorf("%x and %x were taken for the empty state", one, two)
			}
			s.Close()
		} else if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
			t.Errorf("%v is of kind %v", err, k)
		}
	})
}
