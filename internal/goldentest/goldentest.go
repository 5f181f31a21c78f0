// Package goldentest holds files that are committed to what the code makes of them.
package goldentest

import (
	"bytes"
	"os"
	"testing"
)

// Check fails a test when the file at path does not hold what it is to hold. With update it is written first. remedy is the command that writes it.
func Check(t testing.TB, path string, want []byte, update bool, remedy string) {
	t.Helper()
	if update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code makes of it: run %s, and look at the difference", path, remedy)
	}
}
