package oci

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// blobFolder holds a layout's blobs under the digits of their digests.
const blobFolder = "blobs/sha256/"

// Archive is a set of images under one name or several, one image for each platform.
type Archive struct {
	// References are the image's names, REPOSITORY:TAG each, one at least.
	References []string
	// Images has one image for each platform; runtimes that know no platforms take the first.
	Images []Image
	// Annotations of the index that holds the images.
	Annotations map[string]string
	// Modified is the time of each file of the archive.
	Modified time.Time
}

// dockerManifest is an image in the manifest.json of docker save.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// layout is an archive being put together.
type layout struct {
	files map[string][]byte
}

// put adds a blob and returns what points at it.
func (l *layout) put(mediaType string, blob []byte) Descriptor {
	d := Descriptor{MediaType: mediaType, Digest: digest(blob), Size: int64(len(blob))}
	l.files[blobPath(d)] = blob
	return d
}

func (l *layout) putJSON(mediaType string, v any) (Descriptor, error) {
	text, err := encode(v)
	if err != nil {
		return Descriptor{}, err
	}
	return l.put(mediaType, text), nil
}

func blobPath(d Descriptor) string { return blobFolder + strings.TrimPrefix(d.Digest, "sha256:") }

// Write writes the archive to w and returns what points at the index of the images: its digest is what a registry would name
// the image by.
func (a Archive) Write(w io.Writer) (Descriptor, error) {
	if len(a.References) == 0 || len(a.Images) == 0 {
		return Descriptor{}, errors.New("an archive needs a reference and an image")
	}
	l := layout{files: map[string][]byte{}}
	root, err := a.fill(&l)
	if err != nil {
		return Descriptor{}, fmt.Errorf("lay the image out: %w", err)
	}
	if err := l.write(w, a.Modified); err != nil {
		return Descriptor{}, fmt.Errorf("write the image archive: %w", err)
	}
	return root, nil
}

func (a Archive) fill(l *layout) (root Descriptor, err error) {
	index := Index{SchemaVersion: 2, MediaType: MediaTypeIndex, Annotations: a.Annotations}
	for i, image := range a.Images {
		d, manifest, err := image.fill(l)
		if err != nil {
			return Descriptor{}, err
		}
		if i == 0 {
			if err := a.fillDocker(l, manifest); err != nil {
				return Descriptor{}, err
			}
		}
		index.Manifests = append(index.Manifests, d)
	}
	if root, err = l.putJSON(MediaTypeIndex, index); err != nil {
		return Descriptor{}, err
	}
	top := Index{SchemaVersion: 2, MediaType: MediaTypeIndex}
	for _, reference := range a.References {
		named := root
		named.Annotations = map[string]string{AnnotationName: reference, AnnotationTag: reference[strings.LastIndex(reference, ":")+1:]}
		top.Manifests = append(top.Manifests, named)
	}
	if l.files["index.json"], err = encode(top); err != nil {
		return Descriptor{}, err
	}
	l.files["oci-layout"], err = encode(map[string]string{"imageLayoutVersion": LayoutVersion})
	return root, err
}

// fillDocker adds manifest.json.
func (a Archive) fillDocker(l *layout, m Manifest) (err error) {
	d := dockerManifest{Config: blobPath(m.Config), RepoTags: a.References}
	for _, layer := range m.Layers {
		d.Layers = append(d.Layers, blobPath(layer))
	}
	l.files["manifest.json"], err = encode([]dockerManifest{d})
	return err
}

func (i Image) fill(l *layout) (Descriptor, Manifest, error) {
	config, err := l.putJSON(MediaTypeConfig, Config{
		Created: i.Created, Platform: i.Platform, Config: i.Process,
		RootFS:  RootFS{Type: "layers", DiffIDs: []string{i.Layer.diffID}},
		History: []History{{Created: i.Created, CreatedBy: i.CreatedBy}},
	})
	if err != nil {
		return Descriptor{}, Manifest{}, err
	}
	m := Manifest{
		SchemaVersion: 2, MediaType: MediaTypeManifest, Config: config,
		Layers: []Descriptor{l.put(MediaTypeLayer, i.Layer.blob)}, Annotations: i.Annotations,
	}
	d, err := l.putJSON(MediaTypeManifest, m)
	d.Platform = &i.Platform
	return d, m, err
}

func (l *layout) write(w io.Writer, modified time.Time) error {
	archive := tar.NewWriter(w)
	for _, dir := range []string{"blobs/", blobFolder} {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: modified}); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.files)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(l.files[name])), ModTime: modified}
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		if _, err := archive.Write(l.files[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}
