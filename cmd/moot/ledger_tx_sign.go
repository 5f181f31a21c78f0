package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func newTxSign(a *app) *cobra.Command {
	var as, passphraseFile string
	cmd := a.command("sign FILE --as NAME", "Sign a transaction file", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.txSign(ctx, args[0], as, passphraseFile)
	})
	cmd.Long = `Add a signature to a transaction file: that of the key NAME in the home, for each account for which it speaks. One that signs agrees to the whole transaction: look at it first, with "tx show".

The node is asked for the accounts' present keys, and whether the transaction is of its network. Without a node an account's keys are those that others signed under, or else its first one.`
	cmd.Example = `  moot ledger tx sign swap.json --as ann`
	cmd.Flags().StringVar(&as, "as", "", "`NAME` of the key that signs")
	a.completeOption(cmd, "as", a.completeKeyNames(noLimit))
	addAccountPassphrase(cmd, &passphraseFile)
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) txSign(ctx context.Context, path, as, passphraseFile string) error {
	if as == "" {
		return errMissing("--as", "the key that signs")
	}
	if path == "-" {
		return fault.New(fault.Invalid, "the transaction must be in a file, as it is signed there")
	}
	u, f, err := a.openTransaction(ctx, path)
	if err != nil {
		return err
	}
	reached, err := u.sameNetwork(ctx, f)
	if err != nil {
		return err
	}
	key, err := a.accountKeyPair(u.folder, as, passphraseFile)
	if err != nil {
		return err
	}
	signed := false
	for _, account := range f.Signers() {
		set, err := u.keysFor(ctx, f, account, reached)
		if err != nil {
			return err
		}
		if set == nil || !slices.Contains(set.Keys, key.public) {
			continue
		}
		if err := f.Sign(f.network, account, set, key.private); err != nil {
			return fmt.Errorf("sign %s: %w", path, err)
		}
		signed = true
	}
	if !signed {
		return advise(fault.New(fault.Invalid, "sign %s: the key %s speaks for none of the accounts that must sign", path, as), `"moot ledger tx show %s" tells who must`, shellQuote(path))
	}
	return u.keepFile(ctx, f)
}

// keepFile writes a signed transaction in place of what was in the file, and shows it.
func (u *ledgerUser) keepFile(ctx context.Context, f *transactionFile) error {
	data, err := f.encode()
	if err == nil {
		err = writeOutput(f.path, data)
	}
	if err != nil {
		return fmt.Errorf("write the transaction: %w", err)
	}
	return u.showFile(ctx, f)
}

// sameNetwork tells whether the node could be asked, and fails when the transaction is of another network than the node's.
func (u *ledgerUser) sameNetwork(ctx context.Context, f *transactionFile) (reached bool, err error) {
	l, err := u.client.Ledger(ctx)
	if ctx.Err() != nil {
		return false, err
	}
	if err != nil {
		u.app.notef("no node was asked for the network and the accounts' present keys: %s", oneLine(err.Error()))
		return false, nil
	}
	if l.Network != f.network.String() {
		return true, fault.New(fault.Conflict, "%s is of the network %s, and the node of %s", f.path, f.network, printable(l.Network))
	}
	return true, nil
}

// keysFor returns the present keys of an account as far as they are known, nil where they are not.
func (u *ledgerUser) keysFor(ctx context.Context, f *transactionFile, account ledger.AccountID, reached bool) (*ledger.KeySet, error) {
	var known v1.Account
	if reached {
		var err error
		if known, err = u.client.Account(ctx, account.String()); err != nil {
			return nil, u.app.ledgerFailed("ask for the account", account.String(), err)
		}
	}
	if len(known.Keys) > 0 {
		return parseKeySet(known.Threshold, known.Keys)
	}
	if a := f.authorization(account); a != nil && (!reached || a.KeySet.ID() == account) {
		return &a.KeySet, nil
	}
	set, err := u.presentKeys(account, known)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	return set, err
}

func newTxSubmit(a *app) *cobra.Command {
	cmd := a.command("submit FILE", "Hand in a transaction file that all have signed", wants(1, 1), func(ctx context.Context, args []string) error { return a.txSubmit(ctx, args[0]) })
	cmd.Long = `Hand in a transaction file that all have signed, and wait until it is in a block. To hand it in again is safe: it happens once at most.`
	cmd.Example = `  moot ledger tx submit swap.json`
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) txSubmit(ctx context.Context, path string) error {
	u, f, err := a.openTransaction(ctx, path)
	if err != nil {
		return err
	}
	if missing := f.missing(); len(missing) > 0 {
		tell, err := u.folder.Namer()
		if err != nil {
			return err
		}
		return advise(fault.New(fault.Invalid, "submit %s: %s has not signed, or not with enough keys", path, accountText(missing[0].String(), tell)),
			`"moot ledger tx show %s" tells who must`, shellQuote(path))
	}
	network, err := u.network(ctx)
	if err != nil {
		return err
	}
	if network != f.network {
		return fault.New(fault.Conflict, "%s is of the network %s, and the node of %s", path, f.network, network)
	}
	t, err := u.submit(ctx, network, f.Transaction)
	if err != nil {
		return err
	}
	return a.show(t, func() { a.printCommitted("submitted "+path, &t) })
}
