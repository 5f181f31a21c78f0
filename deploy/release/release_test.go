package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/deploy/compile"
)

// stub makes a module with the smallest program there is, and the files that a release takes from a repository.
func stub(t *testing.T) compile.Source {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                      "module example.org/stub\n\ngo 1.26\n",
		"stub.go":                     "// Command stub does nothing.\npackage main\n\nfunc main() {}\n",
		"LICENSE":                     "Apache License\nVersion 2.0",
		"README.md":                   "stub",
		"CHANGELOG.md":                "nothing",
		"deploy/systemd/moot.service": "[Unit]",
	} {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return compile.Source{Folder: folder, Package: "."}
}

// release writes a release of programs and returns its files.
func release(t *testing.T, args ...string) map[string][]byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "release")
	if err := run(t.Context(), stub(t), append([]string{"--programs-only", "--out", out}, args...), io.Discard, os.Stderr); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(out, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// untar returns the names and modes in a compressed tar archive.
func untar(t *testing.T, data []byte) (names []string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%o %s", h.Mode, h.Name))
	}
}

// unzip returns the names and modes in a zip archive.
func unzip(t *testing.T, data []byte) (names []string) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		names = append(names, fmt.Sprintf("%o %s", f.Mode().Perm(), f.Name))
	}
	return names
}

func TestRelease(t *testing.T) {
	files := release(t, "--platform", "linux/arm64", "--platform", "windows/amd64")
	want := []string{"SHA256SUMS", "moot-devel-linux-arm64.spdx.json", "moot-devel-linux-arm64.tar.gz", "moot-devel-windows-amd64.spdx.json", "moot-devel-windows-amd64.zip"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Fatalf("files %q, want %q", got, want)
	}
	for _, archive := range []struct {
		name      string
		got, want []string
	}{
		{"Linux", untar(t, files[want[2]]), []string{"755 ./moot", "644 ./THIRD-PARTY", "644 ./moot.spdx.json", "644 ./LICENSE", "644 ./README.md", "644 ./CHANGELOG.md", "644 ./moot.service"}},
		{"Windows", unzip(t, files[want[4]]), []string{"755 ./moot.exe", "644 ./THIRD-PARTY", "644 ./moot.spdx.json", "644 ./LICENSE", "644 ./README.md", "644 ./CHANGELOG.md"}},
	} {
		folder := map[string]string{"Linux": "moot-devel-linux-arm64", "Windows": "moot-devel-windows-amd64"}[archive.name]
		for i := range archive.want {
			archive.want[i] = strings.Replace(archive.want[i], " .", " "+folder, 1)
		}
		if !slices.Equal(archive.got, archive.want) {
			t.Errorf("%s: %q, want %q", archive.name, archive.got, archive.want)
		}
	}
	var sums strings.Builder
	for _, name := range want[1:] {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	if got := string(files["SHA256SUMS"]); got != sums.String() {
		t.Errorf("checksums\n%s, want\n%s", got, &sums)
	}
}

func TestTwoReleasesAreTheSame(t *testing.T) {
	one, other := release(t, "--platform", "windows/amd64"), release(t, "--platform", "windows/amd64")
	if !maps.EqualFunc(one, other, bytes.Equal) {
		t.Error("two releases of one source differ")
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--platform", "amd64"}, {"--unknown"}, {"extra"}, {"--platform", "linux/amd64", "--out", full}} {
		if err := run(t.Context(), stub(t), append([]string{"--programs-only"}, args...), io.Discard, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
