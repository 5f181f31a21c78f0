//go:build e2e && linux

package e2e

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// TestDisaster carries out docs/disaster.md to the letter: keys, disks, a validator, and half of the voting power are lost, and what was there before is there after.
func TestDisaster(t *testing.T) {
	v := newVillage(t, []string{"ann", "bob", "carol", "dan"})
	v.follow("../../docs/disaster.md", 2*time.Minute)
	eventually(t, ledgerPatience, func() error {
		if l := decode[v1.Ledger](t, v.neighbours["bob"].peers["node"].do("ledger", "--json")); l.Total != 2 || l.Power != 1 || l.Syncing || l.Problem != "" {
			return fmt.Errorf("the successor: %+v", l)
		}
		return nil
	})
}
