package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/deploy/compile"
	"github.com/folkmoot/folkmoot/deploy/image/oci"
	"github.com/folkmoot/folkmoot/deploy/image/oci/ocitest"
)

// stub makes a module with the smallest program there is, which compiles in a moment.
func stub(t *testing.T) compile.Source {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.org/stub\n\ngo 1.26\n",
		"stub.go":   "// Command stub does nothing.\npackage main\n\nfunc main() {}\n",
		"LICENSE":   "Apache License\nVersion 2.0",
		"README.md": "stub",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return compile.Source{Folder: folder, Package: "."}
}

// build runs the command with --json and reads the archive that it wrote.
func build(t *testing.T, from compile.Source, args ...string) (report, *ocitest.Archive, []byte) {
	t.Helper()
	var stdout bytes.Buffer
	if err := run(t.Context(), from, append([]string{"--json"}, args...), &stdout, os.Stderr); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, &stdout)
	}
	text, err := os.ReadFile(r.Archive)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ocitest.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return r, a, text
}

// TestImage builds a stub for two platforms and looks at all that the image promises.
func TestImage(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	out := filepath.Join(t.TempDir(), "new", "stub.tar")
	r, a, text := build(t, stub(t), "--out", out, "--tag", "1.2", "--tag", "registry.example:5000/team/moot:x")

	references := []string{"localhost/folkmoot/moot:1.2", "registry.example:5000/team/moot:x"}
	if !slices.Equal(r.References, references) || !slices.Equal(a.References, references) {
		t.Errorf("references: told %q, wrote %q", r.References, a.References)
	}
	if r.Digest != a.Digest || r.Archive != out || r.Size != int64(len(text)) || r.Version != "devel" || r.Created.Unix() != 1700000000 {
		t.Errorf("report %+v of an archive of %d bytes with %s", r, len(text), a.Digest)
	}
	if len(a.Images) != 2 || a.Images[0].Platform.String() != "linux/amd64" || a.Images[1].Platform.String() != "linux/arm64" {
		t.Fatalf("images %+v", a.Index.Manifests)
	}
	for i, image := range a.Images {
		checkConfig(t, image)
		checkFiles(t, image)
		bill, err := os.ReadFile(r.Platforms[i].SBOM)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bill, image.Files["usr/share/sbom/moot.spdx.json"].Data) || !json.Valid(bill) {
			t.Errorf("%s: the bill of materials beside the archive is not the one in the image", image.Platform)
		}
		if want := strings.TrimSuffix(out, ".tar") + "-linux-" + image.Platform.Architecture + ".spdx.json"; r.Platforms[i].SBOM != want {
			t.Errorf("bill of materials %s, want %s", r.Platforms[i].SBOM, want)
		}
	}
}

