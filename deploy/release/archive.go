package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/deploy/compile"
)

// creator is what a bill of materials names as its maker.
const creator = "folkmoot-deploy-release"

// A file is one of an archive.
type file struct {
	name string
	mode fs.FileMode
	data []byte
}

// writeProgram writes the archive of a program, and its bill of materials beside it.
func writeProgram(from compile.Source, out string, p compile.Program) error {
	created, err := p.Time(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	bill, err := p.Bill(creator, created)
	if err != nil {
		return err
	}
	files, err := contents(from, p, bill)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("moot-%s-%s-%s", compile.TagSafe(p.Version()), p.Platform.OS, p.Platform.Architecture)
	var archive bytes.Buffer
	suffix := ".tar.gz"
	if p.Platform.OS == "windows" {
		suffix = ".zip"
		err = writeZip(&archive, name, files, created)
	} else {
		err = writeTar(&archive, name, files, created)
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, name+suffix), archive.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, name+".spdx.json"), bill, 0o644)
}

// contents returns the files of a program's archive: beside the program what its licence asks for, what has changed, and on Linux the unit that runs it as a service.
func contents(from compile.Source, p compile.Program, bill []byte) ([]file, error) {
	program := "moot"
	if p.Platform.OS == "windows" {
		program += ".exe"
	}
	files := []file{{program, 0o755, p.Data}, {"THIRD-PARTY", 0o644, p.ThirdParty()}, {"moot.spdx.json", 0o644, bill}}
	for _, n := range p.Notices {
		files = append(files, file{n.Name, 0o644, []byte(n.Text)})
	}
	texts := []string{"README.md", "CHANGELOG.md"}
	if p.Platform.OS == "linux" {
		texts = append(texts, "deploy/systemd/moot.service")
	}
	for _, path := range texts {
		data, err := os.ReadFile(filepath.Join(from.Folder, path))
		if err != nil {
			return nil, err
		}
		files = append(files, file{filepath.Base(path), 0o644, data})
	}
	return files, nil
}

// writeTar writes files below a folder as a compressed tar archive, all with one time and without an owner.
func writeTar(w io.Writer, folder string, files []file, modified time.Time) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + f.name, Mode: int64(f.mode.Perm()), Size: int64(len(f.data)), ModTime: modified, Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

// writeZip is writeTar as a zip archive.
func writeZip(w io.Writer, folder string, files []file, modified time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: folder + "/" + f.name, Method: zip.Deflate, Modified: modified}
		h.SetMode(f.mode)
		entry, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}
