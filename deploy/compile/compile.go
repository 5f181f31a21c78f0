// Package compile builds a program for several platforms, the same bytes from the same source, and says what it was built from.
package compile

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/deploy/image/oci"
	"github.com/folkmoot/folkmoot/deploy/sbom"
)

// Website is the project's.
const Website = "https://github.com/folkmoot/folkmoot"

// Source is what programs are compiled from.
type Source struct {
	// Folder lies in the module; Package is the package of the program in it.
	Folder, Package string
}

// Moot is the source of the program, seen from the root of the repository.
func Moot() Source { return Source{Folder: ".", Package: "github.com/folkmoot/folkmoot/cmd/moot"} }

// Program is a program for one platform.
type Program struct {
	Platform oci.Platform
	Data     []byte
	Info     *debug.BuildInfo
	// Modules are those that it was built from, without its own, whose licence files are Notices.
	Modules []sbom.Module
	Notices []sbom.Notice
}

// For builds the program for each platform. What the go command says goes to stderr.
func (s Source) For(ctx context.Context, platforms []oci.Platform, stderr io.Writer) ([]Program, error) {
	temp, err := os.MkdirTemp("", "moot-compile-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	root, err := s.command(ctx, stderr, "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: go list: %w", err)
	}
	notices, err := sbom.NoticesIn(strings.TrimSpace(string(root)))
	if err != nil {
		return nil, fmt.Errorf("read the licence: %w", err)
	}
	var programs []Program
	for _, platform := range platforms {
		p, err := s.one(ctx, platform, filepath.Join(temp, platform.OS+"-"+platform.Architecture), stderr)
		if err != nil {
			return nil, fmt.Errorf("build the program for %s: %w", platform, err)
		}
		p.Notices = notices
		programs = append(programs, p)
	}
	return programs, nil
}

func (s Source) one(ctx context.Context, platform oci.Platform, out string, stderr io.Writer) (Program, error) {
	// What the environment may change in the program is set, so that the same source gives the same program. An empty GOEXPERIMENT is the toolchain's own choice; "none" would turn off what it has on.
	build := s.command(ctx, stderr, "build", "-trimpath", "-buildvcs=auto", "-ldflags", "-s -w", "-o", out, s.Package)
	build.Env = append(build.Environ(), "GOOS="+platform.OS, "GOARCH="+platform.Architecture, "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off")
	if err := build.Run(); err != nil {
		return Program{}, fmt.Errorf("go build: %w", err)
	}
	p := Program{Platform: platform}
	var err error
	if p.Data, err = os.ReadFile(out); err != nil {
		return Program{}, err
	}
	if p.Info, err = buildinfo.ReadFile(out); err != nil {
		return Program{}, err
	}
	if err := checkExperiments(p); err != nil {
		return Program{}, err
	}
	p.Modules, err = sbom.Modules(ctx, s.Folder, p.Info)
	return p, err
}

// checkExperiments refuses a program that was built with other experiments than the toolchain's own choice: go takes an empty GOEXPERIMENT for none given, and then that of "go env -w".
func checkExperiments(p Program) error {
	if list := p.Setting("GOEXPERIMENT"); list != "" {
		return fmt.Errorf("the program was built with the experiments %s, which come from go's settings: go env -u GOEXPERIMENT", list)
	}
	return nil
}

// command returns a go command in the source's folder, without flags from the environment or from "go env -w".
func (s Source) command(ctx context.Context, stderr io.Writer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = s.Folder, stderr
	cmd.Env = append(cmd.Environ(), "GOFLAGS="+sbom.GoFlags)
	return cmd
}

// Version returns what "moot version" prints first.
func (p Program) Version() string {
	if v := p.Info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "devel"
}

// Setting returns a setting of the build, "" if it has none of that name.
func (p Program) Setting(key string) string {
	for _, s := range p.Info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// Time returns the time that what is made of the program bears: epoch if given, in seconds since 1970
// (https://reproducible-builds.org/specs/source-date-epoch/), else the commit's, else 1970.
func (p Program) Time(epoch string) (time.Time, error) {
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || seconds < 0 {
			return time.Time{}, errors.New("SOURCE_DATE_EPOCH: want seconds since 1970, a whole number")
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, p.Setting("vcs.time"))
	if err != nil { // not built from a repository
		return time.Unix(0, 0).UTC(), nil
	}
	return at.UTC().Truncate(time.Second), nil
}

// License returns the licence of the program's own module, "" if it is not recognised.
func (p Program) License() string {
	own := sbom.Module{Notices: p.Notices}
	if l := own.License(); l != sbom.Unknown {
		return l
	}
	return ""
}

// Bill returns the program's bill of materials, which names its creator and bears a time.
func (p Program) Bill(creator string, created time.Time) ([]byte, error) {
	b := sbom.Program{
		Name: "moot", Version: p.Version(), Module: p.Info.Main.Path, License: p.License(), Platform: p.Platform.String(),
		SHA256: sha256.Sum256(p.Data), GoVersion: p.Info.GoVersion, Modules: slices.Clone(p.Modules), Created: created, Creator: creator,
	}
	if revision := p.Setting("vcs.revision"); revision != "" {
		b.Source = "git+" + Website + "@" + revision
	}
	return b.SPDX()
}

// ThirdParty returns the licences of the modules, which most of them want to travel with the program.
func (p Program) ThirdParty() []byte {
	var text strings.Builder
	for _, m := range p.Modules {
		for _, n := range m.Notices {
			fmt.Fprintf(&text, "==== %s %s, %s\n\n%s\n\n", m.Path, m.Version, n.Name, strings.TrimSpace(n.Text))
		}
	}
	return []byte(text.String())
}

// Unlicensed lists the modules whose licence was not recognised.
func (p Program) Unlicensed() (paths []string) {
	for _, m := range p.Modules {
		if m.License() == sbom.Unknown {
			paths = append(paths, m.Path)
		}
	}
	return paths
}

// maxTag is the length that a tag may have.
const maxTag = 128

var notInTag = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

// TagSafe returns version with what a tag can't hold replaced by "_", as Helm does it.
func TagSafe(version string) string {
	tag := notInTag.ReplaceAllString(version, "_")
	if strings.HasPrefix(tag, ".") || strings.HasPrefix(tag, "-") {
		tag = "_" + tag[1:]
	}
	return tag[:min(len(tag), maxTag)]
}
