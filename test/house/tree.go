package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxText is the size up to which a file is read; what is larger is data.
const maxText = 1 << 20

// A tree is every file under a root that somebody wrote.
type tree struct {
	files []*file
	fset  *token.FileSet
}

// A file is a text file; those in Go are parsed.
type file struct {
	path   string // relative to the root, with slashes
	folder string // "." for the root
	text   []byte
	syntax *ast.File // nil when not Go
	test   bool      // a _test.go file
}

// load reads the tree. Folders that the go command ignores, or that hold what tools wrote, are left out.
func load(root string) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && slices.Contains([]string{".git", "bin", "dist", "node_modules", "testdata"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > maxText {
			return err
		}
		return t.add(root, name)
	})
	return t, err
}

func (t *tree) add(root, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if bytes.IndexByte(text, 0) >= 0 { // a program or another binary
		return nil
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	f := &file{path: filepath.ToSlash(rel), text: text, test: strings.HasSuffix(name, "_test.go")}
	f.folder = path.Dir(f.path)
	if strings.HasSuffix(name, ".go") {
		f.syntax, err = parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
	}
	t.files = append(t.files, f)
	return nil
}

// code returns the Go files that are not tests. Packages named after another one with "test" at the end, such as a
// conformance suite, count as tests.
func (t *tree) code() []*file {
	return slices.DeleteFunc(slices.Clone(t.files), func(f *file) bool {
		return f.syntax == nil || f.test || strings.HasSuffix(f.folder, "test")
	})
}

func (t *tree) line(pos token.Pos) int { return t.fset.Position(pos).Line }

// below reports whether folder is one of parents or lies below one.
func below(folder string, parents ...string) bool {
	return slices.ContainsFunc(parents, func(p string) bool {
		return p == "*" || folder == p || strings.HasPrefix(folder, p+"/")
	})
}