func checkConfig(t *testing.T, image ocitest.Image) {
	t.Helper()
	got := image.Config.Config
	labels := got.Labels
	got.Labels = nil
	want := oci.Process{
		User: "65532:65532", Env: []string{"PATH=/", "MOOT_HOME=/var/lib/moot"}, Entrypoint: []string{"/moot"}, Cmd: []string{"run"}, WorkingDir: "/",
		Volumes: map[string]struct{}{"/var/lib/moot": {}}, ExposedPorts: map[string]struct{}{"4242/tcp": {}, "4242/udp": {}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s runs as %+v, want %+v", image.Platform, got, want)
	}
	if !reflect.DeepEqual(labels, image.Manifest.Annotations) {
		t.Errorf("labels %q, annotations %q", labels, image.Manifest.Annotations)
	}
	for key, value := range map[string]string{"title": "Folkmoot", "version": "devel", "licenses": "Apache-2.0", "created": "2023-11-14T22:13:20Z"} {
		if got := labels["org.opencontainers.image."+key]; got != value {
			t.Errorf("label %s: %q, want %q", key, got, value)
		}
	}
}

func checkFiles(t *testing.T, image ocitest.Image) {
	t.Helper()
	type attributes struct {
		mode     int64
		uid, gid int
	}
	want := map[string]attributes{
		"moot": {0o755, 0, 0}, "tmp/": {0o1777, 0, 0},
		"usr/": {0o755, 0, 0}, "usr/share/": {0o755, 0, 0},
		"usr/share/sbom/": {0o755, 0, 0}, "usr/share/sbom/moot.spdx.json": {0o644, 0, 0},
		"usr/share/licenses/": {0o755, 0, 0}, "usr/share/licenses/moot/": {0o755, 0, 0},
		"usr/share/licenses/moot/LICENSE": {0o644, 0, 0}, "usr/share/licenses/moot/THIRD-PARTY": {0o644, 0, 0},
		"var/": {0o755, 0, 0}, "var/lib/": {0o755, 0, 0}, "var/lib/moot/": {0o700, 65532, 65532},
	}
	got := map[string]attributes{}
	for name, f := range image.Files {
		got[name] = attributes{f.Header.Mode, f.Header.Uid, f.Header.Gid}
		if f.Header.ModTime.Unix() != 1700000000 || f.Header.Uname != "" || f.Header.Gname != "" {
			t.Errorf("%s: %v, %q, %q", name, f.Header.ModTime, f.Header.Uname, f.Header.Gname)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s holds %v, want %v", image.Platform, got, want)
	}
	info, err := buildinfo.Read(bytes.NewReader(image.Files["moot"].Data))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"GOOS": "linux", "GOARCH": image.Platform.Architecture, "CGO_ENABLED": "0", "-trimpath": "true"} {
		if got := (compile.Program{Info: info}).Setting(key); got != value {
			t.Errorf("the program for %s was built with %s=%s", image.Platform, key, got)
		}
	}
}

func TestTwoBuildsOneDigest(t *testing.T) {
	platform := []string{"--platform", "linux/amd64"}
	var archives [][]byte
	for range 2 { // each in folders of other names
		out := filepath.Join(t.TempDir(), "stub.tar")
		_, _, text := build(t, stub(t), append(platform, "--out", out)...)
		archives = append(archives, text)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds differ")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1")
	if _, _, text := build(t, stub(t), append(platform, "--out", filepath.Join(t.TempDir(), "stub.tar"))...); bytes.Equal(text, archives[0]) {
		t.Error("the time given is not in the image")
	}
}

func TestReportSaysWhatToTypeNext(t *testing.T) {
	t.Chdir(t.TempDir())
	var stdout bytes.Buffer
	if err := run(t.Context(), stub(t), []string{"--platform", "linux/amd64"}, &stdout, os.Stderr); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"localhost/folkmoot/moot:devel\n", "localhost/folkmoot/moot:latest\n", "sha256:", "linux/amd64", "dist/moot-devel-linux-amd64.spdx.json",
		"kind load image-archive dist/moot-devel.tar\n", "ctr --namespace k8s.io images import dist/moot-devel.tar", "docker load --input dist/moot-devel.tar\n",
		"minikube image load dist/moot-devel.tar\n",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &stdout)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"--platform", "amd64"}, {"--tag", "a b"}, {"--tag", "x/y"}, {"--tag", "x/y:"}, {"--tag", ""}, {"--unknown"}, {"extra"},
	} {
		out := filepath.Join(t.TempDir(), "x.tar")
		if err := run(t.Context(), stub(t), append([]string{"--platform", "linux/amd64", "--out", out}, args...), io.Discard, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%q left an archive", args)
		}
	}
	broken := stub(t)
	if err := os.WriteFile(filepath.Join(broken.Folder, "stub.go"), []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), broken, []string{"--platform", "linux/amd64", "--out", filepath.Join(t.TempDir(), "x.tar")}, io.Discard, io.Discard); err == nil {
		t.Error("a program that does not compile became an image")
	}
}

func TestLabels(t *testing.T) {
	p := compile.Program{
		Platform: oci.Platform{OS: "linux", Architecture: "amd64"},
		Info:     &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}},
	}
	r := recipe{programs: []compile.Program{p}, references: []string{"x:1"}, created: time.Unix(0, 0).UTC()}
	if labels := r.labels(p); labels["org.opencontainers.image.revision"] != "abc" {
		t.Errorf("labels %q", labels)
	}
}
