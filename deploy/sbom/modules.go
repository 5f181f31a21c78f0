package sbom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// maxNotice is the size up to which a licence file is read, in bytes.
const maxNotice = 1 << 20

// GoFlags is the value of GOFLAGS for go commands whose outcome must not depend on anybody's settings. It is harmless; an empty one would
// be taken for none, and give way to what "go env -w" has set.
const GoFlags = "-trimpath"

// noticeName matches the files of a module that say under which conditions it may be used.
var noticeName = regexp.MustCompile(`(?i)^(un)?(licen[sc]e|copying|notice)([-._].*)?$`)

// A Module is a Go module that is part of a program.
type Module struct {
	Path    string
	Version string
	// Sum is the module's h1: checksum, as in go.sum; empty for the main module.
	Sum string
	// Notices are its licence files, sorted by name.
	Notices []Notice
}

// A Notice is a licence file.
type Notice struct {
	Name string
	Text string
}

// License returns the SPDX expression of the licences recognised, or Unknown.
func (m Module) License() string { return expression(m.Notices) }

// Modules returns the modules that a program was built from, without the main one, in the order of the build information. The go
// command, asked in folder, says where their source is; it was there when the program was built.
func Modules(ctx context.Context, folder string, info *debug.BuildInfo) ([]Module, error) {
	var modules []Module
	var paths []string
	for _, dep := range info.Deps {
		built := dep
		if dep.Replace != nil {
			built = dep.Replace
		}
		modules = append(modules, Module{Path: built.Path, Version: built.Version, Sum: built.Sum})
		paths = append(paths, dep.Path)
	}
	sources, err := sources(ctx, folder, paths)
	if err != nil {
		return nil, fmt.Errorf("find the source of the modules: %w", err)
	}
	for i, path := range paths {
		if modules[i].Notices, err = NoticesIn(sources[path]); err != nil {
			return nil, fmt.Errorf("read the licences of %s: %w", path, err)
		}
	}
	return modules, nil
}

// sources returns where the go command keeps the source of modules, by their paths.
func sources(ctx context.Context, folder string, paths []string) (map[string]string, error) {
	sources := map[string]string{}
	if len(paths) == 0 {
		return sources, nil
	}
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-m", "-json=Path,Dir"}, paths...)...)
	list.Dir = folder
	list.Env = append(list.Environ(), "GOFLAGS="+GoFlags)
	out, err := list.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("go list: %w: %s", err, bytes.TrimSpace(exit.Stderr))
	} else if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m struct{ Path, Dir string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return sources, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the answer of go list: %w", err)
		}
		sources[m.Path] = m.Dir
	}
}

// NoticesIn returns the licence files in a folder; an empty name is a folder without any.
func NoticesIn(folder string) ([]Notice, error) {
	if folder == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var notices []Notice
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxNotice || !noticeName.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		notices = append(notices, Notice{Name: e.Name(), Text: string(text)})
	}
	return notices, nil
}
