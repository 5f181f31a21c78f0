// Command image writes Folkmoot's container image as an archive that every runtime loads, for several platforms, from nothing but the
// program: no base image, no registry, no Docker. Two builds of one commit give the same bytes.
//
// It writes OCI documents by itself: they are four small JSON texts and two tar files. The libraries that do it bring six modules and
// the larger part of a registry client along.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/folkmoot/folkmoot/deploy/compile"
	"github.com/folkmoot/folkmoot/deploy/image/oci"
)

// repository is the image's name without a tag. Nothing is ever pulled from it: the image is loaded from its archive.
const repository = "localhost/folkmoot/moot"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, compile.Moot(), os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "image:", err)
		stop()
		os.Exit(1)
	}
}

// options are the options of the command.
type options struct {
	out       string
	platforms []oci.Platform
	// references is empty where the version is to make them.
	references []string
	json       bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("image", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.out, "out", "", "`file` to write (default: dist/moot-VERSION.tar)")
	f.Func("platform", "`OS/ARCH` to build for; may be repeated (default: linux/amd64 and linux/arm64)", func(s string) error {
		p, err := oci.ParsePlatform(s)
		o.platforms = append(o.platforms, p)
		return err
	})
	f.Func("tag", "`tag`, or whole REPOSITORY:TAG, of the image; may be repeated (default: the version, and latest)", func(s string) error {
		r, err := reference(s)
		o.references = append(o.references, r)
		return err
	})
	f.BoolVar(&o.json, "json", false, "print one JSON document")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q; see --help", f.Arg(0))
	}
	if o.platforms == nil {
		o.platforms = []oci.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}
	}
	return o, nil
}

// run builds the image and reports on stdout; the go command's output goes to stderr.
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
		o.out = filepath.Join("dist", "moot-"+compile.TagSafe(version)+".tar")
	}
	if o.references == nil {
		o.references = []string{repository + ":" + compile.TagSafe(version), repository + ":latest"}
	}
	created, err := programs[0].Time(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	r, err := write(o.out, recipe{programs: programs, references: o.references, created: created})
	if err != nil {
		return err
	}
	if o.json {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	r.print(stdout)
	return nil
}

// reference returns the whole reference that a tag stands for.
func reference(text string) (string, error) {
	whole := text
	if !strings.ContainsAny(text, "/:") {
		whole = repository + ":" + text
	}
	name, tag, _ := strings.Cut(whole[strings.LastIndex(whole, "/")+1:], ":")
	if name == "" || tag == "" || compile.TagSafe(tag) != tag {
		return "", errors.New("want a tag, or REPOSITORY:TAG")
	}
	return whole, nil
}

// write writes the image's archive, and its bills of materials beside it.
func write(out string, r recipe) (report, error) {
	archive, bills, err := r.assemble()
	if err != nil {
		return report{}, err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return report{}, fmt.Errorf("make the folder of the archive: %w", err)
	}
	result := report{References: r.references, Archive: out, Version: r.programs[0].Version(), Created: r.created}
	root, err := writeArchive(out, archive)
	if err != nil {
		return report{}, err
	}
	result.Digest = root.Digest
	for i, p := range r.programs {
		name := strings.TrimSuffix(out, ".tar") + "-" + strings.ReplaceAll(p.Platform.String(), "/", "-") + ".spdx.json"
		if err := os.WriteFile(name, bills[i], 0o644); err != nil {
			return report{}, fmt.Errorf("write the bill of materials: %w", err)
		}
		result.Platforms = append(result.Platforms, platformReport{
			Platform: p.Platform.String(), Program: int64(len(p.Data)), Modules: len(p.Modules), Unlicensed: p.Unlicensed(), SBOM: name,
		})
	}
	info, err := os.Stat(out)
	if err != nil {
		return report{}, err
	}
	result.Size = info.Size()
	return result, nil
}

// writeArchive puts the archive in its place once it is complete.
func writeArchive(out string, archive oci.Archive) (oci.Descriptor, error) {
	f, err := os.CreateTemp(filepath.Dir(out), ".moot-*.tar")
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("create the archive: %w", err)
	}
	defer os.Remove(f.Name())
	root, err := archive.Write(f)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return oci.Descriptor{}, err
	}
	if err := os.Rename(f.Name(), out); err != nil {
		return oci.Descriptor{}, fmt.Errorf("put the archive in its place: %w", err)
	}
	return root, nil
}
