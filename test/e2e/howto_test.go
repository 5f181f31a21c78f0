//go:build e2e && linux

package e2e

import (
	"testing"
	"time"
)

// TestHowTo carries out docs/howto.md to the letter: two organisations make a network, one of them loses its disk and comes back, is upgraded, and gets new keys.
func TestHowTo(t *testing.T) {
	v := newVillage(t, []string{"mill", "bakery"})
	v.follow("../../docs/howto.md", 2*time.Minute, "from the bakery", "the bakery")
}
