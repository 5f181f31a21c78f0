package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// A File is a file or folder of a layer.
type File struct {
	// Path is absolute and clean.
	Path string
	// Mode holds the permissions, with fs.ModeDir for a folder and fs.ModeSticky for a shared one.
	Mode     fs.FileMode
	UID, GID int
	Data     []byte
}

// A Layer is a compressed tar of files.
type Layer struct {
	blob   []byte
	diffID string
	size   int64
}

// Size returns the bytes of the layer before compression.
func (l Layer) Size() int64 { return l.size }

// NewLayer packs files, all with the time modified. Folders that hold them and are not given belong to root and have mode 0755.
func NewLayer(files []File, modified time.Time) (Layer, error) {
	all, err := withParents(files)
	if err != nil {
		return Layer{}, err
	}
	var plain bytes.Buffer
	archive := tar.NewWriter(&plain)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := addFile(archive, all[name], modified); err != nil {
			return Layer{}, fmt.Errorf("add %s to the layer: %w", name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return Layer{}, fmt.Errorf("end the layer: %w", err)
	}
	l := Layer{diffID: digest(plain.Bytes()), size: int64(plain.Len())}
	l.blob, err = compress(plain.Bytes())
	return l, err
}

func withParents(files []File) (map[string]File, error) {
	all := map[string]File{}
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
			return nil, fmt.Errorf("file %q of the layer: want a clean absolute path", f.Path)
		}
		if _, twice := all[f.Path]; twice {
			return nil, fmt.Errorf("file %s of the layer is given twice", f.Path)
		}
		all[f.Path] = f
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if parent, ok := all[dir]; !ok {
				all[dir] = File{Path: dir, Mode: fs.ModeDir | 0o755}
			} else if !parent.Mode.IsDir() {
				return nil, fmt.Errorf("file %s of the layer lies in %s, which is no folder", f.Path, dir)
			}
		}
	}
	return all, nil
}

func addFile(archive *tar.Writer, f File, modified time.Time) error {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.Path, "/"), Size: int64(len(f.Data)),
		Mode: int64(f.Mode.Perm()), Uid: f.UID, Gid: f.GID, ModTime: modified,
	}
	if f.Mode.IsDir() {
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	}
	if f.Mode&fs.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err := archive.Write(f.Data)
	return err
}

// compress returns plain under gzip, with neither a name nor a time in its header.
func compress(plain []byte) ([]byte, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(plain); err != nil {
		return nil, fmt.Errorf("compress the layer: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress the layer: %w", err)
	}
	return packed.Bytes(), nil
}
