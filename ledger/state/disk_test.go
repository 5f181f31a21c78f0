package state_test

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs/guardfstest"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// TestFullDisk: what is committed without room waits for it, can be read meanwhile, and is whole after a crash before and after there is room.
func TestFullDisk(t *testing.T) {
	var cause atomic.Pointer[error]
	mem := vfs.NewCrashableMem()
	c := found(t, newRand(t), guardfstest.Failing(mem, &cause), 20)
	if err := c.store.Sync(); err != nil {
		t.Fatal(err)
	}
	before := c.store.Tip()
	full := error(syscall.ENOSPC)
	cause.Store(&full)
	c.block(c.transfer(), c.transfer())
	synced := make(chan error, 1)
	go func() { synced <- c.store.Sync() }()
	if after := c.store.Tip(); after.Height != before.Height+1 {
		t.Errorf("the tip is %d, was %d", after.Height, before.Height)
	}
	whole(t, c.store)
	crashed := openStore(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	if crashed.Tip() != before {
		t.Errorf("after a crash without room the tip is %v, want %v", crashed.Tip(), before)
	}
	whole(t, crashed)
	if err := crashed.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-synced:
		t.Errorf("synced without room: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	cause.Store(nil)
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	last := c.store.Tip()
	crashed = openStore(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	if crashed.Tip() != last {
		t.Errorf("after a crash with room again the tip is %v, want %v", crashed.Tip(), last)
	}
	whole(t, crashed)
	c.block(c.transfer())
	for _, s := range []*state.Store{crashed, c.store} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFailedDisk: a disk that fails ends commits with an error, and not the process; reads go on, and a crash finds a block that was committed.
func TestFailedDisk(t *testing.T) {
	var cause atomic.Pointer[error]
	mem := vfs.NewCrashableMem()
	c := found(t, newRand(t), guardfstest.Failing(mem, &cause), 20)
	if err := c.store.Sync(); err != nil {
		t.Fatal(err)
	}
	before := c.store.Tip()
	broken := error(syscall.EIO)
	cause.Store(&broken)
	block := c.make(c.transfer())
	_ = c.commit(block) // may be in memory only
	if err := c.store.Sync(); err == nil {
		t.Fatal("a broken disk was synced")
	}
	tip := c.store.Tip()
	if err := c.commit(c.make(c.transfer())); err == nil || c.store.Err() == nil || c.store.Tip() != tip {
		t.Errorf("a commit on a broken disk: %v, tip %d", err, c.store.Tip().Height)
	}
	whole(t, c.store)
	cause.Store(nil)
	if err := c.store.Close(); err == nil {
		t.Error("closed as if all were written")
	}
	crashed := openStore(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	if crashed.Tip() != before {
		t.Errorf("after a crash the tip is %v, want %v", crashed.Tip(), before)
	}
	whole(t, crashed)
	if err := crashed.Close(); err != nil {
		t.Error(err)
	}
}

// TestCheckpointWithoutRoom: a copy that has no room says so at once, and one that is broken off by a failure ends; nothing waits for them.
func TestCheckpointWithoutRoom(t *testing.T) {
	var cause atomic.Pointer[error]
	c := found(t, newRand(t), guardfstest.Failing(vfs.NewMem(), &cause), 20)
	copied := func() error {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- c.store.Checkpoint("copy") }()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			t.Fatal("it waits for the disk")
			return nil
		}
	}
	full, broken := error(syscall.ENOSPC), error(syscall.EIO)
	cause.Store(&full)
	if err := copied(); fault.KindOf(err) != fault.Full {
		t.Errorf("without room: %v", err)
	}
	whole(t, c.store)
	cause.Store(&broken) // for what was begun, too
	for end := time.Now().Add(20 * time.Second); c.store.Err() == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if err := copied(); !errors.Is(err, syscall.EIO) {
		t.Errorf("on a broken disk: %v", err)
	}
}

// TestRestoreWithoutRoom: a restore that waits for room for the copy of the first state ends with the program.
func TestRestoreWithoutRoom(t *testing.T) {
	var cause atomic.Pointer[error]
	s := openStore(t, guardfstest.Failing(vfs.NewMem(), &cause))
	p, err := s.Prepare(&state.Block{Time: 1_800_000_000_000, Changes: []ledger.Change{{Key: []byte("key"), Value: []byte("value")}}})
	if err == nil {
		err = s.Commit(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	full := error(syscall.ENOSPC)
	cause.Store(&full)
	done := make(chan error, 1)
	go func() {
		_, err := s.Restore(state.Tip{Height: 5})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("restored without room: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	s.NoWait()
	select {
	case err := <-done:
		if fault.KindOf(err) != fault.Full {
			t.Errorf("when it is to end: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for the disk")
	}
}
