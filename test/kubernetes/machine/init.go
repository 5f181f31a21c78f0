//go:build linux

package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// initialize is the computer's first process: it makes it look like one, and then runs its programs for good.
func initialize(spec *Spec) error {
	unix.CloseOnExec(readyFile)
	unix.CloseOnExec(goFile)
	ready, mayGo := os.NewFile(readyFile, "ready"), os.NewFile(goFile, "go")
	mayGo.Read(make([]byte, 1)) // closed by the keeper
	mayGo.Close()
	if err := spec.setUp(); err != nil {
		return err
	}
	if _, err := ready.Write([]byte{1}); err != nil {
		return err
	}
	ready.Close()
	return newSupervisor(spec).run()
}

func (s *Spec) setUp() error {
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	// What is mounted from here on is the computer's own.
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	steps := []func() error{s.showSettings, s.overlay, s.emptyFolders, s.bind, s.set}
	if len(s.Cgroups.Folders()) > 0 {
		steps = append(steps, s.mountSys)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	// A kubelet wants mounts to be seen by its containers.
	return mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

func (s *Spec) overlay() error {
	for _, o := range s.Overlays {
		work := o.Changes + ".work"
		for _, folder := range []string{o.Changes, work} {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", o.Target, o.Changes, work)
		if err := mount("overlay", o.Target, "overlay", 0, options); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) emptyFolders() error {
	for _, folder := range s.Tmpfs {
		if err := mount("tmpfs", folder, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) bind() error {
	for _, b := range s.Binds {
		for _, folder := range []string{b.From, b.To} {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		if err := mount(b.From, b.To, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) set() error {
	for _, setting := range s.Sysctls {
		if err := os.WriteFile(filepath.Join("/proc/sys", setting.Name), []byte(setting.Value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// showSettings puts files in the place of sysctls that are the whole machine's.
func (s *Spec) showSettings() error {
	folder := filepath.Join(s.Folder, "sysctl")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, setting := range s.Shown {
		file := filepath.Join(folder, strings.ReplaceAll(setting.Name, "/", "."))
		if err := os.WriteFile(file, []byte(setting.Value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(file, filepath.Join("/proc/sys", setting.Name), "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// mountSys shows the devices of the computer's network and its own control groups as the only ones.
func (s *Spec) mountSys() error {
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount /sys: %w", err)
	}
	if err := mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	if s.Cgroups.Unified != "" {
		if err := mount("cgroup2", cgroupRoot, "cgroup2", 0, ""); err != nil {
			return err
		}
		if err := enterGroup(filepath.Join(cgroupRoot, leaf)); err != nil {
			return err
		}
		return delegate(cgroupRoot)
	}
	if err := mount("tmpfs", cgroupRoot, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, h := range s.Cgroups.Hierarchies {
		if err := h.mount(); err != nil {
			return err
		}
	}
	return nil
}

func (h Hierarchy) mount() error {
	folder := filepath.Join(cgroupRoot, h.Name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	options := h.Options
	if strings.HasPrefix(options, "name=") {
		options = "none," + options
	}
	if err := mount(h.Type, folder, h.Type, 0, options); err != nil {
		return err
	}
	for controller := range strings.SplitSeq(h.Name, ",") {
		if controller != h.Name {
			if err := os.Symlink(h.Name, filepath.Join(cgroupRoot, controller)); err != nil {
				return err
			}
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s %s at %s (%s): %w", kind, source, target, data, err)
	}
	return nil
}
