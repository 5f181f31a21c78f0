package privatefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/internal/privatefile"
)

func TestRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes on Windows")
	}
	for _, tt := range []struct {
		name         string
		folder, file fs.FileMode
		size         int
		want         string // empty: it is read
	}{
		{"the owner's", 0o700, 0o600, 10, ""},
		{"read-only", 0o755, 0o400, 10, ""},
		{"its group can read it", 0o755, 0o640, 10, "others than its owner can read it (mode 0640)"},
		{"all can read it", 0o700, 0o604, 10, "others than its owner can read it (mode 0604)"},
		{"the group's, in a folder of the group", 0o770, 0o660, 10, ""},
		{"all can read it, in a folder of the group", 0o770, 0o664, 10, "others than its owner can read it (mode 0664)"},
		{"too large", 0o700, 0o600, 11, "it is too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "folder")
			path := filepath.Join(folder, "file")
			text := strings.Repeat("x", tt.size)
			// Modes are set apart, as what the process is allowed to give away is subtracted from those of new files.
			if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, tt.file), os.Chmod(folder, tt.folder)); err != nil {
				t.Fatal(err)
			}
			got, err := privatefile.Read(path, 10)
			if tt.want == "" {
				if err != nil || string(got) != text {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestReadWhatIsNoFile(t *testing.T) {
	if _, err := privatefile.Read(t.TempDir(), 10); !errors.Is(err, privatefile.ErrIrregular) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := privatefile.Read(filepath.Join(t.TempDir(), "none"), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}
