//go:build linux

package cluster

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPause is how often a lock that another process has is tried.
const lockPause = 20 * time.Millisecond

// lockFile takes the lock of that name from other processes and other holders in this one. What unlocks it removes the file.
func lockFile(ctx context.Context, name string) (unlock func() error, err error) {
	for {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && isNamed(file, name) {
			return func() error { return errors.Join(os.Remove(name), file.Close()) }, nil
		}
		file.Close() // held by another, or removed by the one who held it
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// isNamed says whether the file of that name is the open one.
func isNamed(file *os.File, name string) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(name)
	return err == nil && os.SameFile(open, named)
}
