//go:build !unix

package swarm

import (
	"errors"
	"syscall"
)

// reusePort fails: elsewhere a port that is listened on is not dialled from.
func reusePort(syscall.RawConn) error { return errors.ErrUnsupported }

func reusePortControl(_, _ string, _ syscall.RawConn) error { return errors.ErrUnsupported }

func isBindError(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
