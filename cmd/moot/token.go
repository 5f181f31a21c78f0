package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/apitoken"
	"github.com/folkmoot/folkmoot/node"
)

func newToken(a *app) *cobra.Command {
	cmd := commandGroup("token", "Give out tokens for the node's API", nil)
	cmd.Long = `Make, list and revoke tokens for the API of the node of --home. The home keeps what is needed to recognise them, and not the tokens. The node need not run; one that does heeds a change at the next request.

A token with the scope read sees everything but backups; write covers read, and changes records, publishes, pings and hands in transactions; admin covers both, and ends the node, backs it up and profiles it.
The token of --token-file may everything.`
	cmd.Example = `  moot token new grafana --scope read
  moot token list
  moot token revoke grafana`
	addCommands(cmd, newTokenNew(a), newTokenList(a), newTokenRevoke(a))
	return cmd
}

func newTokenNew(a *app) *cobra.Command {
	scope := newChoice(string(apitoken.Read), apitoken.Scopes()...)
	var expires time.Duration
	cmd := a.command("new NAME", "Make a token", wants(1, 1), func(_ context.Context, args []string) error { return a.tokenNew(args[0], scope.value, expires) })
	cmd.Long = `Make a token and print it. It is not shown again: keep it as you keep a password. NAME says who has it, for "moot token list".`
	cmd.Example = `  moot token new grafana > grafana.token
  moot token new ci --scope write --expires 720h
  moot --api https://moot.example.org:7070 --token-file grafana.token status`
	addChoice(cmd, scope, "scope", "what the token may do")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long the token is good (default: until it is revoked)")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// madeToken is what --json prints of a token that was made.
type madeToken struct {
	tokenEntry
	Token string `json:"token"`
}

// tokenEntry is what --json prints of a token: all but what it is recognised by.
type tokenEntry struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Scope   apitoken.Scope `json:"scope"`
	Created time.Time      `json:"created"`
	Expires time.Time      `json:"expires,omitzero"`
	Expired bool           `json:"expired,omitempty"`
}

func entryOf(t apitoken.Token, now time.Time) tokenEntry {
	return tokenEntry{ID: t.ID, Name: t.Name, Scope: t.Scope, Created: t.Created, Expires: t.Expires, Expired: t.Expired(now)}
}

func (a *app) tokenNew(name, scope string, expires time.Duration) error {
	if expires < 0 {
		return fault.New(fault.Invalid, "option --expires: want more than 0, got %s", expires)
	}
	file, err := a.tokens()
	if err != nil {
		return err
	}
	now := time.Now()
	end := time.Time{}
	if expires > 0 {
		end = now.Add(expires)
	}
	text, t, err := file.Add(name, apitoken.Scope(scope), now, end)
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	return a.show(madeToken{entryOf(t, now), text}, func() { a.printf("%s\n", text) })
}

// tokens returns the file of the tokens of the home's node.
func (a *app) tokens() (apitoken.File, error) {
	if err := a.needHome(); err != nil {
		return "", err
	}
	if _, err := node.ReadHome(a.home); err != nil {
		return "", advise(err, `name a node's home with --home; "moot init" makes one`)
	}
	return node.Tokens(a.home), nil
}

func newTokenList(a *app) *cobra.Command {
	cmd := a.command("list", "List the tokens", wants(0, 0), func(context.Context, []string) error { return a.tokenList() })
	cmd.Long = `List the tokens that were made and not revoked, the oldest first.`
	cmd.Example = `  moot token list
  moot token list --json | jq -r '.tokens[] | select(.expired) | .name'`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) tokenList() error {
	file, err := a.tokens()
	if err != nil {
		return err
	}
	list, err := file.List()
	if err != nil {
		return err
	}
	now, doc := time.Now(), struct {
		Tokens []tokenEntry `json:"tokens"`
	}{[]tokenEntry{}}
	for _, t := range list {
		doc.Tokens = append(doc.Tokens, entryOf(t, now))
	}
	return a.show(doc, func() {
		table := newTable(a.stdout)
		fmt.Fprintln(table, "TOKEN\tNAME\tSCOPE\tMADE\tEXPIRES")
		for _, t := range doc.Tokens {
			end := expiry(t.Expires)
			if t.Expired {
				end += " (expired)"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s ago\t%s\n", t.ID, printable(t.Name), t.Scope, ago(now, t.Created), end)
		}
		table.Flush()
	})
}

func newTokenRevoke(a *app) *cobra.Command {
	cmd := a.command("revoke TOKEN", "End a token", wants(1, 1), func(_ context.Context, args []string) error { return a.tokenRevoke(args[0]) })
	cmd.Long = `End a token: the node refuses it from its next request on. TOKEN is its id or name, as "moot token list" shows them.`
	cmd.Example = `  moot token revoke grafana`
	cmd.ValidArgsFunction = func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []cobra.Completion
		if a.loadSettings(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if file, err := a.tokens(); err == nil {
			list, _ := file.List()
			for _, t := range list {
				names = append(names, cobra.CompletionWithDesc(t.Name, string(t.Scope)))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func (a *app) tokenRevoke(which string) error {
	file, err := a.tokens()
	if err != nil {
		return err
	}
	t, err := file.Revoke(which)
	if err != nil {
		return advise(fmt.Errorf("revoke: %w", err), `"moot token list" lists them`)
	}
	return a.show(entryOf(t, time.Now()), func() { a.notef("revoked %s (%s)", t.ID, printable(t.Name)) })
}
