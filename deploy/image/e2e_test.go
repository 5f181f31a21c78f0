//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/deploy/image/oci/ocitest"
)

// TestImageOfThisCommit builds the real image twice, each time from a clone at a path of its own, wants the same bytes, and runs the
// program that is in it.
func TestImageOfThisCommit(t *testing.T) {
	var archives [2][]byte
	clone := "../.." // each is a clone of the one before, so that both hold the same commit
	for i, name := range []string{"one", "another/and-deeper"} {
		from := clone
		clone = filepath.Join(t.TempDir(), name)
		command(t, ".", "git", "clone", "--quiet", from, clone)
		out := filepath.Join(t.TempDir(), "moot.tar")
		stdout := command(t, clone, "go", "run", "./deploy/image", "--json", "--out", out)
		var r report
		if err := json.Unmarshal(stdout, &r); err != nil {
			t.Fatalf("%v in %s", err, stdout)
		}
		for _, p := range r.Platforms {
			if len(p.Unlicensed) > 0 {
				t.Errorf("%s: modules whose licence is not recognised: %q", p.Platform, p.Unlicensed)
			}
			if p.Modules < 50 {
				t.Errorf("%s: the bill of materials has %d modules", p.Platform, p.Modules)
			}
		}
		var err error
		if archives[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds of one commit differ")
	}
	a, err := ocitest.Read(archives[0])
	if err != nil {
		t.Fatal(err)
	}
	revision := strings.TrimSpace(string(command(t, clone, "git", "rev-parse", "HEAD")))
	for _, image := range a.Images {
		if got := image.Config.Config.Labels["org.opencontainers.image.revision"]; got != revision {
			t.Errorf("%s is labelled with revision %q, built from %s", image.Platform, got, revision)
		}
		if image.Platform.String() == runtime.GOOS+"/"+runtime.GOARCH {
			checkProgram(t, image)
		}
	}
}

// checkProgram runs the image's program, which says the same version as the image's label.
func checkProgram(t *testing.T, image ocitest.Image) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "moot")
	if err := os.WriteFile(path, image.Files["moot"].Data, 0o755); err != nil {
		t.Fatal(err)
	}
	said := command(t, ".", path, "version")
	want := "moot " + image.Config.Config.Labels["org.opencontainers.image.version"] + " "
	if !strings.HasPrefix(string(said), want) {
		t.Errorf("the program says %q, want %q", said, want)
	}
}

func command(t *testing.T, folder, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return out
}
