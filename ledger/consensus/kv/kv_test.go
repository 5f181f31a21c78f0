package kv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	dbm "github.com/cometbft/cometbft-db"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs/guardfstest"
)

func open(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(Config{Dir: "/some/folder/chain", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// seed returns the seed of a test's random choices: a new one, or that of the environment.
func seed(t *testing.T) uint64 {
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("FOLKMOOT_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed: FOLKMOOT_SEED=%d", n)
	return n
}

// pair is a space and the reference that it must agree with.
type pair struct {
	t         *testing.T
	r         *rand.Rand
	got, want dbm.DB
}

func (p *pair) key() []byte {
	k := make([]byte, p.r.IntN(4)) // often empty, often one that is there
	for i := range k {
		k[i] = [...]byte{0, 1, 'a', 0xfe, 0xff}[p.r.IntN(5)]
	}
	return k
}

func (p *pair) value() []byte {
	switch p.r.IntN(10) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return fmt.Appendf(nil, "%d", p.r.IntN(1000))
}

// bound is a key or nil.
func (p *pair) bound() []byte {
	if p.r.IntN(3) == 0 {
		return nil
	}
	return p.key()
}

func (p *pair) same(what string, got, want error) bool {
	p.t.Helper()
	if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
		p.t.Fatalf("%s: error %v, want %v", what, got, want)
	}
	return got == nil
}

func (p *pair) read(k []byte) {
	got, err := p.got.Get(k)
	want, wantErr := p.want.Get(k)
	p.same("get", err, wantErr)
	if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
		p.t.Fatalf("get %x: %#v, want %#v", k, got, want)
	}
	has, err := p.got.Has(k)
	wantHas, wantErr := p.want.Has(k)
	p.same("has", err, wantErr)
	if has != wantHas {
		p.t.Fatalf("has %x: %v, want %v", k, has, wantHas)
	}
}

func (p *pair) iterate(start, end []byte, reverse bool) {
	make := func(db dbm.DB) (dbm.Iterator, error) {
		if reverse {
			return db.ReverseIterator(start, end)
		}
		return db.Iterator(start, end)
	}
	got, err := make(p.got)
	want, wantErr := make(p.want)
	if !p.same("iterator", err, wantErr) {
		return
	}
	defer want.Close()
	for ; want.Valid(); want.Next() {
		if !got.Valid() {
			p.t.Fatalf("%x to %x, reverse %v: ended before %x", start, end, reverse, want.Key())
		}
		if !bytes.Equal(got.Key(), want.Key()) || !bytes.Equal(got.Value(), want.Value()) || got.Value() == nil {
			p.t.Fatalf("%x to %x, reverse %v: %x=%x, want %x=%x", start, end, reverse, got.Key(), got.Value(), want.Key(), want.Value())
		}
		got.Next()
	}
	if got.Valid() {
		p.t.Fatalf("%x to %x, reverse %v: %x is too much", start, end, reverse, got.Key())
	}
	p.panics(got)
	s, e := got.Domain()
	ws, we := want.Domain()
	if !bytes.Equal(s, ws) || !bytes.Equal(e, we) || (s == nil) != (ws == nil) || (e == nil) != (we == nil) {
		p.t.Fatalf("domain %x to %x, want %x to %x", s, e, ws, we)
	}
	p.same("iterating", errors.Join(got.Error(), got.Close(), got.Close()), want.Error())
}

// panics checks that an invalid iterator says so.
func (p *pair) panics(it dbm.Iterator) {
	for name, f := range map[string]func(){"Key": func() { it.Key() }, "Value": func() { it.Value() }, "Next": it.Next} {
		func() {
			defer func() {
				if recover() == nil {
					p.t.Fatalf("%s of an invalid iterator did not panic", name)
				}
			}()
			f()
		}()
	}
}

func (p *pair) batch() {
	got, want := p.got.NewBatch(), p.want.NewBatch()
	for range p.r.IntN(6) {
		k, v := p.key(), p.value()
		if p.r.IntN(3) == 0 {
			p.same("batch delete", got.Delete(k), want.Delete(k))
		} else {
			p.same("batch set", got.Set(k, v), want.Set(k, v))
		}
	}
	switch p.r.IntN(4) {
	case 0: // given up
	case 1:
		p.same("batch write", got.WriteSync(), want.WriteSync())
	default:
		p.same("batch write", got.Write(), want.Write())
	}
	p.same("batch close", got.Close(), want.Close())
	p.same("batch close again", got.Close(), want.Close())
	p.same("set after close", got.Set([]byte("a"), []byte("b")), want.Set([]byte("a"), []byte("b")))
	p.same("delete after close", got.Delete([]byte("a")), want.Delete([]byte("a")))
	p.same("write after close", got.Write(), want.Write())
	p.same("sync after close", got.WriteSync(), want.WriteSync())
}

// Two spaces do the same as two of cometbft-db's own databases, whatever is asked of them.
func TestConformance(t *testing.T) {
	n := seed(t)
	fs := vfs.NewMem()
	s := open(t, fs)
	prefixes := [...]byte{0xfe, 0xff}
	want := [...]dbm.DB{dbm.NewMemDB(), dbm.NewMemDB()}
	r := rand.New(rand.NewPCG(n, 0))
	for i := range 6000 {
		space := r.IntN(2)
		p := &pair{t: t, r: r, got: s.Space(prefixes[space]), want: want[space]}
		k, v := p.key(), p.value()
		switch r.IntN(9) {
		case 0:
			p.same("set", p.got.Set(k, v), p.want.Set(k, v))
		case 1:
			p.same("set", p.got.SetSync(k, v), p.want.SetSync(k, v))
		case 2:
			p.same("delete", p.got.Delete(k), p.want.Delete(k))
		case 3:
			p.same("delete", p.got.DeleteSync(k), p.want.DeleteSync(k))
		case 4:
			p.batch()
		case 5, 6:
			p.iterate(p.bound(), p.bound(), r.IntN(2) == 0)
		default:
			p.read(k)
		}
		if i%1500 == 1499 { // what is read comes from the files again
			if err := p.got.Compact(nil, nil); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, fs)
		}
	}
}

