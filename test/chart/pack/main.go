//go:build linux

// Command pack packages the chart into dist, or another folder, for the image that "make image" makes of the same source: the chart's appVersion is the image's tag.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/folkmoot/folkmoot/deploy/compile"
	"github.com/folkmoot/folkmoot/test/kubernetes/cluster"
)

const chart = "deploy/helm/folkmoot"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	destination := flag.String("out", "dist", "`folder` to write into")
	flag.Parse()
	if err := pack(ctx, *destination); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(ctx context.Context, destination string) error {
	version, err := programVersion(ctx)
	if err != nil {
		return err
	}
	helm, err := cluster.HelmProgram(ctx, os.Stderr)
	if err != nil {
		return err
	}
	args := []string{"package", chart, "--destination", destination, "--app-version", compile.TagSafe(version)}
	if chartVersion := chartVersion(version); chartVersion != "" {
		args = append(args, "--version", chartVersion)
	}
	_, err = output(ctx, helm, args...)
	return err
}

// programVersion returns what "moot version" says when it is built from here.
func programVersion(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "moot-chart-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	moot := filepath.Join(dir, "moot")
	if _, err := output(ctx, "go", "build", "-trimpath", "-buildvcs=auto", "-o", moot, "./cmd/moot"); err != nil {
		return "", err
	}
	text, err := output(ctx, moot, "version", "--json")
	if err != nil {
		return "", err
	}
	var build struct{ Version string }
	if err := json.Unmarshal(text, &build); err != nil {
		return "", fmt.Errorf("read what moot version says: %w", err)
	}
	return build.Version, nil
}

var semantic = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+`)

// chartVersion returns the chart's version, which is semantic as Helm wants it; empty for a program that was not built from a repository: then the chart keeps its own.
func chartVersion(version string) string {
	if !semantic.MatchString(version) {
		return ""
	}
	return strings.TrimPrefix(version, "v")
}

func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}
