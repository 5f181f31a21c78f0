//go:build linux

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	// leaf is where a computer's own processes are with cgroup v2, which has none in a group that divides its resources.
	leaf = "init"
)

// FindCgroups returns the control groups that a computer of that name would have: below the ones of this process with
// cgroup v1, below the root that this process sees with cgroup v2.
func FindCgroups(name string) (Cgroups, error) {
	if isUnified(cgroupRoot) {
		return Cgroups{Unified: filepath.Join(cgroupRoot, name)}, nil
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return Cgroups{}, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return Cgroups{}, err
	}
	hierarchies := parseHierarchies(string(mounts), string(own))
	if len(hierarchies) == 0 {
		return Cgroups{}, fmt.Errorf("no control groups are mounted below %s", cgroupRoot)
	}
	for i, h := range hierarchies {
		// In a container what is mounted may be its group already, while its path is told from the root that it doesn't see.
		if _, err := os.Stat(h.Folder); err != nil {
			h.Folder = filepath.Join(cgroupRoot, h.Name)
		}
		hierarchies[i].Folder = filepath.Join(h.Folder, name)
	}
	return Cgroups{Hierarchies: hierarchies}, nil
}

func isUnified(folder string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(folder, &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC
}

// parseHierarchies reads which hierarchies are mounted below cgroupRoot from /proc/self/mounts, and which group in each is the
// process's own from /proc/self/cgroup: see proc(5) and cgroups(7).
func parseHierarchies(mounts, own string) []Hierarchy {
	groups := map[string]string{}
	for line := range strings.Lines(own) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			for controller := range strings.SplitSeq(parts[1], ",") {
				groups[controller] = parts[2]
			}
		}
	}
	var found []Hierarchy
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 4 || filepath.Dir(fields[1]) != cgroupRoot || (fields[2] != "cgroup" && fields[2] != "cgroup2") {
			continue
		}
		options := hierarchyOptions(fields[3], groups)
		key, _, _ := strings.Cut(options, ",") // empty for cgroup2, as in the file
		group, ok := groups[key]
		if !ok {
			continue
		}
		found = append(found, Hierarchy{
			Name:    filepath.Base(fields[1]),
			Type:    fields[2],
			Options: options,
			Folder:  filepath.Join(fields[1], group),
		})
	}
	return found
}

// hierarchyOptions returns those of the mount options that say which hierarchy it is: its controllers or its name.
func hierarchyOptions(options string, groups map[string]string) string {
	var kept []string
	for option := range strings.SplitSeq(options, ",") {
		if _, ok := groups[option]; ok && option != "" {
			kept = append(kept, option)
		}
	}
	return strings.Join(kept, ",")
}

// Make makes the control groups, empty.
func (c Cgroups) Make() error {
	if err := c.Remove(); err != nil {
		return err
	}
	for _, folder := range c.Folders() {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if c.Unified != "" {
		return delegate(cgroupRoot, filepath.Dir(c.Unified))
	}
	return c.shareProcessors()
}

// shareProcessors gives new groups the processors and the memory of the one that they are in, which a cpuset does not by itself.
func (c Cgroups) shareProcessors() error {
	for _, h := range c.Hierarchies {
		if !strings.Contains(","+h.Options+",", ",cpuset,") {
			continue
		}
		// The computer's group is in one that is the cluster's.
		outer := filepath.Dir(h.Folder)
		for _, folder := range []string{outer, h.Folder} {
			for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
				value, err := os.ReadFile(filepath.Join(filepath.Dir(folder), name))
				if err == nil {
					err = os.WriteFile(filepath.Join(folder, name), value, 0o644)
				}
				if err != nil {
					return err
				}
			}
			if err := os.WriteFile(filepath.Join(folder, "cgroup.clone_children"), []byte("1"), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate lets groups of the folders divide what their group has.
func delegate(folders ...string) error {
	for _, folder := range folders {
		available, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
		if err != nil {
			return err
		}
		var all []string
		for controller := range strings.FieldsSeq(string(available)) {
			all = append(all, "+"+controller)
		}
		if err := os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte(strings.Join(all, " ")), 0o644); err != nil {
			return fmt.Errorf("hand on the controllers of %s: %w", folder, err)
		}
	}
	return nil
}

// Outer returns the groups that these are directly in.
func (c Cgroups) Outer() Cgroups {
	if c.Unified != "" {
		return Cgroups{Unified: filepath.Dir(c.Unified)}
	}
	outer := Cgroups{Hierarchies: slices.Clone(c.Hierarchies)}
	for i, h := range outer.Hierarchies {
		outer.Hierarchies[i].Folder = filepath.Dir(h.Folder)
	}
	return outer
}

const (
	// busyLimit bounds the wait for a group to be empty of processes that were killed, busyPause is how often it is tried.
	busyLimit = 10 * time.Second
	busyPause = 20 * time.Millisecond
)

// Remove removes the control groups with those inside; processes in them were killed.
func (c Cgroups) Remove() error {
	var errs []error
	for _, folder := range c.Folders() {
		err := removeGroup(folder)
		for until := time.Now().Add(busyLimit); errors.Is(err, unix.EBUSY) && time.Now().Before(until); err = removeGroup(folder) {
			time.Sleep(busyPause)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeGroup removes a folder of the cgroup file system; its files vanish with it.
func removeGroup(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroup(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(folder)
}

// enterCgroups moves this process into the groups.
func enterCgroups(c Cgroups) error {
	for _, folder := range c.Folders() {
		if err := enterGroup(folder); err != nil {
			return err
		}
	}
	return nil
}

// leaveRoot moves this process out of the group that init has as its root, for which that one has to be empty.
func leaveRoot(c Cgroups) error {
	if c.Unified == "" {
		return nil
	}
	folder := filepath.Join(c.Unified, leaf)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return enterGroup(folder)
}

func enterGroup(folder string) error {
	return os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte("0"), 0o644)
}

// Missing returns which controllers a node can't do without are not there.
func (c Cgroups) Missing() []string {
	present := map[string]bool{}
	if c.Unified != "" {
		available, _ := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
		for controller := range strings.FieldsSeq(string(available)) {
			present[controller] = true
		}
	}
	for _, h := range c.Hierarchies {
		for controller := range strings.SplitSeq(h.Options, ",") {
			present[controller] = true
		}
	}
	return slices.DeleteFunc([]string{"cpu", "cpuset", "memory", "pids"}, func(name string) bool { return present[name] })
}