// An iterator sees neither what is written nor what is deleted after it was made.
func TestIteratorIsASnapshot(t *testing.T) {
	db := open(t, vfs.NewMem()).Space('b')
	for _, k := range []string{"a", "b", "c"} {
		if err := db.Set([]byte(k), []byte(k)); err != nil {
			t.Fatal(err)
		}
	}
	it, err := db.Iterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if err := errors.Join(db.Delete([]byte("b")), db.Set([]byte("d"), []byte("d")), db.Set([]byte("c"), []byte("new"))); err != nil {
		t.Fatal(err)
	}
	var seen string
	for ; it.Valid(); it.Next() {
		seen += string(it.Key()) + string(it.Value())
	}
	if seen != "aabbcc" {
		t.Errorf("saw %q", seen)
	}
}

// What was synced, and all that was written before it, outlives a loss of power; what was written after it need not.
func TestPowerLoss(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs)
	a, b := s.Space('a'), s.Space('b')
	if err := errors.Join(a.Set([]byte("plain"), []byte("1")), b.SetSync([]byte("synced"), []byte("2")), a.Set([]byte("late"), []byte("3"))); err != nil {
		t.Fatal(err)
	}
	after := open(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	for _, c := range []struct {
		db   dbm.DB
		key  string
		want string
	}{{after.Space('a'), "plain", "1"}, {after.Space('b'), "synced", "2"}, {after.Space('a'), "late", ""}} {
		if v, err := c.db.Get([]byte(c.key)); err != nil || string(v) != c.want {
			t.Errorf("%s: %q, %v; want %q", c.key, v, err, c.want)
		}
	}
}

