package main

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
)

const signPassphraseOption = "--sign-passphrase-file"

// signers opens the keys of --sign-with.
func (a *app) signers(o runOptions) ([]node.Signer, error) {
	if len(o.signWith) == 0 && o.signPassphrase != "" {
		return nil, fault.New(fault.Invalid, "option %s is for a node with --sign-with", signPassphraseOption)
	}
	var list []node.Signer
	for _, text := range o.signWith {
		name, key, err := a.signer(text, o.signPassphrase)
		if err != nil {
			return nil, fmt.Errorf("option --sign-with: %w", err)
		}
		list = append(list, node.Signer{Name: name, Key: key})
	}
	return list, nil
}

// signer opens the key that text is the name of, of those in the home, or the file.
func (a *app) signer(text, passphraseFile string) (name string, key ed25519.PrivateKey, err error) {
	if accounts.CheckName(text) == nil {
		key, err = a.openSealed(accounts.Folder(filepath.Join(a.home, node.AccountsDir)), text, passphraseFile, signPassphraseOption)
		if fault.KindOf(err) == fault.NotFound {
			err = advise(err, `"moot ledger account list" lists those that are there; a file is written with its folder, as ./%s`, text)
		}
		return text, key, err
	}
	name, _, _ = strings.Cut(filepath.Base(text), ".")
	if accounts.CheckName(name) != nil {
		name = "key"
	}
	key, err = accounts.OpenFile(text, func(sealed []byte) ([]byte, error) {
		passphrase, err := a.askPassphrase(passphraseFile, signPassphraseOption, "Passphrase of "+text+": ", false)
		if err == nil && passphrase == "" {
			err = advise(fault.New(fault.Forbidden, "it is under a passphrase"), "give it in %s or %s", signPassphraseOption, passphraseVariable)
		}
		if err != nil {
			return nil, err
		}
		return backup.Unseal(sealed, passphrase)
	})
	return name, key, err
}
