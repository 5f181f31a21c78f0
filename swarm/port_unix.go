//go:build unix

package swarm

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// reusePort sets the options with which several sockets of one user may have one port.
func reusePort(c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	})
	return errors.Join(err, failed)
}

func reusePortControl(_, _ string, c syscall.RawConn) error { return reusePort(c) }

// isBindError says whether a dial failed for the address that it was to leave from.
func isBindError(err error) bool {
	return errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EINVAL)
}
