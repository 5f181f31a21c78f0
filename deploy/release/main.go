// Command release writes all that a release consists of into one folder: an archive of the program for each platform with its bill of materials, the container image, the chart, and the checksums of
// all. Two runs on one commit give the same bytes.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/folkmoot/folkmoot/deploy/compile"
	"github.com/folkmoot/folkmoot/deploy/image/oci"
)

// sums is the file with the checksums, which "sha256sum --check" reads.
const sums = "SHA256SUMS"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, compile.Moot(), os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

// options are the options of the command.
type options struct {
	out          string
	platforms    []oci.Platform
	programsOnly bool
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("release", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.out, "out", "", "`folder` to write, which is not there yet or empty (default: dist/moot-VERSION)")
	f.Func("platform", "`OS/ARCH` to build the program for; may be repeated (default: Linux, macOS and Windows, amd64 and arm64)", func(s string) error {
		p, err := oci.ParsePlatform(s)
		o.platforms = append(o.platforms, p)
		return err
	})
	f.BoolVar(&o.programsOnly, "programs-only", false, "leave the image and the chart out")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q; see --help", f.Arg(0))
	}
	if o.platforms == nil {
		for _, system := range []string{"linux", "darwin", "windows"} {
			for _, architecture := range []string{"amd64", "arm64"} {
				o.platforms = append(o.platforms, oci.Platform{OS: system, Architecture: architecture})
			}
		}
	}
	return o, nil
}

// run writes a release of a source, lists on stdout what is in it, and passes to stderr what the go command says.
func run(ctx context.Context, from compile.Source, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	programs, err := from.For(ctx, o.platforms, stderr)
	if err != nil {
		return err
	}
	version := programs[0].Version()
	if o.out == "" {
		o.out = filepath.Join("dist", "moot-"+compile.TagSafe(version))
	}
	if err := makeEmpty(o.out); err != nil {
		return err
	}
	for _, p := range programs {
		if err := writeProgram(from, o.out, p); err != nil {
			return fmt.Errorf("write the program for %s: %w", p.Platform, err)
		}
	}
	if !o.programsOnly {
		if err := writeImageAndChart(ctx, o.out, compile.TagSafe(version), stderr); err != nil {
			return err
		}
	}
	return sum(o.out, stdout)
}

// makeEmpty makes a folder, or sees that it is empty: what lies there would get into the checksums.
func makeEmpty(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the folder of the release: %w", err)
	}
	entries, err := os.ReadDir(folder)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: remove it, or name another folder with --out", folder)
	}
	return err
}

// writeImageAndChart has the commands that make the image and the chart do so.
func writeImageAndChart(ctx context.Context, out, version string, stderr io.Writer) error {
	for name, args := range map[string][]string{
		"image": {"run", "./deploy/image", "--out", filepath.Join(out, "moot-"+version+"-image.tar")},
		"chart": {"run", "./test/chart/pack", "--out", out},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Stderr = stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("make the %s: %w", name, err)
		}
	}
	return nil
}

// sum writes the checksums of all files of a folder, and lists them with their sizes.
func sum(folder string, stdout io.Writer) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	var lines strings.Builder
	for _, name := range names {
		digest, size, err := digestOf(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", digest, name)
		fmt.Fprintf(stdout, "%s  %.1f MB\n", filepath.Join(folder, name), float64(size)/1e6)
	}
	if err := os.WriteFile(filepath.Join(folder, sums), []byte(lines.String()), 0o644); err != nil {
		return fmt.Errorf("write the checksums: %w", err)
	}
	fmt.Fprintln(stdout, filepath.Join(folder, sums))
	return nil
}

func digestOf(path string) (digest []byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return h.Sum(nil), size, err
}