// A closed store answers with an error, iterators and batches that are still there included.
func TestClosed(t *testing.T) {
	s := open(t, vfs.NewMem())
	db := s.Space('b')
	if err := db.Set([]byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	it, err := db.Iterator(nil, nil)
	if err != nil || !it.Valid() {
		t.Fatal(err)
	}
	b := db.NewBatch()
	if err := b.Set([]byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, getErr := db.Get([]byte("k"))
	_, iterErr := db.Iterator(nil, nil)
	for name, err := range map[string]error{
		"get": getErr, "set": db.Set([]byte("k"), []byte("v")), "delete": db.DeleteSync([]byte("k")), "iterator": iterErr,
		"batch": b.Write(), "compact": db.Compact(nil, nil), "error of the iterator": it.Error(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if it.Valid() {
		t.Error("the iterator is still valid")
	}
	if err := errors.Join(it.Close(), b.Close()); err != nil {
		t.Error(err)
	}
}

// Two processes never share a store.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Open(Config{Dir: dir}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("opened twice: %v", err)
	}
}

// A disk that fails makes writes fail, not the process.
func TestFailedDisk(t *testing.T) {
	fs := &failingFS{FS: vfs.NewMem()}
	s := open(t, fs)
	db := s.Space('b')
	if err := db.SetSync([]byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	fs.failed.Store(true)
	if err := db.SetSync([]byte("k"), []byte("w")); err == nil {
		t.Error("a write to a failed disk was acknowledged")
	}
	if err := db.SetSync([]byte("k"), []byte("x")); err == nil || s.Err() == nil {
		t.Errorf("the store goes on: %v, %v", err, s.Err())
	}
}

// TestCheckpointWithoutRoom: a copy that has no room says so at once, and the store can be used and closed.
func TestCheckpointWithoutRoom(t *testing.T) {
	var cause atomic.Pointer[error]
	s := open(t, guardfstest.Failing(vfs.NewMem(), &cause))
	if err := s.Space('b').SetSync([]byte("before"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	full := error(syscall.ENOSPC)
	cause.Store(&full)
	copied := make(chan error, 1)
	go func() { copied <- s.Checkpoint("copy") }()
	select {
	case err := <-copied:
		if fault.KindOf(err) != fault.Full {
			t.Errorf("copied without room: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for the disk")
	}
	cause.Store(nil)
	for s.Waits() {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// On a full disk a write says so and reads go on; what was begun takes effect when there is room, and what was acknowledged is never gone.
func TestFullDisk(t *testing.T) {
	var cause atomic.Pointer[error]
	mem := vfs.NewCrashableMem()
	s := open(t, guardfstest.Failing(mem, &cause))
	db := s.Space('b')
	if err := db.SetSync([]byte("before"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	full := error(syscall.ENOSPC)
	cause.Store(&full)
	b := db.NewBatch()
	if err := b.Set([]byte("begun"), []byte("2")); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteSync(); fault.KindOf(err) != fault.Full {
		t.Errorf("write without room: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := db.SetSync([]byte("refused"), []byte("3")); fault.KindOf(err) != fault.Full {
		t.Errorf("second write without room: %v", err)
	}
	if v, err := db.Get([]byte("before")); err != nil || string(v) != "1" {
		t.Errorf("read without room: %q, %v", v, err)
	}
	cause.Store(nil)
	for s.Waits() {
		time.Sleep(time.Millisecond)
	}
	if err := db.SetSync([]byte("after"), []byte("4")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := open(t, mem.CrashClone(vfs.CrashCloneCfg{})).Space('b')
	for key, want := range map[string]string{"before": "1", "begun": "2", "refused": "", "after": "4"} {
		if v, err := after.Get([]byte(key)); err != nil || string(v) != want {
			t.Errorf("%s: %q, %v; want %q", key, v, err, want)
		}
	}
}

// A store is closed on a full disk too, as by a crash, and can be opened again in the same process.
func TestCloseOnAFullDisk(t *testing.T) {
	var cause atomic.Pointer[error]
	mem := vfs.NewMem()
	s := open(t, guardfstest.Failing(mem, &cause))
	if err := s.Space('b').SetSync([]byte("before"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	full := error(syscall.ENOSPC)
	cause.Store(&full)
	if err := s.Space('b').SetSync([]byte("begun"), []byte("2")); fault.KindOf(err) != fault.Full {
		t.Errorf("write without room: %v", err)
	}
	if err := s.Close(); err == nil {
		t.Error("the store closed as if all were written")
	}
	cause.Store(nil)
	after := open(t, mem).Space('b')
	if v, err := after.Get([]byte("before")); err != nil || string(v) != "1" {
		t.Errorf("%q, %v", v, err)
	}
	if err := after.SetSync([]byte("after"), []byte("3")); err != nil {
		t.Error(err)
	}
}
