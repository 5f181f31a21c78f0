package kv

import (
	"errors"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var errDisk = errors.New("the disk is broken")

// failingFS is a file system whose files cannot be synced once it has failed.
type failingFS struct {
	vfs.FS
	failed atomic.Bool
}

func (fs *failingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return &failingFile{f, fs}, err
}

func (fs *failingFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(old, name, c)
	return &failingFile{f, fs}, err
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

func (f *failingFile) sync(sync func() error) error {
	if f.fs.failed.Load() {
		return errDisk
	}
	return sync()
}

func (f *failingFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *failingFile) SyncData() error { return f.sync(f.File.SyncData) }
func (f *failingFile) SyncTo(n int64) (bool, error) {
	if f.fs.failed.Load() {
		return false, errDisk
	}
	return f.File.SyncTo(n)
}
