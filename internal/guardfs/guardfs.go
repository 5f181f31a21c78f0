// Package guardfs keeps pebble from a disk that is full or has failed.
//
// To pebble a failed write of its log is the end of the process: at best it panics, at worst it unlocks what is not locked. So it never sees one:
//
//   - While the disk has no room, writes are held back and go on where they stopped once there is some.
//   - After any other failure to write or sync, what failed and all that comes later is held back for ever. A failed sync is never tried again: what it should have written may be gone, and a second
//     try would hide that.
//
// Who waits for pebble must therefore not wait for it alone: see Await, Try, Full and Failed. Reads go on.
package guardfs

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// RetryEvery is how long a write waits for room on a full disk before it is tried again.
const RetryEvery = 250 * time.Millisecond

// ErrEnded is what Await returns when it waited for what is held back for ever.
var ErrEnded = errors.New("the files are not written any more")

// IsFull reports whether an error says that a disk has no room, or that its user may not have more of it.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// FS is a guarded file system, for one database.
type FS struct {
	vfs.FS
	onFail func(error)
	noWait atomic.Bool
	armed  atomic.Bool // until then errors are passed on: a database that can't be opened should say so

	gate sync.RWMutex // held shared by each operation that changes files
	over bool         // guarded by gate

	mu      sync.Mutex
	waiting int           // guarded by mu; operations that wait for room
	signal  chan struct{} // guarded by mu; closed while waiting > 0
	failure error         // guarded by mu

	ops           sync.WaitGroup // of Await and Try
	failed, ended chan struct{}  // closed once failure is set, and once over is
}

// New guards a file system. onFail is called with each failure that waiting does not mend; it may be nil.
func New(fs vfs.FS, onFail func(error)) *FS {
	return &FS{FS: fs, onFail: onFail, signal: make(chan struct{}), failed: make(chan struct{}), ended: make(chan struct{})}
}

// Arm begins to hold back what fails. Before, errors are passed on.
func (fs *FS) Arm() { fs.armed.Store(true) }

// NoWait makes a full disk a failure like any other from now on, for what already waits, too: somebody waits for the program, or wants it to end.
func (fs *FS) NoWait() { fs.noWait.Store(true) }

// Full returns a channel that is closed as soon as, or because, the disk is full.
func (fs *FS) Full() <-chan struct{} {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.signal
}

// Failed is closed when the disk has failed beyond what waiting mends.
func (fs *FS) Failed() <-chan struct{} { return fs.failed }

// Err returns why the disk has failed, or nil.
func (fs *FS) Err() error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.failure
}

// Fail notes that the disk has failed, where its user knows of it.
func (fs *FS) Fail(err error) {
	fs.mu.Lock()
	if fs.failure == nil {
		fs.failure = err
		close(fs.failed)
	}
	fs.mu.Unlock()
	if fs.onFail != nil {
		fs.onFail(err)
	}
}

// Await carries out what writes through the guard. What is held back for ever is left behind, and Await returns the disk's failure, or ErrEnded; what waits for room is waited for.
func (fs *FS) Await(op func() error) error { return fs.await(op, nil) }

// Try is Await that does not wait for room: it returns an error for which IsFull is true as soon as, or because, the disk is full. What was begun then takes effect when there is room, if nothing comes before.
func (fs *FS) Try(op func() error) error {
	full := fs.Full()
	select {
	case <-full:
		return syscall.ENOSPC
	default:
		return fs.await(op, full)
	}
}

func (fs *FS) await(op func() error, full <-chan struct{}) error {
	done := make(chan error, 1)
	fs.ops.Go(func() { done <- op() })
	select {
	case err := <-done:
		return err
	case <-full:
		return syscall.ENOSPC
	case <-fs.failed:
		return fs.Err()
	case <-fs.ended:
		return ErrEnded
	}
}

// Wait waits for all that Await and Try have begun. Nothing more is begun meanwhile.
func (fs *FS) Wait() { fs.ops.Wait() }

// Close closes what writes through the guard. Where the disk is full or has failed, or is before that has ended, the files are left as they are, as in a crash: what can't end for want of the disk is left behind until the
// process ends, nothing of it reaches the files any more, and abandoned is true.
func (fs *FS) Close(closing func() error) (abandoned bool, err error) {
	closed := make(chan error, 1)
	go func() { closed <- closing() }()
	select {
	case err := <-closed:
		return false, err
	case <-fs.Full():
		err = syscall.ENOSPC
	case <-fs.failed:
		err = fs.Err()
	}
	fs.End()
	return true, err
}

