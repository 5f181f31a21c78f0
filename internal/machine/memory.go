// Package machine tells how much of the machine the process may use.
package machine

import (
	"cmp"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/pbnjay/memory"
)

// maxLevels bounds the control groups, one inside the other, that are looked at.
const maxLevels = 32

// Memory returns how much memory the process may use, in bytes: the least of what the machine has, what its container may use, and GOMEMLIMIT. It is 0 when nothing is known.
func Memory() int64 {
	limit := debug.SetMemoryLimit(-1)
	if total := memory.TotalMemory(); total > 0 {
		limit = int64(min(uint64(limit), total))
	}
	if container := ContainerMemory(); container > 0 {
		limit = min(limit, container)
	}
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}

// ContainerMemory returns how much memory the process's control groups allow it, in bytes, as in a container or in a service of systemd; 0 when there is no bound that is
// less than what the machine has.
func ContainerMemory() int64 {
	limit := groupMemory(os.DirFS("/"))
	if total := memory.TotalMemory(); total > 0 && uint64(limit) >= total {
		return 0
	}
	return limit
}

// hierarchies are where Linux mounts the control groups that bound memory, and the file in each that tells the bound: version 2, then 1 (cgroups(7)).
var hierarchies = [...]struct{ controller, mount, file string }{
	{"", "sys/fs/cgroup", "memory.max"},
	{"memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes"},
}

// groupMemory returns the least bound of the process's control group and of those around it, 0 when there is none. In a container the mount shows its own group as the outermost, and
// the path in /proc may lead nowhere.
func groupMemory(root fs.FS) (limit int64) {
	membership, _ := fs.ReadFile(root, "proc/self/cgroup") // without it the outermost group is left
	for _, h := range hierarchies {
		group := groupOf(string(membership), h.controller)
		for range maxLevels {
			text, err := fs.ReadFile(root, path.Join(h.mount, group, h.file))
			if n, ok := parseBound(string(text)); err == nil && ok {
				limit = min(cmp.Or(limit, n), n)
			}
			if group == "." {
				break
			}
			group = path.Dir(group)
		}
	}
	return limit
}

// groupOf returns the path of the group that the text of /proc/self/cgroup tells for a controller, relative to the hierarchy's mount. A line is ID:CONTROLLERS:PATH; version 2 has no controllers.
func groupOf(membership, controller string) string {
	for line := range strings.Lines(membership) {
		fields := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(fields) == 3 && slices.Contains(strings.Split(fields[1], ","), controller) {
			return path.Join(".", path.Clean("/" + fields[2])[1:])
		}
	}
	return "."
}

// parseBound reads a bound on memory as control groups write it. "max" is none.
func parseBound(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil && n > 0
}
