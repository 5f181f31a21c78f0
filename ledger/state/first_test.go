package state_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// reopened is the store that a loss of power at this moment leaves, with a random part of what was not synced.
func reopened(t *testing.T, fs *vfs.MemFS) (*state.Store, *vfs.MemFS) {
	t.Helper()
	rng := newRand(t)
	after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	s, err := state.Open(state.Config{Dir: "state", FS: after, Network: network})
	if err != nil {
		t.Fatal(err)
	}
	return s, after
}

func wantFirst(t *testing.T, s *state.Store, first state.Tip, entries int, when string) {
	t.Helper()
	v := s.View()
	if n := count(t, v); n != entries || v.Tip != first {
		t.Errorf("%s: the tip is %v with %d entries, want %v with %d", when, v.Tip, n, first, entries)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if whole(t, s) != entries { // the tree is that of the entries
		t.Errorf("%s: the state is not whole", when)
	}
}

// TestFirstStateSurvives: the state before the first block, which nothing could make again, is there after a fetch that was broken off at any step, also by a loss of power, until a block follows what was fetched.
func TestFirstStateSurvives(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 20)
	defer c.store.Close()
	c.blocks(4, 5)
	chunks, tip := snapshot(t, c.store)

	fs := vfs.NewCrashableMem()
	s := openStore(t, fs)
	changes := c.genesis().Entries()
	p, err := s.Prepare(&state.Block{Time: 1, Changes: changes})
	if err == nil {
		err = s.Commit(p)
	}
	if err == nil {
		err = s.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
	first, entries := s.Tip(), len(changes)
	crash := func(when string) {
		t.Helper()
		again, _ := reopened(t, fs)
		defer again.Close()
		wantFirst(t, again, first, entries, when)
		if _, err := again.Restore(tip); err != nil { // and it may be tried again
			t.Errorf("%s: %v", when, err)
		}
	}

	r, err := s.Restore(tip)
	if err != nil {
		t.Fatal(err)
	}
	crash("before the first chunk")
	for _, chunk := range chunks {
		if err := r.Apply(chunk); err != nil {
			t.Fatal(err)
		}
		crash("after a chunk")
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}

	// What is whole is kept over a crash, and can be dropped all the same.
	again, clone := reopened(t, fs)
	if again.Tip() != tip {
		t.Errorf("after the fetch the tip is %v, want %v", again.Tip(), tip)
	}
	if err := again.Reset(); err != nil {
		t.Fatal(err)
	}
	wantFirst(t, again, first, entries, "after what was fetched was dropped")
	last, _ := reopened(t, clone)
	wantFirst(t, last, first, entries, "after that and a crash")
	if err := last.Close(); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}

	// A block follows: the copy goes.
	p, err = s.Prepare(&state.Block{Height: tip.Height + 1, Time: tip.Time + 1})
	if err == nil {
		err = s.Commit(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat("state-first"); err == nil {
		t.Error("the copy of the first state stays")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestHalfCopyOfTheFirstState: a copy that a crash left unfinished is not taken for one.
func TestHalfCopyOfTheFirstState(t *testing.T) {
	fs := vfs.NewMem()
	before := openStore(t, fs)
	changes := (&ledger.Genesis{Network: "test", Limits: ledger.DefaultLimits(), Validators: []ledger.GenesisValidator{{Power: 1}}}).Entries()
	p, err := before.Prepare(&state.Block{Time: 1, Changes: changes})
	if err == nil {
		err = before.Commit(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	first, entries := before.Tip(), len(changes)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fs.MkdirAll("state-first", 0o700); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, fs)
	defer s.Close()
	wantFirst(t, s, first, entries, "beside half a copy")
	if _, err := fs.Stat("state-first"); err == nil {
		t.Error("half a copy stays")
	}
}
