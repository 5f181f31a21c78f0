//go:build e2e

package e2e

import (
	"runtime"
	"testing"

	"github.com/folkmoot/folkmoot/test/moottest"
)

// TestOperatingSystem names the gap where there is no Linux: then every other test is left out at build time.
func TestOperatingSystem(t *testing.T) {
	if runtime.GOOS == "linux" {
		return
	}
	const gap = "GAP: end-to-end tests need Linux: network namespaces, tmpfs"
	if !moottest.GapsAllowed() {
		t.Fatal(gap)
	}
	t.Skip(gap)
}
