// Package ocitest reads image archives as a runtime does, and checks what runtimes take on trust: that every descriptor describes
// its blob, that digests before compression are right, and that nothing lies in the archive that nothing points at.
package ocitest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/folkmoot/folkmoot/deploy/image/oci"
)

// Archive is what an archive holds.
type Archive struct {
	// References are the names in index.json, in its order.
	References []string
	// Index is what all of the names stand for, and Digest its digest.
	Index  oci.Index
	Digest string
	// Images are those of the index, in its order.
	Images []Image
	// Docker is the text of manifest.json.
	Docker []byte
}

// Image is one platform's image.
type Image struct {
	Platform oci.Platform
	Manifest oci.Manifest
	Config   oci.Config
	// Files are the entries of its layers by their names, in Names the order of their appearance.
	Files map[string]File
	Names []string
}

// File is an entry of a layer.
type File struct {
	Header tar.Header
	Data   []byte
}

// reader reads an archive's documents.
type reader struct {
	entries map[string]File
	used    map[string]bool
}

// Read reads an archive and checks it.
func Read(archive []byte) (*Archive, error) {
	entries, _, err := untar(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	r := reader{entries, map[string]bool{"blobs/": true, "blobs/sha256/": true, "manifest.json": true}}
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := r.file("oci-layout", &layout); err != nil {
		return nil, err
	}
	if layout.Version != "1.0.0" {
		return nil, fmt.Errorf("layout version %q", layout.Version)
	}
	a := &Archive{Docker: entries["manifest.json"].Data}
	if err := r.names(a); err != nil {
		return nil, err
	}
	for _, d := range a.Index.Manifests {
		image, err := r.image(d)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", d.Digest, err)
		}
		a.Images = append(a.Images, image)
	}
	for name := range entries {
		if !r.used[name] {
			return nil, fmt.Errorf("nothing points at %s", name)
		}
	}
	return a, a.checkDocker()
}

// names reads index.json.
func (r reader) names(a *Archive) error {
	var top oci.Index
	if err := r.file("index.json", &top); err != nil {
		return err
	}
	if top.SchemaVersion != 2 || top.MediaType != oci.MediaTypeIndex || len(top.Manifests) == 0 {
		return fmt.Errorf("index.json: version %d, %s, %d manifests", top.SchemaVersion, top.MediaType, len(top.Manifests))
	}
	for _, d := range top.Manifests {
		reference := d.Annotations["io.containerd.image.name"]
		if !strings.HasSuffix(reference, ":"+d.Annotations["org.opencontainers.image.ref.name"]) {
			return fmt.Errorf("reference %q and tag %q", reference, d.Annotations["org.opencontainers.image.ref.name"])
		}
		if a.Digest != "" && a.Digest != d.Digest {
			return fmt.Errorf("%s stands for another image than %s", reference, a.References[0])
		}
		a.References, a.Digest = append(a.References, reference), d.Digest
		if err := r.document(d, oci.MediaTypeIndex, &a.Index); err != nil {
			return err
		}
	}
	if a.Index.SchemaVersion != 2 || a.Index.MediaType != oci.MediaTypeIndex {
		return fmt.Errorf("index: version %d, %s", a.Index.SchemaVersion, a.Index.MediaType)
	}
	return nil
}

func (r reader) image(d oci.Descriptor) (i Image, err error) {
	if err := r.document(d, oci.MediaTypeManifest, &i.Manifest); err != nil {
		return i, err
	}
	if err := r.document(i.Manifest.Config, oci.MediaTypeConfig, &i.Config); err != nil {
		return i, err
	}
	if i.Manifest.SchemaVersion != 2 || i.Manifest.MediaType != oci.MediaTypeManifest {
		return i, fmt.Errorf("manifest: version %d, %s", i.Manifest.SchemaVersion, i.Manifest.MediaType)
	}
	if d.Platform == nil || *d.Platform != i.Config.Platform {
		return i, fmt.Errorf("listed for %v, made for %v", d.Platform, i.Config.Platform)
	}
	i.Platform = i.Config.Platform
	if len(i.Manifest.Layers) != 1 || i.Config.RootFS.Type != "layers" || len(i.Config.RootFS.DiffIDs) != 1 || len(i.Config.History) != 1 {
		return i, fmt.Errorf("%d layers, %+v, %d entries of history: want one each", len(i.Manifest.Layers), i.Config.RootFS, len(i.Config.History))
	}
	packed, err := r.blob(i.Manifest.Layers[0], oci.MediaTypeLayer)
	if err != nil {
		return i, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return i, err
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return i, err
	}
	if want := i.Config.RootFS.DiffIDs[0]; digest(plain) != want {
		return i, fmt.Errorf("the layer is %s before compression, not %s", digest(plain), want)
	}
	i.Files, i.Names, err = untar(bytes.NewReader(plain))
	return i, err
}

// checkDocker checks manifest.json, which runtimes without OCI layouts read: it stands for the first image.
func (a *Archive) checkDocker() error {
	var images []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := decode(a.Docker, &images); err != nil {
		return fmt.Errorf("manifest.json: %w", err)
	}
	first := a.Images[0].Manifest
	if len(images) != 1 || images[0].Config != blobName(first.Config) || len(images[0].Layers) != 1 ||
		images[0].Layers[0] != blobName(first.Layers[0]) || strings.Join(images[0].RepoTags, " ") != strings.Join(a.References, " ") {
		return fmt.Errorf("manifest.json does not describe the first image: %+v", images)
	}
	return nil
}

func (r reader) file(name string, v any) error {
	f, ok := r.entries[name]
	if !ok {
		return fmt.Errorf("%s is missing", name)
	}
	r.used[name] = true
	if err := decode(f.Data, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (r reader) document(d oci.Descriptor, mediaType string, v any) error {
	blob, err := r.blob(d, mediaType)
	if err != nil {
		return err
	}
	return decode(blob, v)
}

func (r reader) blob(d oci.Descriptor, mediaType string) ([]byte, error) {
	f, ok := r.entries[blobName(d)]
	switch {
	case d.MediaType != mediaType:
		return nil, fmt.Errorf("%s is %s, want %s", d.Digest, d.MediaType, mediaType)
	case !ok:
		return nil, fmt.Errorf("%s is missing", d.Digest)
	case digest(f.Data) != d.Digest, int64(len(f.Data)) != d.Size:
		return nil, fmt.Errorf("%s of %d bytes is %s of %d", d.Digest, d.Size, digest(f.Data), len(f.Data))
	}
	r.used[blobName(d)] = true
	return f.Data, nil
}

func blobName(d oci.Descriptor) string { return "blobs/" + strings.Replace(d.Digest, ":", "/", 1) }

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// decode reads one JSON text that holds nothing unknown.
func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON text")
	}
	return nil
}

func untar(r io.Reader) (entries map[string]File, names []string, err error) {
	entries = map[string]File{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries, names, nil
		} else if err != nil {
			return nil, nil, err
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, nil, err
		}
		if _, twice := entries[h.Name]; twice {
			return nil, nil, fmt.Errorf("%s is there twice", h.Name)
		}
		entries[h.Name] = File{*h, data}
		names = append(names, h.Name)
	}
}
