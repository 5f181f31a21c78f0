//go:build sim

package ledger_test

import (
	"testing"

	"github.com/folkmoot/folkmoot/ledger"
)

// TestReferenceAtFullSize wants every code but that of too many validators, which a table test has: go test -tags sim -run Reference -v ./ledger
func TestReferenceAtFullSize(t *testing.T) {
	var codes []ledger.Code
	for c := ledger.Applied; c <= ledger.LateRules; c++ {
		if c != ledger.TooManyValidators {
			codes = append(codes, c)
		}
	}
	runReference(t, 3_000_000, codes...)
}
