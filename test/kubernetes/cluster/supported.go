//go:build linux

package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pbnjay/memory"
	"golang.org/x/sys/unix"

	"github.com/folkmoot/folkmoot/test/kubernetes/machine"
	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// memoryWanted is what a cluster with a dozen pods takes at most, together with what builds it.
	memoryWanted = 5 << 30
	// diskWanted is for the programs, the build cache of the go command and the images of both nodes.
	diskWanted = 8 << 30
)

// needed are the programs that a node runs or is made with, by the Debian package that has them.
var needed = []struct{ program, debian string }{
	{"go", "golang"},
	{"ip", "iproute2"},
	{"/usr/bin/containerd", "containerd"},
	{"/usr/bin/ctr", "containerd"},
	{"runc", "runc"},
	{"iptables", "iptables"},
	{filepath.Join(pluginFolder, "bridge"), "containernetworking-plugins"},
}

// hidden are folders of which a node sees its own.
var hidden = []string{"/run", "/sys", "/proc", "/dev", "/etc", "/var/lib", "/var/log", "/var/run"}

// Supported returns nil when this machine can run a cluster, and otherwise all that it lacks, in words.
func Supported() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster of this harness needs root, for namespaces and control groups")
	}
	cache, err := cacheFolder()
	if err != nil {
		return err
	}
	lacks := []error{lacksPrograms(), lacksMemory(), lacksDisk(cache), lacksControlGroups()}
	if err := netns.Supported(); err != nil {
		lacks = append(lacks, err)
	}
	lacks = append(lacks, lacksOverlay(cache))
	if err := errors.Join(lacks...); err != nil {
		return fmt.Errorf("this machine can't run the test cluster:\n%w", err)
	}
	return nil
}

func lacksPrograms() error {
	var missing, debian []string
	for _, n := range needed {
		if _, err := exec.LookPath(n.program); err != nil {
			missing, debian = append(missing, n.program), append(debian, n.debian)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("the programs %s are missing: install the Debian packages %s, or run scripts/install-packages",
		strings.Join(missing, ", "), strings.Join(debian, " "))
}

func lacksMemory() error {
	if total := memory.TotalMemory(); total > 0 && total < memoryWanted {
		return fmt.Errorf("it has %.1f GiB of memory, and %.0f are needed", gib(total), gib(memoryWanted))
	}
	return nil
}

func lacksDisk(cache string) error {
	for _, folder := range hidden {
		if strings.HasPrefix(cache+"/", folder+"/") {
			return fmt.Errorf("the user's cache folder %s is below %s, of which a node sees its own: set XDG_CACHE_HOME to another", cache, folder)
		}
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(cache, &stat); err != nil {
		return fmt.Errorf("look at the disk of %s: %w", cache, err)
	}
	if free := stat.Bavail * uint64(stat.Bsize); free < diskWanted {
		return fmt.Errorf("%.1f GiB of disk are free in %s, and %.0f are needed", gib(free), cache, gib(diskWanted))
	}
	return nil
}

// lacksControlGroups tries to make control groups of a node.
func lacksControlGroups() error {
	groups, err := machine.FindCgroups(fmt.Sprintf("folkmoot-try-%d/node", os.Getpid()))
	if err != nil {
		return err
	}
	if err := errors.Join(groups.Make(), groups.Remove(), groups.Outer().Remove()); err != nil {
		return fmt.Errorf("control groups can't be made: %w", err)
	}
	if missing := groups.Missing(); len(missing) > 0 {
		return fmt.Errorf("the control groups have no %s", strings.Join(missing, ", "))
	}
	return nil
}

// lacksOverlay tries an overlay of folders on the disk where images will be, as containerd does.
func lacksOverlay(cache string) error {
	folder, err := os.MkdirTemp(cache, "overlay-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	script := `mkdir "$1/lower" "$1/upper" "$1/work" "$1/all" && exec mount -t overlay overlay ` +
		`-o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/all"`
	// The mount ends with the process, whose mounts are its own.
	out, err := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", folder).CombinedOutput()
	if err != nil {
		return fmt.Errorf("overlayfs can't be used on the disk of %s: %w: %s", cache, err, bytes.TrimSpace(out))
	}
	return nil
}

func gib(bytes uint64) float64 { return float64(bytes) / (1 << 30) }
