package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Spec says what a computer is made of and what it runs.
type Spec struct {
	// Hostname is its name.
	Hostname string
	// Namespace is its network namespace, by the name that the ip program gave it.
	Namespace string
	// Cgroups are the folders of its control groups, which exist and are empty.
	Cgroups Cgroups
	// Overlays are folders whose changes stay its own.
	Overlays []Overlay
	// Tmpfs are folders that are empty whenever it starts.
	Tmpfs []string
	// Binds show one folder in place of another.
	Binds []Bind
	// Sysctls are set in its network namespace.
	Sysctls []Setting
	// Shown are sysctls of the whole machine that only seem to have these values, for programs that insist on them.
	Shown []Setting
	// Programs run for as long as it does; each starts once the one before it is up.
	Programs []Program
	// Forward makes an address of its network reachable on the machine's loopback; empty: none.
	Forward string
	// Folder is for what it needs while it runs. Its logs are in there too.
	Folder string
}

// An Overlay is a folder of the machine whose changes go to the folder Changes.
type Overlay struct{ Target, Changes string }

// A Bind shows the folder From at the place To.
type Bind struct{ From, To string }

// A Setting is a sysctl, its name with slashes.
type Setting struct{ Name, Value string }

// A Program is a process that is started again when it ends.
type Program struct {
	// Name names its log.
	Name string
	// Args is its command line with the path of the program.
	Args []string
	// Until is when it is up: once "unix:PATH" or "tcp:ADDRESS" can be connected to; empty: at once.
	Until string
	// After is what it waits for before it starts, in the same notation.
	After string
	// Once makes it a step that is over when the program ends.
	Once bool
}

// Cgroups are a computer's control groups.
type Cgroups struct {
	// Unified is its folder where the machine has cgroup v2 alone.
	Unified string `json:",omitempty"`
	// Hierarchies are what it mounts where the machine has cgroup v1.
	Hierarchies []Hierarchy `json:",omitempty"`
}

// A Hierarchy is one of cgroup v1, or the unified one beside them.
type Hierarchy struct {
	// Name is the folder's below /sys/fs/cgroup.
	Name string
	// Type is the file system's: cgroup or cgroup2.
	Type string
	// Options are those that it is mounted with.
	Options string
	// Folder is the computer's own, as the machine sees it.
	Folder string
}

// Folders returns the folders of the control groups.
func (c Cgroups) Folders() []string {
	if c.Unified != "" {
		return []string{c.Unified}
	}
	folders := make([]string, len(c.Hierarchies))
	for i, h := range c.Hierarchies {
		folders[i] = h.Folder
	}
	return folders
}

// Validate returns an error if the spec can't be right.
func (s *Spec) Validate() error {
	switch {
	case s.Hostname == "":
		return errors.New("the computer has no name")
	case s.Namespace == "" || strings.Contains(s.Namespace, "/"):
		return fmt.Errorf("%q does not name a network namespace", s.Namespace)
	case !filepath.IsAbs(s.Folder):
		return fmt.Errorf("the folder %q is not absolute", s.Folder)
	}
	for _, p := range s.Programs {
		if p.Name == "" || len(p.Args) == 0 || !filepath.IsAbs(p.Args[0]) {
			return fmt.Errorf("program %q needs a name and an absolute path", p.Name)
		}
		for _, condition := range []string{p.Until, p.After} {
			if _, _, err := splitCondition(condition); condition != "" && err != nil {
				return fmt.Errorf("program %s: %w", p.Name, err)
			}
		}
	}
	return nil
}

func splitCondition(s string) (network, addr string, err error) {
	network, addr, ok := strings.Cut(s, ":")
	if !ok || addr == "" || (network != "unix" && network != "tcp") {
		return "", "", fmt.Errorf("%q is not unix:PATH or tcp:ADDRESS", s)
	}
	return network, addr, nil
}

// Log returns the file that the named program writes to; the computer's own is that of "machine".
func (s *Spec) Log(program string) string {
	return filepath.Join(s.Folder, "log", program+".log")
}

const specFile = "spec.json"

// save writes the spec to its folder and returns the file.
func (s *Spec) save() (string, error) {
	if err := s.Validate(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(s.Folder, "log"), 0o755); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return "", err
	}
	file := filepath.Join(s.Folder, specFile)
	return file, os.WriteFile(file, text, 0o644)
}

func loadSpec(file string) (*Spec, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var s Spec
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &s, s.Validate()
}

const (
	// restartPause is how long a program that ended stays away.
	restartPause = time.Second
	// upLimit bounds the wait for a program to be up; then the next starts regardless.
	upLimit = 2 * time.Minute
)
