package guardfs_test

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/internal/guardfs"
	"github.com/folkmoot/folkmoot/internal/guardfs/guardfstest"
)

// disk is a guarded file on a file system that fails when a test wants it to.
type disk struct {
	fs    *guardfs.FS
	file  vfs.File
	cause atomic.Pointer[error]
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := new(disk)
	d.fs = guardfs.New(guardfstest.Failing(vfs.NewMem(), &d.cause), nil)
	var err error
	if d.file, err = d.fs.Create("log", vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	d.fs.Arm()
	return d
}

func (d *disk) fail(err error) { d.cause.Store(&err) }

func (d *disk) write() error {
	_, err := d.file.Write([]byte("x"))
	return err
}

// What waits for room goes on when there is some; Try does not wait, and what it began takes effect all the same.
func TestRoomComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		d.fail(syscall.EDQUOT)
		if err := d.fs.Try(d.write); !guardfs.IsFull(err) {
			t.Errorf("first write without room: %v", err)
		}
		if err := d.fs.Try(func() error { t.Error("begun on a full disk"); return nil }); !guardfs.IsFull(err) {
			t.Errorf("second write without room: %v", err)
		}
		waited := make(chan error, 1)
		go func() { waited <- d.fs.Await(d.write) }()
		time.Sleep(time.Hour) // virtual
		select {
		case err := <-waited:
			t.Errorf("a write without room ended: %v", err)
		default:
		}
		d.cause.Store(nil)
		if err := <-waited; err != nil {
			t.Errorf("with room again: %v", err)
		}
		d.fs.Wait()
		if info, err := d.file.Stat(); err != nil || info.Size() != 2 {
			t.Errorf("the file has %d bytes, want both: %v", info.Size(), err)
		}
		if err := d.fs.Try(d.write); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if abandoned, err := d.fs.Close(d.file.Close); abandoned || err != nil {
			t.Errorf("close: %t, %v", abandoned, err)
		}
	})
}

// Who wants to end does not wait for room. Not in a bubble: what is held back for ever stays.
func TestNoWait(t *testing.T) {
	d := newDisk(t)
	d.fail(syscall.ENOSPC)
	waited := make(chan error, 1)
	go func() { waited <- d.fs.Await(d.write) }()
	<-d.fs.Full()
	d.fs.NoWait()
	if err := <-waited; !guardfs.IsFull(err) {
		t.Errorf("the write that waited: %v", err)
	}
	if err := d.fs.Err(); !guardfs.IsFull(err) {
		t.Errorf("the disk's failure: %v", err)
	}
}

// After another failure nothing is written any more, not even when the disk works again.
func TestFailure(t *testing.T) {
	d := newDisk(t)
	d.fail(syscall.EIO)
	if err := d.fs.Await(d.write); !errors.Is(err, syscall.EIO) {
		t.Errorf("write on a broken disk: %v", err)
	}
	<-d.fs.Failed()
	abandoned, err := d.fs.Close(func() error { d.fs.Wait(); return nil })
	if !abandoned || !errors.Is(err, syscall.EIO) {
		t.Errorf("close on a broken disk: %t, %v", abandoned, err)
	}
	d.cause.Store(nil)
	if err := d.fs.Await(d.write); !errors.Is(err, syscall.EIO) && !errors.Is(err, guardfs.ErrEnded) {
		t.Errorf("write after a failure: %v", err)
	}
	if info, err := d.file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the file has %d bytes, want none: %v", info.Size(), err)
	}
}

// A full disk does not keep anybody from closing.
func TestCloseWithoutRoom(t *testing.T) {
	d := newDisk(t)
	d.fail(syscall.ENOSPC)
	abandoned, err := d.fs.Close(d.write)
	if !abandoned || !guardfs.IsFull(err) {
		t.Errorf("close on a full disk: %t, %v", abandoned, err)
	}
	if err := d.fs.Await(d.write); !errors.Is(err, guardfs.ErrEnded) {
		t.Errorf("write after that: %v", err)
	}
}
