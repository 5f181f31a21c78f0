//go:build linux

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/folkmoot/folkmoot/test/kubernetes/machine"
)

// DefaultName is the name of a cluster that nobody has named.
const DefaultName = "dev"

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?$`)

// A home is the folder of one cluster.
type home struct{ folder string }

// cacheFolder is where built programs and the homes of clusters are.
func cacheFolder() (string, error) {
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	return filepath.Join(folder, "folkmoot", "kubernetes"), nil
}

func homeOf(cache, name string) (home, error) {
	if !validName.MatchString(name) {
		return home{}, fmt.Errorf("%q can't name a cluster: at most 16 of a-z, 0-9 and - (not first or last)", name)
	}
	return home{filepath.Join(cache, "clusters", name)}, nil
}

func (h home) path(names ...string) string {
	return filepath.Join(append([]string{h.folder}, names...)...)
}

// kubeconfig is for the people and programs of this machine.
func (h home) kubeconfig() string { return h.path("kubeconfig") }

func (h home) pki(file string) string { return h.path("pki", file) }

// A state is what is known about a cluster from one command to the next.
type state struct {
	// Programs is the folder of Kubernetes' programs.
	Programs string
	// Plane is the control plane; nil while it has never run.
	Plane *machine.Processes
	// Machines are the nodes that were started, by name.
	Machines map[string]*machine.Processes
	// Cgroups are the nodes' control groups, by name.
	Cgroups map[string]machine.Cgroups
	// Cut is set while the link between the nodes is.
	Cut bool
	// Ready is set once the cluster was up.
	Ready bool
}

// load returns nil if there is none.
func (h home) load() (*state, error) {
	text, err := os.ReadFile(h.path("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", h.path("state.json"), err)
	}
	return &s, nil
}

func (h home) save(s *state) error {
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return replaceFile(h.path("state.json"), text)
}

// replaceFile writes a file that others see whole or not at all.
func replaceFile(name string, text []byte) error {
	unfinished := name + ".unfinished"
	if err := os.WriteFile(unfinished, text, 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, name)
}

// writeFiles writes files, by path, in folders that it makes.
func writeFiles(files map[string][]byte) error {
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
