package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// socketScheme begins a Listen that names a Unix domain socket.
	socketScheme = "unix://"
	// socketHost stands for a socket where a host is wanted, as in what clients send.
	socketHost = "localhost"
	// maxSocketPath is the most bytes of the path of a socket, as systems have it that allow the fewest.
	maxSocketPath = 103
	// socketProbe bounds the look whether somebody listens on a socket that is there, and socketLock the wait for another program that takes it at the same time.
	socketProbe = time.Second
	socketLock  = 5 * time.Second
	socketAgain = 20 * time.Millisecond
)

// socketPath returns the path of the Unix domain socket that a Listen names, and whether it names one.
func socketPath(listen string) (path string, ok bool) { return strings.CutPrefix(listen, socketScheme) }

// checkSocket returns an error of kind fault.Invalid for what can't be a socket's path.
func checkSocket(path string) error {
	switch {
	case runtime.GOOS == "windows":
		return fault.New(fault.Invalid, "--api-listen %s%s: on Windows everybody could use the socket; listen on a loopback address instead", socketScheme, path)
	case !filepath.IsAbs(path) || filepath.Clean(path) != path:
		return fault.New(fault.Invalid, "--api-listen %s%s: want %s and a whole path, such as %s/run/moot/api.sock", socketScheme, path, socketScheme, socketScheme)
	case max(len(path), len(filepath.Join(filepath.Dir(path), ".moot-0123456789", "s"))) > maxSocketPath:
		return fault.New(fault.Invalid, "--api-listen: the path %s is too long for a socket: at most %d bytes", path, maxSocketPath)
	}
	return nil
}

// socket is a listener on a Unix domain socket that only its owner may use. Closing it removes the socket.
type socket struct {
	*net.UnixListener
	path string
	own  fs.FileInfo
}

// listenSocket makes the socket at a path. One that is there and on which nobody listens is replaced; one on which somebody does, and everything else that is there, stays, and is an error of kind fault.Conflict.
func listenSocket(ctx context.Context, path string) (_ net.Listener, err error) {
	folder, err := os.MkdirTemp(filepath.Dir(path), ".moot-") // which nobody else may enter: the socket has its mode before others can reach it
	if err != nil {
		return nil, fmt.Errorf("make the socket: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	made := filepath.Join(folder, "s")
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", made)
	if err != nil {
		return nil, fmt.Errorf("make the socket: %w", err)
	}
	s := &socket{UnixListener: l.(*net.UnixListener), path: path}
	s.SetUnlinkOnClose(false)
	if err := s.place(ctx, made); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

// place moves the socket to its path, if nobody listens there.
func (s *socket) place(ctx context.Context, made string) error {
	if err := os.Chmod(made, 0o600); err != nil {
		return fmt.Errorf("keep the socket from others: %w", err)
	}
	unlock, err := lockSocket(ctx, s.path)
	if err != nil {
		return err
	}
	defer unlock()
	if err := vacant(ctx, s.path); err != nil {
		return err
	}
	if s.own, err = os.Lstat(made); err == nil {
		err = os.Rename(made, s.path)
	}
	if err != nil {
		return fmt.Errorf("put the socket in its place: %w", err)
	}
	return nil
}

// lockSocket keeps other programs like this one from putting a socket at the path, or taking one away, until the function that it returns is called.
func lockSocket(ctx context.Context, path string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, socketLock)
	defer cancel()
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, socketAgain); err != nil {
		return nil, fmt.Errorf("lock the socket's place: %w", err)
	}
	return func() { _ = lock.Unlock() }, nil
}

// vacant returns nil if there is nothing at the path, or a socket on which nobody listens.
func vacant(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket's place: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fault.New(fault.Conflict, "%s is there, and is no socket: choose another path with --api-listen", path)
	}
	ctx, cancel := context.WithTimeout(ctx, socketProbe)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fault.New(fault.Conflict, "another program listens on %s: choose another path with --api-listen", path), conn.Close())
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fault.New(fault.Conflict, "%s is there, and it can't be told whether somebody listens on it: %w", path, err)
}

// Close stops listening and removes the socket, unless another is at its path by now.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	unlock, lockErr := lockSocket(context.Background(), s.path)
	if errors.Is(lockErr, fs.ErrNotExist) {
		return err // the folder is gone, and the socket with it
	}
	if lockErr != nil {
		return errors.Join(err, lockErr)
	}
	defer unlock()
	if info, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(info, s.own) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}
