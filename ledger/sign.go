package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/folkmoot/folkmoot/fault"
)

// index returns where a key is in the set, or -1.
func (k *KeySet) index(key PublicKey) int { return slices.Index(k.Keys, key) }

// authorization returns that of an account, and makes one at its place where there is none.
func (t *Transaction) authorization(account AccountID) *Authorization {
	i, found := slices.BinarySearchFunc(t.Authorizations, account, func(a Authorization, id AccountID) int { return compareAccounts(a.Account, id) })
	if !found {
		t.Authorizations = slices.Insert(t.Authorizations, i, Authorization{Account: account})
	}
	return &t.Authorizations[i]
}

// add puts a signature at its place, instead of one by the same key.
func (a *Authorization) add(s Signature) {
	i, found := slices.BinarySearchFunc(a.Signatures, s.Key, func(s Signature, key uint8) int { return cmp.Compare(s.Key, key) })
	if found {
		a.Signatures[i] = s
		return
	}
	a.Signatures = slices.Insert(a.Signatures, i, s)
}

func compareAccounts(a, b AccountID) int { return bytes.Compare(a[:], b[:]) }

// insertAccount adds an account to a list in ascending order unless it is there.
func insertAccount(accounts []AccountID, a AccountID) []AccountID {
	i, found := slices.BinarySearchFunc(accounts, a, compareAccounts)
	if found {
		return accounts
	}
	return slices.Insert(accounts, i, a)
}

func hasAccount(accounts []AccountID, a AccountID) bool {
	_, found := slices.BinarySearchFunc(accounts, a, compareAccounts)
	return found
}

// authorizationError says whose word is missing, or is not wanted.
func authorizationError(signers []AccountID, given []Authorization) error {
	for _, id := range signers {
		if !slices.ContainsFunc(given, func(a Authorization) bool { return a.Account == id }) {
			return fault.New(fault.Invalid, "%s must sign, and has not", id)
		}
	}
	for _, a := range given {
		if !hasAccount(signers, a.Account) {
			return fault.New(fault.Invalid, "%s signed, and has nothing to sign here", a.Account)
		}
	}
	return fault.New(fault.Invalid, "the accounts that sign are not in strictly ascending order")
}

func wrapAccount(a AccountID, err error) error { return fmt.Errorf("%s: %w", a, err) }

func wrapOperation(i int, op Operation, err error) error {
	return fmt.Errorf("operation %d, %s: %w", i+1, op.Kind(), err)
}

// Accounts returns the accounts that a transaction concerns, in ascending order: those that sign, and those that receive.
func (b *Body) Accounts() []AccountID {
	accounts := b.Signers()
	for _, op := range b.Operations {
		switch o := op.(type) {
		case *Issue:
			accounts = insertAccount(accounts, o.To)
		case *Transfer:
			accounts = insertAccount(accounts, o.To)
		}
	}
	return accounts
}
