//go:build linux || darwin || freebsd

package machine

import "syscall"

// Disk returns how many bytes of the disk that holds path are free for this process, and how many there are.
func Disk(path string) (free, total uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), uint64(st.Blocks) * uint64(st.Bsize), nil
}
