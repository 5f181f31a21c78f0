package oci_test

import (
	"bytes"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/deploy/image/oci"
	"github.com/folkmoot/folkmoot/deploy/image/oci/ocitest"
)

var (
	created = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	amd64   = oci.Platform{OS: "linux", Architecture: "amd64"}
	arm64   = oci.Platform{OS: "linux", Architecture: "arm64"}
)

func archive(t *testing.T, platforms ...oci.Platform) oci.Archive {
	t.Helper()
	a := oci.Archive{References: []string{"localhost/x/y:1", "localhost/x/y:latest"}, Annotations: map[string]string{"a": "b <c>"}, Modified: created}
	for _, p := range platforms {
		layer, err := oci.NewLayer([]oci.File{
			{Path: "/program", Mode: 0o755, Data: []byte("program for " + p.String())},
			{Path: "/var/lib/x", Mode: fs.ModeDir | 0o700, UID: 7, GID: 8},
			{Path: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		}, created)
		if err != nil {
			t.Fatal(err)
		}
		a.Images = append(a.Images, oci.Image{
			Platform: p, Created: created, CreatedBy: "test", Layer: layer, Annotations: map[string]string{"p": p.String()},
			Process: oci.Process{
				User: "7:8", Env: []string{"PATH=/"}, Entrypoint: []string{"/program"}, Cmd: []string{"run"}, WorkingDir: "/",
				Volumes: map[string]struct{}{"/var/lib/x": {}}, ExposedPorts: map[string]struct{}{"1/tcp": {}}, Labels: map[string]string{"l": "m"},
			},
		})
	}
	return a
}

func write(t *testing.T, a oci.Archive) ([]byte, oci.Descriptor) {
	t.Helper()
	var b bytes.Buffer
	d, err := a.Write(&b)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), d
}

func TestArchiveIsWhatRuntimesRead(t *testing.T) {
	a := archive(t, amd64, arm64)
	text, root := write(t, a)
	got, err := ocitest.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	if root.Digest != got.Digest || root.MediaType != oci.MediaTypeIndex {
		t.Errorf("told of %s %s, wrote %s", root.MediaType, root.Digest, got.Digest)
	}
	if !slices.Equal(got.References, a.References) || got.Index.Annotations["a"] != "b <c>" || len(got.Images) != 2 {
		t.Errorf("references %q, annotations %q, %d images", got.References, got.Index.Annotations, len(got.Images))
	}
	for i, image := range got.Images {
		want := a.Images[i]
		if image.Platform != want.Platform || !image.Config.Created.Equal(created) || !reflect.DeepEqual(image.Config.Config, want.Process) {
			t.Errorf("configuration of %s: %+v", want.Platform, image.Config)
		}
		if image.Manifest.Annotations["p"] != want.Platform.String() || image.Config.History[0].CreatedBy != "test" {
			t.Errorf("annotations %q, history %+v", image.Manifest.Annotations, image.Config.History)
		}
		if data := string(image.Files["program"].Data); data != "program for "+want.Platform.String() {
			t.Errorf("program of %s: %q", want.Platform, data)
		}
	}
}

func TestLayerSaysWhoseFilesAre(t *testing.T) {
	text, _ := write(t, archive(t, amd64))
	got, err := ocitest.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	image := got.Images[0]
	if want := []string{"program", "tmp/", "var/", "var/lib/", "var/lib/x/"}; !slices.Equal(image.Names, want) {
		t.Fatalf("files %q, want %q: sorted, with the folders that hold them", image.Names, want)
	}
	for name, want := range map[string]struct {
		mode     int64
		uid, gid int
	}{"program": {0o755, 0, 0}, "tmp/": {0o1777, 0, 0}, "var/": {0o755, 0, 0}, "var/lib/x/": {0o700, 7, 8}} {
		h := image.Files[name].Header
		if h.Mode != want.mode || h.Uid != want.uid || h.Gid != want.gid {
			t.Errorf("%s: mode %o, owner %d:%d, want %+v", name, h.Mode, h.Uid, h.Gid, want)
		}
		if h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(created) {
			t.Errorf("%s: names %q and %q, time %v", name, h.Uname, h.Gname, h.ModTime)
		}
	}
}

func TestSameInputSameBytes(t *testing.T) {
	one, _ := write(t, archive(t, amd64, arm64))
	two, _ := write(t, archive(t, amd64, arm64))
	if !bytes.Equal(one, two) {
		t.Error("two archives of the same images differ")
	}
	later := archive(t, amd64, arm64)
	later.Images[0].Created = created.Add(time.Second)
	three, d := write(t, later)
	if _, root := write(t, archive(t, amd64, arm64)); bytes.Equal(one, three) || d.Digest == root.Digest {
		t.Error("another configuration has the same digest")
	}
}

// TestCheckedReaderFindsDamage shows that the other tests rely on a reader that looks.
func TestCheckedReaderFindsDamage(t *testing.T) {
	text, root := write(t, archive(t, amd64))
	for _, damaged := range [][]byte{
		bytes.Replace(text, []byte(`"Env":["PATH=/"]`), []byte(`"Env":["PATH=x"]`), 1),
		bytes.Replace(text, []byte(`"imageLayoutVersion":"1.0.0"`), []byte(`"imageLayoutVersion":"1.0.9"`), 1),
		bytes.Replace(text, []byte(root.Digest), []byte("sha256:"+strings.Repeat("0", 64)), 1),
		text[:len(text)/2],
	} {
		if bytes.Equal(damaged, text) {
			t.Fatal("nothing was damaged")
		}
		if _, err := ocitest.Read(damaged); err == nil {
			t.Error("damage went unnoticed")
		}
	}
}

func TestImpossibleLayersAndArchivesAreRefused(t *testing.T) {
	for name, files := range map[string][]oci.File{
		"relative":      {{Path: "x"}},
		"not clean":     {{Path: "/x/../y"}},
		"the root":      {{Path: "/"}},
		"twice":         {{Path: "/x"}, {Path: "/x"}},
		"within a file": {{Path: "/x"}, {Path: "/x/y"}},
	} {
		if _, err := oci.NewLayer(files, created); err == nil {
			t.Errorf("%s: made a layer", name)
		}
	}
	for name, a := range map[string]oci.Archive{
		"no reference": {Images: archive(t, amd64).Images},
		"no image":     {References: []string{"x:1"}},
	} {
		if _, err := a.Write(&bytes.Buffer{}); err == nil {
			t.Errorf("%s: wrote an archive", name)
		}
	}
}

func TestParsePlatform(t *testing.T) {
	for text, want := range map[string]oci.Platform{"linux/amd64": amd64, "linux/arm64": arm64, "linux": {}, "/amd64": {}, "linux/": {}, "linux/arm/v7": {}, "": {}} {
		got, err := oci.ParsePlatform(text)
		if got != want || (err == nil) != (want != oci.Platform{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if err == nil && got.String() != text {
			t.Errorf("%v is written %q", got, got.String())
		}
	}
}
