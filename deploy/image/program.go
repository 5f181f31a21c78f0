package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/deploy/image/oci"
	"github.com/folkmoot/folkmoot/deploy/image/sbom"
)

// source is what programs are compiled from.
type source struct {
	// folder lies in the module; program is the package of the program in it.
	folder, program string
}

// program is a program for one platform.
type program struct {
	platform oci.Platform
	data     []byte
	info     *debug.BuildInfo
	// modules are those that it was built from, without its own, whose licence files are notices.
	modules []sbom.Module
	notices []sbom.Notice
}

// compile builds the program for each platform.
func (s source) compile(ctx context.Context, platforms []oci.Platform, stderr io.Writer) ([]program, error) {
	temp, err := os.MkdirTemp("", "moot-image-")
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
	var programs []program
	for _, platform := range platforms {
		p, err := s.compileFor(ctx, platform, filepath.Join(temp, platform.Architecture), stderr)
		if err != nil {
			return nil, fmt.Errorf("build the program for %s: %w", platform, err)
		}
		p.notices = notices
		programs = append(programs, p)
	}
	return programs, nil
}

func (s source) compileFor(ctx context.Context, platform oci.Platform, out string, stderr io.Writer) (program, error) {
	// What the environment may change in the program is set, so that the same source gives the same program.
	build := s.command(ctx, stderr, "build", "-trimpath", "-buildvcs=auto", "-ldflags", "-s -w", "-o", out, s.program)
	build.Env = append(build.Environ(), "GOOS="+platform.OS, "GOARCH="+platform.Architecture, "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off")
	if err := build.Run(); err != nil {
		return program{}, fmt.Errorf("go build: %w", err)
	}
	p := program{platform: platform}
	var err error
	if p.data, err = os.ReadFile(out); err != nil {
		return program{}, err
	}
	if p.info, err = buildinfo.ReadFile(out); err != nil {
		return program{}, err
	}
	p.modules, err = sbom.Modules(ctx, s.folder, p.info)
	return p, err
}

// command returns a go command in the source's folder, without flags from the environment or from "go env -w".
func (s source) command(ctx context.Context, stderr io.Writer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = s.folder, stderr
	cmd.Env = append(cmd.Environ(), "GOFLAGS="+sbom.GoFlags)
	return cmd
}

// version returns what "moot version" prints first.
func (p program) version() string {
	if v := p.info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "devel"
}

// setting returns a setting of the build, "" if it has none of that name.
func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// creationTime returns the time that the image bears: epoch if given, in seconds since 1970
// (https://reproducible-builds.org/specs/source-date-epoch/), else the commit's, else 1970.
func creationTime(info *debug.BuildInfo, epoch string) (time.Time, error) {
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || seconds < 0 {
			return time.Time{}, errors.New("SOURCE_DATE_EPOCH: want seconds since 1970, a whole number")
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, setting(info, "vcs.time"))
	if err != nil { // not built from a repository
		return time.Unix(0, 0).UTC(), nil
	}
	return at.UTC().Truncate(time.Second), nil
}

// maxTag is the length that a tag may have.
const maxTag = 128

var notInTag = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

// tagSafe returns version with what a tag can't hold replaced by "_", as Helm does it.
func tagSafe(version string) string {
	tag := notInTag.ReplaceAllString(version, "_")
	if strings.HasPrefix(tag, ".") || strings.HasPrefix(tag, "-") {
		tag = "_" + tag[1:]
	}
	return tag[:min(len(tag), maxTag)]
}
