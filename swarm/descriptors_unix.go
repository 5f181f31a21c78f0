//go:build unix

package swarm

import (
	"math"
	"syscall"
)

// descriptorLimit returns how many files and sockets the process may have open.
func descriptorLimit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fallbackDescriptors
	}
	return int(min(uint64(l.Cur), math.MaxInt32))
}
