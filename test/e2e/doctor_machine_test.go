//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/folkmoot/folkmoot/test/moottest"
)

// under is this machine, on which the node, though not the commands that ask it, is started by another program.
type under struct {
	moottest.Local
	starter []string
}

// Command implements moottest.Machine.
func (u under) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if len(u.starter) > 0 && args[0] == "run" {
		return u.Local.Command(ctx, u.starter[0], slices.Concat(u.starter[1:], []string{name}, args)...)
	}
	return u.Local.Command(ctx, name, args...)
}

// loopback are the options of nodes of this machine that find one another by addresses alone.
var loopback = []string{"--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0", "--api-listen", "127.0.0.1:0"}

// newHub returns a node of this machine that runs, and a function that makes others, not yet started, which know it.
func newHub(t *testing.T) (hub *peer, near func(name string, starter ...string) *peer) {
	t.Helper()
	hub = newPeer(t, moottest.Local{}, "hub", loopback...).start()
	at := hub.status().Addresses[0]
	return hub, func(name string, starter ...string) *peer {
		return newPeer(t, under{starter: starter}, name, slices.Concat(loopback, []string{"--bootstrap", at})...)
	}
}

// program runs a program of the system, which must succeed.
func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestDoctorMachine has nodes that their machine gives too little.
func TestDoctorMachine(t *testing.T) {
	t.Parallel()
	hub, near := newHub(t)
	few := near("few", "prlimit", "--nofile=512:512").start()
	const files, taken = 1100, 950
	many := near("many", "prlimit", fmt.Sprintf("--nofile=%d:%d", files, files)).start()
	const quic = "/ip4/127.0.0.1/udp/0/quic-v1"
	plain := near("plain", "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
	plain.Args = append(plain.Args, "--listen", quic)
	plain.start()
	mighty := near("mighty")
	mighty.Args = append(mighty.Args, "--listen", quic)
	mighty.start()

	ailing(t, few, found{"files", "warning", "the node may open 512 files", "ulimit -n"})
	t.Run(many.name, func(t *testing.T) {
		connect(t, many, taken) // now, since the node closes connections without a request after a while
		many.suffers(found{"files", "problem", fmt.Sprintf("of %d file descriptors are in use", files), "ulimit -n"})
	})
	const wanted = 7 << 20
	if bound := bufferBound(t); bound >= wanted { // the machine is as the doctor wants it
		ailing(t, plain)
	} else {
		ailing(t, plain, found{"udp", "warning", fmt.Sprintf("buffers of %d KiB, and QUIC wants %d", bound>>10, wanted>>10), "sysctl -w net.core.rmem_max="})
	}
	ailing(t, mighty)
	ailing(t, hub)
}

// connect opens connections to a node's API that nothing is asked over until the test ends.
func connect(t *testing.T, p *peer, connections int) {
	t.Helper()
	url, err := p.URL()
	check(t, err)
	for range connections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		check(t, err)
		t.Cleanup(func() { conn.Close() })
	}
}

// bufferBound returns net.core.rmem_max.
func bufferBound(t *testing.T) (bytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/core/rmem_max")
	check(t, err)
	_, err = fmt.Sscan(string(text), &bytes)
	check(t, err)
	return bytes
}

