// Package atomicfile writes files that are whole after a crash: the old content or the new, never a mixture.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Write replaces the file at path by data with the given mode. When it returns nil the new content is on disk; when it fails
// before that, the old file stays.
func Write(path string, data []byte, mode os.FileMode) error {
	return commit(path, data, mode, os.Rename)
}

// Create is Write for a file that must not exist yet; otherwise it returns an error that is fs.ErrExist.
func Create(path string, data []byte, mode os.FileMode) error {
	return commit(path, data, mode, linkNew)
}

// linkNew gives a file its name unless that is taken: unlike a rename, a link never replaces.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// Some network file systems have no links. Two processes that create one file at the same moment are not kept apart there.
	if _, statErr := os.Lstat(to); statErr == nil {
		return fs.ErrExist
	}
	return os.Rename(from, to)
}

func commit(path string, data []byte, mode os.FileMode, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	defer os.Remove(f.Name()) // after a rename there is nothing left to remove
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncTree makes all folders in dir, and dir itself, last through a power failure with the names that are in them.
func SyncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = SyncDir(path)
		}
		return err
	})
}

// SyncDir makes a rename in dir last through a power failure. Windows has no such call.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
