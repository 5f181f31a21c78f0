// Package accounts keeps what somebody who uses the ledger has of their own: the keys of their accounts, each in a file, and an address book of names for accounts and assets. What a name
// stands for is decided by its owner alone: nothing here is asked of a node.
package accounts

import (
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// MaxName is the most characters of a name.
const MaxName = 32

// accountPrefix begins the ids of accounts. No name does, so that an id is never taken for one.
const accountPrefix = "moot1"

// CheckName returns an error of kind fault.Invalid for what can be the name of neither a key nor an entry of the address book.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fault.New(fault.Invalid, "a name of %d characters: want 1 to %d", len(name), MaxName)
	}
	for _, c := range []byte(name) {
		if !isNameByte(c) {
			return fault.New(fault.Invalid, "%q is not a name: want letters, digits, - and _", name)
		}
	}
	switch {
	case name[0] == '-':
		return fault.New(fault.Invalid, "%q is not a name: it begins with a dash, as options do", name)
	case strings.HasPrefix(strings.ToLower(name), accountPrefix):
		return fault.New(fault.Invalid, "%q is not a name: it begins as the ids of accounts do", name)
	}
	return nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
