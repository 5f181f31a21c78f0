package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/fault"
)

func TestBackupThroughTheAPI(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "node.tar")
	b.must("backup", file)
	if got, err := os.ReadFile(file); err != nil || string(got) != apitest.BackupText {
		t.Errorf("%q, %v", got, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	b.env[passphraseVariable] = "secret"
	b.fails(exitUsage, []string{"backup", file}, "from its home only")
	delete(b.env, passphraseVariable)
	b.backend.Intercept(func(context.Context, string) error { return fault.New(fault.Unavailable, "not now") })
	b.fails(exitIncomplete, []string{"backup", file}, "not now")
	if got, err := os.ReadFile(file); err != nil || string(got) != apitest.BackupText {
		t.Errorf("a backup that failed left %q, %v", got, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("%d files left, want 1", len(left))
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(exitUsage, []string{"backup", file, "--passphrase-file", empty}, "one line")
	b.fails(exitFailed, []string{"backup", file, "--passphrase-file", empty + "-not"}, "--passphrase-file")
	b.fails(exitFailed, []string{"backup", filepath.Join(file, "x")}, "check the file's name")
	b.fails(exitFailed, []string{"restore", empty + "-not"}, "check the file's name")
}
