package disk

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// retryFullEvery is how long a write waits for room on a full disk before it is tried again.
const retryFullEvery = 250 * time.Millisecond

// A guardFS stands between pebble and a file system that fails. To pebble a failed write of its log is the end of the process: at best it panics, at
// worst it unlocks what is not locked. So it never sees one:
//
//   - While the disk has no room, writes are held back and go on where they stopped once there is some.
//   - After any other failure to write or sync, what failed and all that comes later is held back for ever, and onFail says why. A failed sync is never
//     tried again: what it should have written may be gone, and a second try would hide that.
//
// Who waits for pebble must therefore watch full and onFail too. Reads go on.
type guardFS struct {
	vfs.FS
	onFail func(error)
	armed  atomic.Bool // until then errors are passed on: a store that can't be opened should say so

	gate  sync.RWMutex // held shared by each operation that changes files
	ended bool         // guarded by gate

	mu      sync.Mutex
	waiting int           // guarded by mu; operations that wait for room
	signal  chan struct{} // guarded by mu; closed while waiting > 0
}

func newGuardFS(fs vfs.FS, onFail func(error)) *guardFS {
	return &guardFS{FS: fs, onFail: onFail, signal: make(chan struct{})}
}

func (fs *guardFS) arm() { fs.armed.Store(true) }

// full returns a channel that is closed as soon as, or because, the disk is full.
func (fs *guardFS) full() <-chan struct{} {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.signal
}

// end waits for the operations at work and holds back all later ones for ever, so that the files may be opened anew though pebble has
// not closed them.
func (fs *guardFS) end() {
	fs.gate.Lock()
	defer fs.gate.Unlock()
	fs.ended = true
}

// change carries out an operation that changes files. Its error is passed on only before the guard is armed.
func (fs *guardFS) change(op func() error, retryable bool) error {
	waited := false
	for {
		err := fs.pass(op)
		full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
		switch {
		case err == nil || !fs.armed.Load():
			if waited {
				fs.leave()
			}
			return err
		case !full || !retryable:
			fs.onFail(err)
			hang()
		}
		if !waited {
			fs.enter()
			waited = true
		}
		time.Sleep(retryFullEvery)
	}
}

// pass lets an operation through unless the guard has ended.
func (fs *guardFS) pass(op func() error) error {
	fs.gate.RLock()
	if fs.ended {
		fs.gate.RUnlock()
		hang()
	}
	defer fs.gate.RUnlock()
	return op()
}

// hang never returns.
func hang() { select {} }

func (fs *guardFS) enter() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.waiting++; fs.waiting == 1 {
		close(fs.signal)
	}
}

func (fs *guardFS) leave() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.waiting--; fs.waiting == 0 {
		fs.signal = make(chan struct{})
	}
}

// Unwrap returns the file system beneath.
func (fs *guardFS) Unwrap() vfs.FS { return fs.FS }

func (fs *guardFS) open(op func() (vfs.File, error)) (f vfs.File, err error) {
	err = fs.change(func() (err error) {
		f, err = op()
		return err
	}, true)
	if err != nil {
		return nil, err
	}
	return &guardFile{File: f, fs: fs}, nil
}

// Create creates a guarded file.
func (fs *guardFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

// OpenReadWrite opens a guarded file.
func (fs *guardFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite reuses a file and guards it.
func (fs *guardFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, c) })
}

// OpenDir opens a folder whose syncs are guarded.
func (fs *guardFS) OpenDir(name string) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.FS.OpenDir(name) })
}

// Link is guarded.
func (fs *guardFS) Link(oldname, newname string) error {
	return fs.change(func() error { return fs.FS.Link(oldname, newname) }, true)
}

// Rename is guarded.
func (fs *guardFS) Rename(oldname, newname string) error {
	return fs.change(func() error { return fs.FS.Rename(oldname, newname) }, true)
}

// Remove passes errors on: pebble bears with files that stay.
func (fs *guardFS) Remove(name string) error {
	return fs.pass(func() error { return fs.FS.Remove(name) })
}

// RemoveAll passes errors on, as Remove does.
func (fs *guardFS) RemoveAll(name string) error {
	return fs.pass(func() error { return fs.FS.RemoveAll(name) })
}

// A guardFile is a file of a guardFS.
type guardFile struct {
	vfs.File
	fs *guardFS
}

// Write goes on after what was written when the disk was full.
func (f *guardFile) Write(p []byte) (n int, err error) {
	err = f.fs.change(func() error {
		m, err := f.File.Write(p[n:])
		n += m
		return err
	}, true)
	return n, err
}

// WriteAt goes on after what was written when the disk was full.
func (f *guardFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fs.change(func() error {
		m, err := f.File.WriteAt(p[n:], off+int64(n))
		n += m
		return err
	}, true)
	return n, err
}

// Sync is guarded and never tried twice.
func (f *guardFile) Sync() error { return f.fs.change(f.File.Sync, false) }

// SyncData is guarded and never tried twice.
func (f *guardFile) SyncData() error { return f.fs.change(f.File.SyncData, false) }

// SyncTo is guarded and never tried twice.
func (f *guardFile) SyncTo(length int64) (fullSync bool, err error) {
	err = f.fs.change(func() (err error) {
		fullSync, err = f.File.SyncTo(length)
		return err
	}, false)
	return fullSync, err
}
