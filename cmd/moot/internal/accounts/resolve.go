package accounts

import (
	"strings"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Account returns the account that text stands for: the name of a key, a name in the address book, or moot1…. It is fault.NotFound for a name that nothing has, and fault.Invalid for what can't be one.
func (f Folder) Account(text string) (ledger.AccountID, error) {
	if strings.HasPrefix(strings.ToLower(text), accountPrefix) {
		return ledger.ParseAccountID(text)
	}
	own, err := f.Own(text)
	if err == nil {
		return own.ID(), nil
	}
	if fault.KindOf(err) != fault.NotFound {
		return ledger.AccountID{}, err
	}
	book, bookErr := f.Book()
	if bookErr != nil {
		return ledger.AccountID{}, bookErr
	}
	switch target := book[text]; {
	case target == "" && own.Name != "":
		return ledger.AccountID{}, err // a key is there, and what it is the key of is not known
	case target == "":
		return ledger.AccountID{}, fault.New(fault.NotFound, "%s is neither a key in %s nor in the address book", text, string(f))
	case strings.Contains(target, "@"):
		return ledger.AccountID{}, fault.New(fault.Invalid, "%s stands for the asset %s, not for an account", text, target)
	default:
		return ledger.ParseAccountID(target)
	}
}

// Asset returns the asset that text stands for: CODE@ACCOUNT, where the account is written in any way, or a name in the address book. A code alone is never guessed.
func (f Folder) Asset(text string) (ledger.AssetID, error) {
	if code, issuer, ok := strings.Cut(text, "@"); ok {
		if err := ledger.ValidateCode(code); err != nil {
			return ledger.AssetID{}, err
		}
		account, err := f.Account(issuer)
		return ledger.AssetID{Code: code, Issuer: account}, err
	}
	if err := CheckName(text); err != nil {
		return ledger.AssetID{}, err
	}
	book, err := f.Book()
	if err != nil {
		return ledger.AssetID{}, err
	}
	switch target := book[text]; {
	case target == "":
		return ledger.AssetID{}, fault.New(fault.NotFound, "%s is not in the address book: whose it is must be said, as %s@ISSUER", text, text)
	case !strings.Contains(target, "@"):
		return ledger.AssetID{}, fault.New(fault.Invalid, "%s stands for the account %s, not for an asset", text, target)
	default:
		return ledger.ParseAssetID(target)
	}
}

// Namer returns a function that tells the name of an account, or "" where it has none. Of several it tells the first, a key's before others.
func (f Folder) Namer() (func(ledger.AccountID) string, error) {
	book, err := f.Book()
	if err != nil {
		return nil, err
	}
	names := make(map[ledger.AccountID]string)
	for _, name := range book.Names() {
		if account, err := ledger.ParseAccountID(book[name]); err == nil && names[account] == "" {
			names[account] = name
		}
	}
	keys, err := f.Names()
	if err != nil {
		return nil, err
	}
	for i := len(keys) - 1; i >= 0; i-- {
		if own, err := f.Own(keys[i]); err == nil { // names are a comfort: no reason to fail
			names[own.ID()] = keys[i]
		}
	}
	return func(a ledger.AccountID) string { return names[a] }, nil
}
