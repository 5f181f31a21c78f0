//go:build e2e && linux

package e2e

import (
	"testing"
	"time"
)

// TestDisaster carries out docs/disaster.md to the letter: keys, disks, a validator, and half of the voting power are lost, and what was there before is there after.
func TestDisaster(t *testing.T) {
	v := newVillage(t, []string{"ann", "bob", "carol", "dan"})
	v.follow("../../docs/disaster.md", 2*time.Minute)
}