// End waits for the operations at work and holds back all later ones for ever, so that the files may be opened anew though pebble has
// not closed them.
func (fs *FS) End() {
	fs.gate.Lock()
	defer fs.gate.Unlock()
	if !fs.over {
		fs.over = true
		close(fs.ended)
	}
}

// Ended reports whether End was called.
func (fs *FS) Ended() bool {
	fs.gate.RLock()
	defer fs.gate.RUnlock()
	return fs.over
}

// change carries out an operation that changes files. Its error is passed on only before the guard is armed.
func (fs *FS) change(op func() error, retryable bool) error {
	waited := false
	for {
		err := fs.pass(op)
		switch {
		case err == nil || !fs.armed.Load():
			if waited {
				fs.leave()
			}
			return err
		case !IsFull(err) || !retryable || fs.noWait.Load():
			fs.Fail(err)
			hang()
		}
		if !waited {
			fs.enter()
			waited = true
		}
		time.Sleep(RetryEvery)
	}
}

// pass lets an operation through unless End was called.
func (fs *FS) pass(op func() error) error {
	fs.gate.RLock()
	if fs.over {
		fs.gate.RUnlock()
		hang()
	}
	defer fs.gate.RUnlock()
	return op()
}

// hang never returns.
func hang() { select {} }

func (fs *FS) enter() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.waiting++; fs.waiting == 1 {
		close(fs.signal)
	}
}

func (fs *FS) leave() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.waiting--; fs.waiting == 0 {
		fs.signal = make(chan struct{})
	}
}

// Unwrap returns the file system beneath.
func (fs *FS) Unwrap() vfs.FS { return fs.FS }

func (fs *FS) open(op func() (vfs.File, error)) (f vfs.File, err error) {
	err = fs.change(func() (err error) {
		f, err = op()
		return err
	}, true)
	if err != nil {
		return nil, err
	}
	return &guarded{File: f, fs: fs}, nil
}

// Create creates a guarded file.
func (fs *FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

// OpenReadWrite opens a guarded file.
func (fs *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite reuses a file and guards it.
func (fs *FS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, c) })
}

// OpenDir opens a folder whose syncs are guarded.
func (fs *FS) OpenDir(name string) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.FS.OpenDir(name) })
}

// Link is guarded.
func (fs *FS) Link(oldname, newname string) error {
	return fs.change(func() error { return fs.FS.Link(oldname, newname) }, true)
}

// Rename is guarded.
func (fs *FS) Rename(oldname, newname string) error {
	return fs.change(func() error { return fs.FS.Rename(oldname, newname) }, true)
}

// Remove passes errors on: pebble bears with files that stay.
func (fs *FS) Remove(name string) error {
	return fs.pass(func() error { return fs.FS.Remove(name) })
}

// RemoveAll passes errors on, as Remove does.
func (fs *FS) RemoveAll(name string) error {
	return fs.pass(func() error { return fs.FS.RemoveAll(name) })
}

// A guarded is a file of a FS.
type guarded struct {
	vfs.File
	fs *FS
}

// Write goes on after what was written when the disk was full.
func (f *guarded) Write(p []byte) (n int, err error) {
	err = f.fs.change(func() error {
		m, err := f.File.Write(p[n:])
		n += m
		return err
	}, true)
	return n, err
}

// WriteAt goes on after what was written when the disk was full.
func (f *guarded) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fs.change(func() error {
		m, err := f.File.WriteAt(p[n:], off+int64(n))
		n += m
		return err
	}, true)
	return n, err
}

// Sync is guarded and never tried twice.
func (f *guarded) Sync() error { return f.fs.change(f.File.Sync, false) }

// SyncData is guarded and never tried twice.
func (f *guarded) SyncData() error { return f.fs.change(f.File.SyncData, false) }

// SyncTo is guarded and never tried twice.
func (f *guarded) SyncTo(length int64) (fullSync bool, err error) {
	err = f.fs.change(func() (err error) {
		fullSync, err = f.File.SyncTo(length)
		return err
	}, false)
	return fullSync, err
}
