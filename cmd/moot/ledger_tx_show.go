package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/ledgerdoc"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
)

func newTxShow(a *app) *cobra.Command {
	cmd := a.command("show FILE", "Show a transaction file: what it does, and who has signed", wants(1, 1), func(ctx context.Context, args []string) error { return a.txShow(ctx, args[0]) })
	cmd.Long = `Show what the transaction in a file does, who has signed it and who is missing. Look at it before you sign what comes from others. The signatures are checked; a node is asked only for how many decimal
places the assets have, and without one amounts are in the smallest unit.`
	cmd.Example = `  moot ledger tx show swap.json`
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) txShow(ctx context.Context, path string) error {
	u, f, err := a.openTransaction(ctx, path)
	if err != nil {
		return err
	}
	return u.showFile(ctx, f)
}

// fileDocument is what --json prints of a transaction file.
type fileDocument struct {
	File        string             `json:"file"`
	ID          string             `json:"id"`
	Complete    bool               `json:"complete"` // all have signed
	Missing     []ledger.AccountID `json:"missing"`
	Transaction v1.Transaction     `json:"transaction"`
}

func (u *ledgerUser) showFile(ctx context.Context, f *transactionFile) error {
	tell, err := u.teller(ctx)
	if err != nil {
		return err
	}
	missing := f.missing()
	doc := fileDocument{f.path, f.ID(f.network).String(), len(missing) == 0, missing, ledgerdoc.FromTransaction(f.network, f.Transaction)}
	return u.app.show(doc, func() { u.app.printFile(tell, f, &doc) })
}

func (a *app) printFile(tell *teller, f *transactionFile, doc *fileDocument) {
	table := newTable(a.stdout)
	until := expiry(doc.Transaction.ValidUntil)
	if !time.Now().Before(doc.Transaction.ValidUntil) {
		until += ", which is over"
	}
	fmt.Fprintf(table, "transaction\t%s\nnetwork\t%s\nvalid until\t%s\n", doc.ID, f.network, until)
	if s := doc.Transaction.Slot; s != nil {
		fmt.Fprintf(table, "slot\t%d of %s, which %d have used before\n", s.Number, tell.account(s.Account), s.Sequence)
	}
	if memo := memoText(&doc.Transaction); memo != "" {
		fmt.Fprintf(table, "memo\t%s\n", memo)
	}
	for i := range doc.Transaction.Operations {
		fmt.Fprintf(table, "%d\t%s\n", i+1, tell.operation(&doc.Transaction.Operations[i]))
	}
	for _, account := range f.Signers() {
		name, word := tell.account(account.String()), f.authorization(account)
		if word == nil {
			fmt.Fprintf(table, "missing\t%s\n", name)
			continue
		}
		fmt.Fprintf(table, "signed by\t%s (%d of %d)\n", name, len(word.Signatures), word.KeySet.Threshold)
	}
	table.Flush()
	for _, account := range f.Accounts() { // what the names above stand for
		if name := tell.names(account); name != "" {
			a.printf("%s is %s\n", name, account)
		}
	}
}
