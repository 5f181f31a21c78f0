//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/folkmoot/folkmoot/test/moottest"
	"github.com/folkmoot/folkmoot/test/netns"
)

// A capability is something that tests need of the machine.
type capability string

const (
	namespaces   capability = "network namespaces"
	mounts       capability = "mounts"
	packageIndex capability = "Debian's package index"
	losses       capability = "random loss of packets"
	clocks       capability = "clocks of single processes"
	nats         capability = "translation of addresses"
	diskFiles    capability = "disks that are files"
	delays       capability = "delays of system calls"
)

var (
	binary string               // the program under test, set by TestMain
	gaps   map[capability]error // what this machine lacks and why, set by TestMain
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(attackKind); kind != "" {
		if err := attack(kind, os.Getenv(attackTarget)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	gaps = missing()
	for what, why := range gaps {
		fmt.Printf("GAP: this machine has no %s: %v\n", what, why)
	}
	if len(gaps) > 0 && !moottest.GapsAllowed() {
		return 1, errors.New("gaps are failures here, as CI is true or MOOT_ALLOW_GAPS is 0")
	}
	dir, err := os.MkdirTemp("", "moot-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if binary, err = moottest.Build(context.Background(), dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// missing tries each capability.
func missing() map[capability]error {
	found := map[capability]error{}
	for what, try := range map[capability]func() error{
		namespaces: netns.Supported, mounts: tryMount, packageIndex: tryPackageIndex,
		losses: netns.LossSupported, nats: netns.NATSupported, clocks: moottest.ClockSupported, diskFiles: tryDiskFile, delays: tryDelay,
	} {
		if err := try(); err != nil {
			found[what] = err
		}
	}
	return found
}

func tryMount() error {
	dir, err := os.MkdirTemp("", "moot-e2e-mount-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	return syscall.Unmount(dir, 0)
}

func tryDiskFile() error {
	for _, program := range []string{"mkfs.ext4", "losetup", "setpriv"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w (Debian packages e2fsprogs, mount and util-linux)", err)
		}
	}
	if out, err := exec.Command("losetup", "--find").CombinedOutput(); err != nil {
		return fmt.Errorf("losetup --find: %w: %s", err, out)
	}
	return nil
}

func tryDelay() error {
	if out, err := exec.Command("strace", "-D", "-f", "-qqq", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		return fmt.Errorf("strace (Debian package strace): %w: %s", err, out)
	}
	return nil
}

func tryPackageIndex() error {
	out, err := exec.Command("apt-cache", "dumpavail").Output()
	if err != nil {
		return fmt.Errorf("apt-cache dumpavail: %w", err)
	}
	if n := strings.Count(string(out), "\nPackage: "); n < minPackages {
		return fmt.Errorf("apt knows %d packages, fewer than %d: run apt-get update", n, minPackages)
	}
	return nil
}

// needs leaves the test out when the machine lacks a capability, which TestMain has reported and allowed.
func needs(t *testing.T, what ...capability) {
	t.Helper()
	for _, w := range what {
		if why := gaps[w]; why != nil {
			t.Skipf("GAP: no %s: %v", w, why)
		}
	}
}
