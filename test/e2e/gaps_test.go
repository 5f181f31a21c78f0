//go:build e2e

package e2e

import (
	"os"
	"runtime"
	"testing"
)

// gapsAllowed reports whether tests may be left out where the machine can't run them.
func gapsAllowed() bool {
	switch os.Getenv("MOOT_ALLOW_GAPS") {
	case "0":
		return false
	case "1":
		return true
	}
	return os.Getenv("CI") != "true"
}

// TestOperatingSystem names the gap where there is no Linux: then every other test is left out at build time.
func TestOperatingSystem(t *testing.T) {
	if runtime.GOOS == "linux" {
		return
	}
	const gap = "GAP: end-to-end tests need Linux: network namespaces, tmpfs"
	if !gapsAllowed() {
		t.Fatal(gap)
	}
	t.Skip(gap)
}
