package goldentest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/internal/goldentest"
)

// watched is a test that notes what it is failed for.
type watched struct {
	testing.TB
	errors []string
}

func (w *watched) Helper() {}

func (w *watched) Errorf(format string, args ...any) { w.errors = append(w.errors, format) }

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := &watched{TB: t}
	if goldentest.Check(w, path, []byte("new"), false, "this"); len(w.errors) != 1 || !strings.Contains(w.errors[0], "look at the difference") {
		t.Errorf("errors %q of a file that is not current", w.errors)
	}
	w = &watched{TB: t}
	goldentest.Check(w, path, []byte("new"), true, "this")
	goldentest.Check(w, path, []byte("new"), false, "this")
	if len(w.errors) > 0 {
		t.Errorf("errors %q of a file that was written", w.errors)
	}
}
