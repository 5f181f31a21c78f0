package swarm

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/pbnjay/memory"
)

// cgroupMemory are the files in which Linux tells a container its memory limit: control groups version 2, then 1.
var cgroupMemory = [...]string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// memoryLimit returns how much memory the process may use, in bytes: the least of what the machine has, the container may use, and GOMEMLIMIT
// says. It is 0 when nothing is known.
func memoryLimit() int64 {
	limit := debug.SetMemoryLimit(-1)
	if total := memory.TotalMemory(); total > 0 && total < uint64(limit) {
		limit = int64(total)
	}
	for _, name := range cgroupMemory {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if n, ok := parseMemory(string(text)); ok {
			limit = min(limit, n)
		}
	}
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}

// parseMemory reads a memory limit as control groups write it. "max" is none.
func parseMemory(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil && n > 0
}
