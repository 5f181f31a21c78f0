package folkmoot_test

import (
	"testing"

	"github.com/folkmoot/folkmoot/test/house"
)

// TestHouseRules holds the tree to the rules in test/house.
func TestHouseRules(t *testing.T) {
	found, err := house.Check(".", house.Folkmoot())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}
