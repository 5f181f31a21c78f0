//go:build e2e && linux

package e2e

import (
	"testing"
	"time"
)

// TestTutorial carries out docs/tutorial.md to the letter.
func TestTutorial(t *testing.T) {
	v := newVillage(t, []string{"you", "friend"}, "somebody")
	v.follow("../../docs/tutorial.md", time.Minute, "hello from my machine", "still here", "2.50 HOURS", "for the garden")
}
