//go:build kubernetes && !linux

package e2e

import (
	"testing"

	"github.com/folkmoot/folkmoot/test/moottest"
)

// TestOperatingSystem names the gap where there is no Linux: then every other test is left out at build time.
func TestOperatingSystem(t *testing.T) {
	const gap = "GAP: a Kubernetes of our own needs Linux"
	if !moottest.GapsAllowed() {
		t.Fatal(gap)
	}
	t.Skip(gap)
}
