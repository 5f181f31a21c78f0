package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
)

// noLimit is for options, which may be completed whatever the arguments are.
const noLimit = 1 << 20

// completeNames offers names from the home, for the first most arguments. list picks them.
func (a *app) completeNames(most int, list func(keys []string, book accounts.Book) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most || a.loadSettings(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		folder, err := a.accounts()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		keys, _ := folder.Names() // what can't be read can't be offered
		book, _ := folder.Book()
		var names []cobra.Completion
		for _, name := range list(keys, book) {
			if strings.HasPrefix(name, begun) {
				names = append(names, name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeAccounts offers names of accounts.
func (a *app) completeAccounts(most int) cobra.CompletionFunc {
	return a.completeNames(most, accountNames)
}

func accountNames(keys []string, book accounts.Book) []string {
	for _, name := range book.Names() {
		if !strings.Contains(book[name], "@") {
			keys = append(keys, name)
		}
	}
	return keys
}

// completeKeyNames offers names of keys.
func (a *app) completeKeyNames(most int) cobra.CompletionFunc {
	return a.completeNames(most, func(keys []string, _ accounts.Book) []string { return keys })
}

// completeAssets offers names of assets.
func (a *app) completeAssets(most int) cobra.CompletionFunc {
	return a.completeNames(most, assetNames)
}

func assetNames(_ []string, book accounts.Book) []string {
	var names []string
	for _, name := range book.Names() {
		if strings.Contains(book[name], "@") {
			names = append(names, name)
		}
	}
	return names
}

// completeMovement is for AMOUNT ASSET: nothing can be known of the amount.
func (a *app) completeMovement(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeAssets(noLimit)(cmd, args, begun)
}

// completeBook offers all names of the address book.
func (a *app) completeBook(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeNames(1, func(_ []string, book accounts.Book) []string { return book.Names() })(cmd, args, begun)
}

// completeOption completes the values of an option.
func (a *app) completeOption(cmd *cobra.Command, option string, complete cobra.CompletionFunc) {
	// It fails only for an option that does not exist or was completed already.
	if err := cmd.RegisterFlagCompletionFunc(option, complete); err != nil {
		panic(err)
	}
}

// addAccountOption declares an option that takes an account.
func (a *app) addAccountOption(cmd *cobra.Command, account *string, option, usage string) {
	cmd.Flags().StringVar(account, option, "", usage)
	a.completeOption(cmd, option, a.completeAccounts(noLimit))
}
