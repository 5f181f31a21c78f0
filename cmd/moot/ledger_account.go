package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func newLedgerAccount(a *app) *cobra.Command {
	cmd := commandGroup("account", "Make accounts, and see what they have", nil)
	cmd.Long = `Make accounts, and see what they have. An account is a key, or several of which some must sign; it is there as soon as its key is, without asking anybody. The keys are in the folder accounts in the
home: who has them has the accounts, and nobody can give back what is lost.`
	cmd.Example = `  moot ledger account new ann
  moot ledger account show ann`
	addCommands(cmd, newAccountNew(a), newAccountList(a), newAccountShow(a), newAccountHistory(a), newAccountSetKeys(a), newAccountKey(a))
	return cmd
}

func newAccountNew(a *app) *cobra.Command {
	var passphraseFile string
	var seal bool
	cmd := a.command("new NAME", "Make an account", wants(1, 1), func(_ context.Context, args []string) error {
		return a.accountNew(args[0], passphraseFile, seal || passphraseFile != "")
	})
	cmd.Long = `Make an account: a new Ed25519 key in the folder accounts of the home, and the id that follows from it. No node is asked. A name is 1 to 32 letters, digits, - and _; what has one is never overwritten.

The key's file is NAME.key, PKCS #8 in PEM, which only its owner may read. With --seal it is encrypted with a passphrase, as NAME.key.age (age), and commands that sign ask for that. Keep a copy of
the file elsewhere: who loses it loses the account.`
	cmd.Example = `  moot ledger account new ann
  moot ledger account new bank --seal
  moot ledger account new mint --passphrase-file passphrase`
	cmd.Flags().BoolVar(&seal, "seal", false, "encrypt the key with a passphrase, from "+passphraseVariable+" or asked for")
	addAccountPassphrase(cmd, &passphraseFile)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// accountDocument is what --json prints of an account of one's own.
type accountDocument struct {
	Name   string           `json:"name"`
	ID     ledger.AccountID `json:"id"`
	Key    ledger.PublicKey `json:"key"`
	Sealed bool             `json:"sealed"`
}

func accountOf(own accounts.Own) accountDocument {
	return accountDocument{own.Name, own.ID(), own.Key, own.Sealed}
}

func (a *app) accountNew(name, passphraseFile string, seal bool) error {
	folder, err := a.accounts()
	if err != nil {
		return err
	}
	if err := accounts.CheckName(name); err != nil {
		return err
	}
	var sealer func([]byte) ([]byte, error)
	if seal {
		if sealer, err = a.sealer(name, passphraseFile); err != nil {
			return err
		}
	}
	own, err := folder.Create(name, sealer)
	if err != nil {
		err = fmt.Errorf("make the account %s: %w", name, err)
		if fault.KindOf(err) == fault.Conflict {
			return advise(err, "give another name")
		}
		return err
	}
	return a.show(accountOf(own), func() { a.printf("%s\n", own.ID()) })
}

// sealer returns what encrypts a key with a passphrase, which it asks for.
func (a *app) sealer(name, passphraseFile string) (func([]byte) ([]byte, error), error) {
	passphrase, err := a.askPassphrase(passphraseFile, passphraseOption, "Passphrase for the key "+name+": ", true)
	if err == nil && passphrase == "" {
		err = advise(fault.New(fault.Invalid, "make the account %s: there is no passphrase to seal its key with", name), "give it in --passphrase-file or %s", passphraseVariable)
	}
	return func(key []byte) ([]byte, error) { return backup.Seal(key, passphrase, backup.DefaultWork) }, err
}

func newAccountList(a *app) *cobra.Command {
	cmd := a.command("list", "List one's own accounts and the address book", wants(0, 0), func(context.Context, []string) error { return a.accountList() })
	cmd.Long = `List the accounts of which the keys are in the home, and the names of the address book. No node is asked.`
	cmd.Example = `  moot ledger account list
  moot ledger account list --json | jq -r '.accounts[].id'`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) accountList() error {
	folder, err := a.accounts()
	if err != nil {
		return err
	}
	list, err := folder.List()
	if err != nil {
		return fmt.Errorf("list the accounts: %w", err)
	}
	book, err := folder.Book()
	if err != nil {
		return err
	}
	own := []accountDocument{}
	for _, o := range list {
		own = append(own, accountOf(o))
	}
	return a.show(map[string]any{"accounts": own, "book": book}, func() {
		table := newTable(a.stdout)
		for _, o := range own {
			kind := "key"
			if o.Sealed {
				kind = "sealed key"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", o.Name, kind, o.ID)
		}
		for _, name := range book.Names() {
			fmt.Fprintf(table, "%s\tbook\t%s\n", name, book[name])
		}
		table.Flush()
	})
}

func newAccountShow(a *app) *cobra.Command {
	cmd := a.command("show ACCOUNT", "Show an account's keys and balances", wants(1, 1), func(ctx context.Context, args []string) error { return a.accountShow(ctx, args[0]) })
	cmd.Long = `Show which keys speak for an account, how many of them must sign, what it has of which asset, and which of its slots were used.`
	cmd.Example = `  moot ledger account show ann
  moot ledger account show ann --json | jq '.balances'`
	cmd.ValidArgsFunction = a.completeAccounts(1)
	return cmd
}

func (a *app) accountShow(ctx context.Context, text string) error {
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	id, err := u.account("account", text)
	if err != nil {
		return err
	}
	known, err := u.client.Account(ctx, id.String())
	if err != nil {
		return a.ledgerFailed("show", id.String(), err)
	}
	names, err := u.folder.Namer()
	if err != nil {
		return err
	}
	return a.show(known, func() {
		a.printAccount(known, names(id), u.firstKey(id))
		a.printf("\n")
		a.printBalances(known.Balances, names)
	})
}

// firstKey returns the key of the home that an account's id is of, as text; "" where there is none.
func (u *ledgerUser) firstKey(id ledger.AccountID) string {
	set, err := u.presentKeys(id, v1.Account{})
	if err != nil {
		return ""
	}
	return set.Keys[0].String()
}

func (a *app) printAccount(known v1.Account, name, first string) {
	table := newTable(a.stdout)
	fmt.Fprintf(table, "account\t%s\n", printable(known.ID))
	if name != "" {
		fmt.Fprintf(table, "name\t%s\n", name)
	}
	switch {
	case len(known.Keys) > 0:
		fmt.Fprintf(table, "must sign\t%d of %s\n", known.Threshold, plural(len(known.Keys), "key"))
	case first != "":
		fmt.Fprintf(table, "must sign\tits first key\nkey\t%s\n", first)
	default:
		fmt.Fprintf(table, "must sign\tits first keys, which are not in the ledger\n")
	}
	for _, key := range known.Keys {
		fmt.Fprintf(table, "key\t%s\n", printable(key))
	}
	for i, used := range known.Slots {
		if used > 0 {
			fmt.Fprintf(table, "slot %d\tused %s\n", i, plural(int64(used), "time"))
		}
	}
	fmt.Fprintf(table, "as of block\t%d\n", known.Height)
	table.Flush()
}

func newAccountHistory(a *app) *cobra.Command {
	var limit int
	var cursor string
	cmd := a.command("history ACCOUNT", "List an account's transactions, newest first", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.accountHistory(ctx, args[0], limit, cursor)
	})
	cmd.Long = `List the transactions that concern an account, newest first: those it signed, and those by which it got something. Where there are more than --limit, the last line tells how to go on.`
	cmd.Example = `  moot ledger account history ann
  moot ledger account history ann --limit 1000 --json`
	cmd.Flags().IntVar(&limit, "limit", 50, "stop after `N` transactions")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on behind the page that told this `CURSOR`")
	cmd.ValidArgsFunction = a.completeAccounts(1)
	return cmd
}

func (a *app) accountHistory(ctx context.Context, text string, limit int, cursor string) error {
	if limit < 1 {
		return fault.New(fault.Invalid, "option --limit: want 1 or more, got %d", limit)
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	id, err := u.account("account", text)
	if err != nil {
		return err
	}
	history, err := u.history(ctx, id, limit, cursor)
	if err != nil {
		return a.ledgerFailed("list the transactions of", id.String(), err)
	}
	tell, err := u.teller(ctx)
	if err != nil {
		return err
	}
	return a.show(history, func() {
		for i := range history.Transactions {
			a.printEntry(tell, &history.Transactions[i])
		}
		if history.Cursor == "" && history.First > 0 {
			a.notef("what was before block %d is not told: this node does not keep it", history.First)
		}
		if history.Cursor != "" {
			a.notef("there are more: go on with --cursor %s", printable(history.Cursor))
		}
	})
}

// history asks for as many pages as it takes.
func (u *ledgerUser) history(ctx context.Context, id ledger.AccountID, limit int, cursor string) (v1.History, error) {
	out := v1.History{Transactions: []v1.CommittedTransaction{}, Cursor: cursor}
	for {
		page, err := u.client.History(ctx, id.String(), v1.HistoryOptions{Cursor: out.Cursor, Limit: min(limit-len(out.Transactions), v1.MaxHistory)})
		if err != nil {
			return out, err
		}
		out.Transactions, out.Cursor, out.First = append(out.Transactions, page.Transactions...), page.Cursor, page.First
		if out.Cursor == "" || len(out.Transactions) >= limit || len(page.Transactions) == 0 {
			return out, nil
		}
	}
}

func newAccountSetKeys(a *app) *cobra.Command {
	var s sending
	var keys []string
	var threshold int
	cmd := a.command("set-keys ACCOUNT --key KEY… --threshold N", "Give an account other keys", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.accountSetKeys(ctx, args[0], keys, threshold, s)
	})
	cmd.Long = `Give an account other keys, of which as many as --threshold must sign from then on. Its id stays. The present keys sign, with what is in the home.
A key is written as "moot ledger account key" prints it, or as the name of one in the home. What is signed under the keys of before and is in no block yet will be in none.`
	cmd.Example = `  moot ledger account set-keys bank --key "$(moot ledger account key bank2)" --threshold 1
  moot ledger account set-keys firm --key ann --key bob --key carol --threshold 2`
	cmd.Flags().StringSliceVar(&keys, "key", nil, "`KEY` that may sign, once for each")
	cmd.Flags().IntVar(&threshold, "threshold", 0, "how many of them must sign")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = a.completeAccounts(1)
	a.completeOption(cmd, "key", a.completeKeyNames(noLimit))
	return cmd
}

func (a *app) accountSetKeys(ctx context.Context, text string, keys []string, threshold int, s sending) error {
	if threshold < 1 || threshold > ledger.MaxKeys {
		return fault.New(fault.Invalid, "option --threshold: want 1 to %d, got %d", ledger.MaxKeys, threshold)
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	id, err := u.account("account", text)
	if err != nil {
		return err
	}
	set := ledger.KeySet{Threshold: uint8(threshold)}
	own := 0
	for _, text := range keys {
		key, here, err := u.publicKey(text)
		if err != nil {
			return fmt.Errorf("option --key: %w", err)
		}
		if here {
			own++
		}
		set.Keys = append(set.Keys, key)
	}
	slices.SortFunc(set.Keys, func(a, b ledger.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	if err := set.Validate(); err != nil {
		return fmt.Errorf("option --key: %w", err)
	}
	if err := u.do(ctx, s, fmt.Sprintf("%s has new keys: %d of %d must sign", id, threshold, len(set.Keys)), &ledger.SetKeys{Account: id, KeySet: set}); err != nil {
		return err
	}
	if own < threshold {
		a.notef("%d of these keys are in %s: the account can't be spoken for from here alone", own, string(u.folder))
	}
	return nil
}

// publicKey returns the key that text is or is the name of, and whether its private part is in the home.
func (u *ledgerUser) publicKey(text string) (key ledger.PublicKey, here bool, err error) {
	list, err := u.folder.List()
	if err != nil {
		return key, false, err
	}
	hexadecimal := key.UnmarshalText([]byte(text)) == nil
	for _, own := range list {
		if own.Name == text || hexadecimal && own.Key == key {
			return own.Key, true, nil
		}
	}
	if hexadecimal {
		return key, false, nil
	}
	return key, false, advise(fault.New(fault.Invalid, "%s is neither a public key nor the name of one in %s", quoteKey(text), string(u.folder)), `"moot ledger account key NAME" prints the key of an account`)
}

func newAccountKey(a *app) *cobra.Command {
	var passphraseFile string
	cmd := a.command("key NAME", "Print an account's public key", wants(1, 1), func(_ context.Context, args []string) error { return a.accountKey(args[0], passphraseFile) })
	cmd.Long = `Print the public key of an account in the home, in hexadecimal. No node is asked. Of a sealed key it is in NAME.pub; where that is missing, the passphrase is asked for and the file written anew.`
	cmd.Example = `  moot ledger account key ann`
	addAccountPassphrase(cmd, &passphraseFile)
	cmd.ValidArgsFunction = a.completeKeyNames(1)
	return cmd
}

func (a *app) accountKey(name, passphraseFile string) error {
	folder, err := a.accounts()
	if err != nil {
		return err
	}
	own, err := folder.Own(name)
	if fault.KindOf(err) == fault.NotFound && own.Name != "" { // its public part is missing
		if _, err := a.openKey(folder, name, passphraseFile); err != nil {
			return err
		}
		own, err = folder.Own(name)
	}
	if fault.KindOf(err) == fault.NotFound {
		return advise(err, `"moot ledger account list" lists the keys that are there`)
	}
	if err != nil {
		return err
	}
	return a.show(accountOf(own), func() { a.printf("%s\n", own.Key) })
}

// printBalances prints what an account has.
func (a *app) printBalances(balances []v1.Balance, names func(ledger.AccountID) string) {
	table := newTable(a.stdout)
	for _, b := range balances {
		code, _, _ := strings.Cut(b.Asset, "@")
		fmt.Fprintf(table, "%s %s\t%s\n", amountText(b.Amount, b.Scale), printable(code), assetText(b.Asset, names))
	}
	table.Flush()
	if len(balances) == 0 {
		a.printf("nothing\n")
	}
}
