package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
	"github.com/folkmoot/folkmoot/fault"
)

func newLedgerBook(a *app) *cobra.Command {
	cmd := commandGroup("book", "Name the accounts and assets of others", func(context.Context) error { return a.bookList() })
	cmd.Long = `Name the accounts and assets of others, in an address book in the home (accounts/book.json). A name means what its owner put there and nothing else: no node is asked. Alone it lists the book.`
	cmd.Example = `  moot ledger book add bob moot1…
  moot ledger book add EUR EUR@bank
  moot ledger book list`
	list := a.command("list", "List the address book", wants(0, 0), func(context.Context, []string) error { return a.bookList() })
	list.Long, list.Example, list.ValidArgsFunction = `List the names of the address book with what they stand for.`, `  moot ledger book list`, cobra.NoFileCompletions
	addCommands(cmd, newBookAdd(a), newBookRemove(a), list)
	return cmd
}

func newBookAdd(a *app) *cobra.Command {
	cmd := a.command("add NAME ACCOUNT|ASSET", "Give an account or an asset a name", wants(2, 2), func(_ context.Context, args []string) error { return a.bookAdd(args[0], args[1]) })
	cmd.Long = `Give an account or an asset a name. An asset under its own code, as EUR, can then be written as the code alone. A name that stands for something else is never overwritten.`
	cmd.Example = `  moot ledger book add bob moot1…
  moot ledger book add EUR EUR@bank`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) bookAdd(name, text string) error {
	folder, err := a.accounts()
	if err != nil {
		return err
	}
	if err := accounts.CheckName(name); err != nil {
		return err
	}
	var target string
	if strings.Contains(text, "@") {
		asset, err := findAsset(folder, text)
		if err != nil {
			return err
		}
		target = asset.String()
	} else {
		account, err := findAccount(folder, "account", text)
		if err != nil {
			return err
		}
		target = account.String()
	}
	if err := folder.Add(name, target); err != nil {
		err = fmt.Errorf("add %s to the address book: %w", name, err)
		if fault.KindOf(err) == fault.Conflict {
			return advise(err, `give another name, or free this one: "moot ledger book rm %s"`, name)
		}
		return err
	}
	return a.show(map[string]string{"name": name, "target": target}, func() { a.printf("%s is %s\n", name, target) })
}

func newBookRemove(a *app) *cobra.Command {
	cmd := a.command("rm NAME", "Forget a name", wants(1, 1), func(_ context.Context, args []string) error { return a.bookRemove(args[0]) })
	cmd.Long = `Take a name out of the address book. Keys are not in it: they stay.`
	cmd.Example = `  moot ledger book rm bob`
	cmd.ValidArgsFunction = a.completeBook
	return cmd
}

func (a *app) bookRemove(name string) error {
	folder, err := a.accounts()
	if err != nil {
		return err
	}
	if err := folder.Remove(name); err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return advise(err, `"moot ledger book list" lists the names`)
		}
		return err
	}
	return a.show(map[string]string{"removed": name}, func() { a.printf("removed %s\n", name) })
}

func (a *app) bookList() error {
	folder, err := a.accounts()
	if err != nil {
		return err
	}
	book, err := folder.Book()
	if err != nil {
		return err
	}
	return a.show(map[string]any{"book": book}, func() {
		table := newTable(a.stdout)
		for _, name := range book.Names() {
			fmt.Fprintf(table, "%s\t%s\n", name, book[name])
		}
		table.Flush()
	})
}