// TestDoctorDisk has nodes with disks that are full, slow or broken.
func TestDoctorDisk(t *testing.T) {
	t.Parallel()
	needs(t, mounts, diskFiles, delays)
	_, near := newHub(t)

	at := func(name, disk string) *peer {
		p := near(name)
		p.Home = filepath.Join(disk, "home")
		return p.start()
	}
	full := at("full", tmpfs(t, "size=300m"))
	crowded := tmpfs(t, "size=2g,nr_inodes=200")
	countless := at("countless", crowded)
	for i := 0; os.WriteFile(filepath.Join(crowded, fmt.Sprint(i)), nil, 0o600) == nil; i++ {
	}
	disk, _ := ext4(t, "6G")
	leaveFree(t, disk, (lowDisk(t, disk)+512<<20)/2)
	filling := at("filling", disk)
	disk, _ = ext4(t, "8G")
	closed := at("closed", disk)
	program(t, "chattr", "+i", closed.Home)
	disk, device := ext4(t, "8G")
	broken := near("broken").inNetwork("broken")
	broken.Home = filepath.Join(disk, "home")
	broken.start()
	check(t, os.WriteFile(filepath.Join("/sys/fs/ext4", device, "trigger_fs_error"), []byte("1"), 0))

	slow := near("slow", "strace", "-D", "-f", "-qqq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_exit=100000")
	slow.start()

	greedy := newPeer(t, moottest.Local{}, "greedy", append(loopback, "--quota", "16MB")...).inNetwork("greedy").start()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 60 { // that one is refused does not say that the next is: room comes back when the log is written out
		greedy.command(randomText(random, fillValue), "put", fmt.Sprintf("fill/%d", i), "--file", "-")
	}

	ailing(t, full, found{"disk", "problem", "the disk is nearly full: ", "df -h"})
	ailing(t, filling, found{"disk", "warning", "the disk is filling up: ", "df -h"})
	ailing(t, countless, found{"disk", "problem", "its inodes are used up", "df -i"})
	ailing(t, closed, found{"disk", "problem", "the disk can't be written to: ", "df -h"})
	t.Run(broken.name, func(t *testing.T) {
		t.Parallel()
		broken.endsForDisk(t)
	})
	ailing(t, slow, found{"disk", "warning", "to sync a small file", "iostat"})
	ailing(t, greedy,
		found{"disk", "problem", "MiB of a quota of 15", "--quota"},
		found{"peers", "warning", "nobody is on this link", "--bootstrap"},
	)
}

// endsForDisk wants the node to end when its disk has become read-only, with the reason, and the doctor to say that it does not run.
func (p *peer) endsForDisk(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), doctorPatience)
	defer cancel()
	code, err := p.Wait(ctx)
	check(t, err)
	if code != 1 || !strings.Contains(p.Output(), "read-only file system") {
		t.Errorf("with a read-only disk the node ended with exit code %d", code)
	}
	r, err := p.Run(ctx, "", "doctor", "--json")
	check(t, err)
	if r.Code != 4 || !strings.Contains(r.Stderr, "no node answers") || !strings.Contains(r.Stderr, "moot run") {
		t.Errorf("of a node that ended the doctor says, with exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// tmpfs mounts a disk of memory.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	check(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, options))
	t.Cleanup(func() { check(t, syscall.Unmount(dir, 0)) })
	return dir
}

// lowDisk is below how many free bytes a disk is said to be filling up.
func lowDisk(t *testing.T, dir string) int64 {
	t.Helper()
	var st syscall.Statfs_t
	check(t, syscall.Statfs(dir, &st))
	return int64(st.Blocks) * st.Bsize / 10
}

// leaveFree makes a file that leaves so many bytes of a disk.
func leaveFree(t *testing.T, dir string, free int64) {
	t.Helper()
	var st syscall.Statfs_t
	check(t, syscall.Statfs(dir, &st))
	file, err := os.Create(filepath.Join(dir, "film"))
	check(t, err)
	defer file.Close()
	check(t, syscall.Fallocate(int(file.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-free))
}

// ext4 mounts a disk whose bytes are in a file with holes, and which becomes read-only when it finds an error. device is its name in /dev.
func ext4(t *testing.T, size string) (dir, device string) {
	t.Helper()
	dir = t.TempDir()
	image := filepath.Join(t.TempDir(), "image")
	program(t, "truncate", "-s", size, image)
	program(t, "mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
	program(t, "mount", "-o", "loop,errors=remount-ro", image, dir)
	t.Cleanup(func() { program(t, "umount", dir) })
	device, _, _ = strings.Cut(filepath.Base(program(t, "losetup", "-n", "-O", "NAME", "-j", image)), "\n")
	return dir, strings.TrimSpace(device)
}
