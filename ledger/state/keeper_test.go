package state_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/state"
)

func openKeeper(t *testing.T, fs vfs.FS) *state.Keeper {
	t.Helper()
	k, err := state.OpenKeeper(state.KeeperConfig{Dir: "snapshots", FS: fs, Every: 10, Kept: 2})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// take takes a snapshot of the present state and waits for it.
func take(t *testing.T, k *state.Keeper, s *state.Store) state.Snapshot {
	t.Helper()
	height := s.Tip().Height
	k.Take(s.View())
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if list := k.List(); len(list) > 0 && list[len(list)-1].Height == height {
			return list[len(list)-1]
		}
	}
	t.Fatalf("no snapshot of block %d", height)
	return state.Snapshot{}
}

func TestKeeper(t *testing.T) {
	fs := vfs.NewMem()
	c := found(t, newRand(t), fs, 50)
	defer c.store.Close()
	k := openKeeper(t, fs)
	if k.Due(0) || k.Due(9) || !k.Due(10) || !k.Due(20) {
		t.Error("snapshots are due at other blocks than every tenth")
	}
	var last state.Snapshot
	for range 3 {
		c.blocks(3, 10)
		last = take(t, k, c.store)
	}
	chunks, tip := snapshot(t, c.store)
	if len(k.List()) != 2 || last.Height != tip.Height || len(last.Chunks) != len(chunks) {
		t.Fatalf("%d snapshots are kept, the last of block %d with %d chunks", len(k.List()), last.Height, len(last.Chunks))
	}
	for i, chunk := range chunks {
		got, err := k.Chunk(last.Height, uint32(i))
		if err != nil || !bytes.Equal(got, chunk) || sha256.Sum256(got) != last.Chunks[i] {
			t.Errorf("chunk %d is another: %v", i, err)
		}
	}
	if _, err := k.Chunk(last.Height, uint32(len(chunks))); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a chunk too many: %v", err)
	}
	if _, err := k.Chunk(last.Height+1, 0); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a chunk of another block: %v", err)
	}
	k.Close()

	// What was left unfinished, and what is none, is gone; the rest is there again.
	for _, dir := range []string{"00000000000000000099.unfinished", "00000000000000000098"} {
		if err := fs.MkdirAll("snapshots/"+dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	k = openKeeper(t, fs)
	defer k.Close()
	if list := k.List(); len(list) != 2 || list[1].Hash() != last.Hash() {
		t.Errorf("opened again it has %d snapshots", len(list))
	}
	if names, err := fs.List("snapshots"); len(names) != 2 {
		t.Errorf("the folder has %q, %v", names, err)
	}
}

// TestKeeperOnABadDisk: what cannot be written is no snapshot, and leaves nothing behind; what cannot be read is not given out.
func TestKeeperOnABadDisk(t *testing.T) {
	mem := vfs.NewMem()
	c := found(t, newRand(t), vfs.NewMem(), 50)
	defer c.store.Close()
	full, hit := errors.New("the disk is full"), make(chan struct{}, 100)
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite {
			hit <- struct{}{}
			return full
		}
		return nil
	}))
	k := openKeeper(t, fs)
	k.Take(c.store.View())
	<-hit
	k.Close() // waits
	if names, err := mem.List("snapshots"); len(names) != 0 || len(k.List()) != 0 {
		t.Errorf("the folder has %q, %v", names, err)
	}
	k.Take(c.store.View()) // is closed, and must give the view back

	k = openKeeper(t, mem)
	defer k.Close()
	s := take(t, k, c.store)
	name := mem.PathJoin("snapshots", "00000000000000000002", "0")
	f, err := mem.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("something else")); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := k.Chunk(s.Height, 0); fault.KindOf(err) != fault.Internal {
		t.Errorf("a damaged chunk: %v", err)
	}
	if _, err := state.OpenKeeper(state.KeeperConfig{Dir: "x", FS: mem, Every: -1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a negative interval: %v", err)
	}
}

// TestViewsDuringRestore: until a restore is finished, and after it was abandoned, nobody sees anything of it.
func TestViewsDuringRestore(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 20)
	defer c.store.Close()
	c.blocks(4, 5)
	chunks, tip := snapshot(t, c.store)

	s := openStore(t, vfs.NewMem())
	defer s.Close()
	genesis := &state.Block{Time: 1, Changes: c.genesis().Entries()}
	p, err := s.Prepare(genesis)
	if err == nil {
		err = s.Commit(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := s.Tip()
	for _, finish := range []bool{false, true} {
		early := s.View()
		r, err := s.Restore(tip)
		if err != nil {
			t.Fatal(err)
		}
		for _, chunk := range chunks {
			if err := r.Apply(chunk); err != nil {
				t.Fatal(err)
			}
		}
		during := s.View()
		if during.Tip != before || s.Tip() != before {
			t.Errorf("during the restore the tip is %v", during.Tip)
		}
		if a, b := count(t, early), count(t, during); a != b || a != len(genesis.Changes) {
			t.Errorf("there were %d entries, and during the restore %d", a, b)
		}
		if _, err := s.Restore(tip); fault.KindOf(err) != fault.Conflict {
			t.Errorf("two restores at once: %v", err)
		}
		if err := s.Reset(); fault.KindOf(err) != fault.Conflict {
			t.Errorf("reset during a restore: %v", err)
		}
		p, err := s.Prepare(&state.Block{Height: 1, Time: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(p); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a block during a restore: %v", err)
		}
		want := before
		if finish {
			err, want = r.Finish(), tip
		} else {
			err = r.Abandon()
		}
		if err != nil || s.Tip() != want {
			t.Fatalf("the tip is %v, want %v: %v", s.Tip(), want, err)
		}
		if n := count(t, during); n != len(genesis.Changes) { // it is of the state that it was taken of
			t.Errorf("an old view has %d entries", n)
		}
		if err := errors.Join(during.Close(), early.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if whole(t, s) != whole(t, c.store) {
		t.Error("the state is another")
	}
	// No block has followed what was restored, and it may still be dropped.
	if err := s.Reset(); err != nil || s.Tip() != before {
		t.Errorf("after a reset: %v, %v", s.Tip(), err)
	}
	v := s.View()
	if n := count(t, v); n != len(genesis.Changes) {
		t.Errorf("after a reset there are %d entries", n)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

func count(t *testing.T, v *state.View) (n int) {
	t.Helper()
	if err := v.Ascend(nil, func(_, _ []byte) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	return n
}

func FuzzSnapshot(f *testing.F) {
	s := state.Snapshot{Height: 7, Chunks: [][sha256.Size]byte{{1}, {2}}}
	f.Add(s.Encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := state.ParseSnapshot(data)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%v is of kind %v", err, fault.KindOf(err))
			}
			return
		}
		if !bytes.Equal(s.Encode(), data) || len(s.Chunks) == 0 || len(s.Chunks) > state.MaxChunks {
			t.Errorf("%x was read as %d chunks of block %d", data, len(s.Chunks), s.Height)
		}
	})
}
