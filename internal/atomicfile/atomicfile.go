// Package atomicfile writes files that are whole after a crash: the old content or the new, never a mixture.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Write replaces the file at path by data with the given mode. When it returns nil the new content is on disk.
func Write(path string, data []byte, mode os.FileMode) error {
	return WriteFrom(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFrom replaces the file at path by what write writes. When write fails the old file stays.
func WriteFrom(path string, mode os.FileMode, write func(io.Writer) error) error {
	return commit(path, mode, write, os.Rename)
}

// Create is Write for a file that must not exist yet; otherwise it returns an error that is fs.ErrExist.
func Create(path string, data []byte, mode os.FileMode) error {
	return commit(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}, linkNew)
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

func commit(path string, mode os.FileMode, write func(io.Writer) error, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	defer os.Remove(f.Name()) // after a rename there is nothing left to remove
	if err := errors.Join(f.Chmod(mode), write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir last through a power failure. Windows has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
