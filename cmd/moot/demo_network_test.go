package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDemoWithoutRoom fails with an error where the peers' homes can't be made.
func TestDemoWithoutRoom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDemo(file, 2); err == nil {
		t.Error("a demo in a file")
	}
}
