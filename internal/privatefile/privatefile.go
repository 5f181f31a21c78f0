// Package privatefile reads small files that hold keys, and refuses those that others can read.
package privatefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

var (
	// ErrIrregular is a path that names a directory, a pipe or the like.
	ErrIrregular = errors.New("it is not a regular file")
	// ErrTooLarge is a file of more bytes than it may have.
	ErrTooLarge = errors.New("it is too large")
)

// Read returns the contents of a file of at most max bytes that only its owner may read, or its group in a folder that the group may write to, as Kubernetes makes
// volumes (fsGroup).
func Read(path string, max int64) ([]byte, error) {
	// Looked at before it is opened, as opening a pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, ErrIrregular
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err = f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, ErrIrregular
	case info.Mode().Perm()&forbiddenModes(filepath.Dir(path)) != 0:
		return nil, fmt.Errorf("others than its owner can read it (mode %04o); run: chmod 600 %q", info.Mode().Perm(), path)
	case info.Size() > max:
		return nil, ErrTooLarge
	}
	return io.ReadAll(io.LimitReader(f, max))
}

// forbiddenModes returns the mode bits that a private file in the folder must not have.
func forbiddenModes(folder string) fs.FileMode {
	if runtime.GOOS == "windows" { // has no such modes
		return 0
	}
	if info, err := os.Stat(folder); err == nil && info.Mode().Perm()&0o020 != 0 {
		return 0o007
	}
	return 0o077
}
