//go:build e2e && linux

package e2e

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// TestCurrency carries out docs/currency.md to the letter: two people on two machines run a currency and a register of claims, prove to a third what happened, and lose a validator.
func TestCurrency(t *testing.T) {
	v := newVillage(t, []string{"ann", "bob"}, "carol")
	v.follow("../../docs/currency.md", time.Minute, "12.50 FLOUR", "memo: for the north field", "the record claims/1", "anchored in block", "1025")
	back := v.neighbours["ann"].peers["a2"]
	eventually(t, ledgerPatience, func() error {
		l := decode[v1.Ledger](t, back.do("ledger", "--json"))
		now := decode[v1.Ledger](t, v.neighbours["bob"].peers["b1"].do("ledger", "--json"))
		if l.Height < now.Height || l.Syncing || l.Problem != "" || l.Power == 0 {
			return fmt.Errorf("the validator that was lost: %+v, another: %+v", l, now)
		}
		return nil
	})
}
