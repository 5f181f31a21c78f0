package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func newLedger(a *app) *cobra.Command {
	cmd := commandGroup("ledger", "Keep accounts, assets and what was said when", func(ctx context.Context) error { return a.ledgerStatus(ctx) })
	cmd.Long = `Keep the network's ledger: accounts, assets, who has how much of which, and when something was known. Alone it tells how the ledger fares at the node.

An ACCOUNT is written as the name of a key in the home, a name in the address book, or moot1…. An ASSET is written CODE@ACCOUNT, or as a name in the address book; a code alone, which anybody may
use for an asset of their own, is never guessed. Names are looked up before anything is signed; --json shows what they stood for.

What changes the ledger is a transaction. The command waits until it is in a block: then it has happened everywhere, and for good. Where too few validators answer, the exit code is 4, and the
transaction may still happen until its time is over; "moot ledger tx ID" tells.`
	cmd.Example = `  moot ledger
  moot ledger account new bank
  moot ledger asset define EUR --issuer bank
  moot ledger issue 1000 EUR --to ann
  moot ledger transfer 12.50 EUR --from ann --to bob
  moot ledger tx ID --receipt > receipt.json`
	addCommands(cmd, newLedgerStatus(a), newLedgerAccount(a), newLedgerBook(a), newLedgerAsset(a), newLedgerIssue(a), newLedgerTransfer(a), newLedgerRetire(a), newLedgerAnchor(a),
		newLedgerTx(a), newLedgerBalances(a), newLedgerBlock(a), newLedgerValidators(a), newLedgerRules(a), newLedgerSigners(a), newLedgerVerify(a), newLedgerGenesis(a),
		newLedgerImport(a), newLedgerExport(a), newLedgerRecover(a))
	return cmd
}

// commandGroup returns a command that has others under it. What it does alone may be nil: then it explains itself.
func commandGroup(name, short string, alone func(context.Context) error) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs, ValidArgsFunction: cobra.NoFileCompletions}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(cmd, args[0])
		case alone == nil:
			return cmd.Help()
		}
		return alone(cmd.Context())
	}
	return cmd
}

func newLedgerStatus(a *app) *cobra.Command {
	cmd := a.command("status", "Tell how the ledger fares", wants(0, 0), func(ctx context.Context, _ []string) error { return a.ledgerStatus(ctx) })
	cmd.Long = `Tell how the ledger fares at the node: its network, the last block, and the voting power of the validators. Where something keeps it from going on, the last line says what.`
	cmd.Example = `  moot ledger status
  moot ledger status --json | jq -r .trust`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) ledgerStatus(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	l, err := c.Ledger(ctx)
	if err != nil {
		return a.ledgerFailed("ask for the ledger", "", err)
	}
	return a.show(l, func() { a.printLedger(l, time.Now()) })
}

func (a *app) printLedger(l v1.Ledger, now time.Time) {
	table := newTable(a.stdout)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("network", "%s (%s)", l.Name, l.Network)
	if l.Time.IsZero() {
		line("height", "%d", l.Height)
	} else {
		line("height", "%d, %s ago", l.Height, ago(now, l.Time))
	}
	line("root", "%s", l.Root)
	if l.Trust != "" {
		line("trust", "%s", l.Trust)
	}
	line("voting power", "%d, this node %d", l.Total, l.Power)
	if l.Validator != "" {
		line("votes with", "%s", l.Validator)
	}
	line("peers", "%d", l.Peers)
	if l.First > 1 {
		line("blocks", "from %d on; this node does not keep those before", l.First)
	}
	if r := l.Rules; r != nil && (r.Next != 0 || r.Known < r.Version) {
		line("rules", "%s", rulesText(r))
	}
	if n := len(l.Snapshots); n > 0 {
		line("snapshot", "of block %d, for nodes that come later", l.Snapshots[n-1])
	}
	if l.Syncing {
		line("syncing", "%s", fetchingText(l))
	}
	if l.Problem != "" {
		line("problem", "%s", l.Problem)
	}
	table.Flush()
}

// fetchingText says what a node fetches from others, and how far it is.
func fetchingText(l v1.Ledger) string {
	f := l.Fetching
	if f == nil {
		return "the node fetches blocks that others have"
	}
	var text string
	switch {
	case f.Stage == "peers":
		text = "the node asks others how far they are"
	case f.Stage == "state" && f.Snapshot > 0:
		text = fmt.Sprintf("the node fetches the state after block %d: %d of %d parts", f.Snapshot, f.Fetched, f.Parts)
	case f.Stage == "state":
		text = "the node looks for a snapshot of the state"
	case f.Target > l.Height:
		return fmt.Sprintf("the node fetches blocks: %d of %d (%d%%)", l.Height, f.Target, l.Height*100/f.Target)
	default:
		return "the node fetches blocks that others have"
	}
	if f.Target > 0 {
		text += fmt.Sprintf("; others are at %d", f.Target)
	}
	return text
}

// ledgerFailed is askFailed for the ledger.
func (a *app) ledgerFailed(what, on string, err error) error {
	err = a.askFailed(what, on, err)
	if fault.KindOf(err) == fault.Forbidden {
		return advise(err, `"moot ledger account show ACCOUNT" tells its present keys`)
	}
	return err
}

// ledgerUser is somebody who uses the ledger: their keys and names, and the node that they ask.
type ledgerUser struct {
	app    *app
	folder accounts.Folder
	client *client.Client
	mayEnd bool // the node ends when what is handed in is in a block: one that does not run is not waited for
}

// ledgerUser returns the one whose home it is.
func (a *app) ledgerUser() (*ledgerUser, error) {
	folder, err := a.accounts()
	if err != nil {
		return nil, err
	}
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	return &ledgerUser{app: a, folder: folder, client: c}, nil
}

// accounts returns the folder of keys and of the address book.
func (a *app) accounts() (accounts.Folder, error) {
	if err := a.needHome(); err != nil {
		return "", err
	}
	return accounts.Folder(filepath.Join(a.home, "accounts")), nil
}

// network asks for the id of the ledger's network.
func (u *ledgerUser) network(ctx context.Context) (ledger.Hash, error) {
	l, err := u.client.Ledger(ctx)
	if err != nil {
		return ledger.Hash{}, u.app.ledgerFailed("ask for the ledger", "", err)
	}
	network, err := ledger.ParseHash(l.Network)
	if err != nil {
		return network, fault.New(fault.Internal, "the node tells a network that is none: %w", err)
	}
	return network, nil
}

// account returns the account that an argument or option stands for.
func (u *ledgerUser) account(what, text string) (ledger.AccountID, error) {
	return findAccount(u.folder, what, text)
}

func findAccount(folder accounts.Folder, what, text string) (ledger.AccountID, error) {
	if text == "" {
		return ledger.AccountID{}, fault.New(fault.Invalid, "%s is missing: name an account", what)
	}
	id, err := folder.Account(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	if fault.KindOf(err) == fault.NotFound {
		return id, advise(err, `"moot ledger account list" lists the names known`)
	}
	return id, err
}

// asset returns the asset that an argument stands for.
func (u *ledgerUser) asset(text string) (ledger.AssetID, error) { return findAsset(u.folder, text) }

func findAsset(folder accounts.Folder, text string) (ledger.AssetID, error) {
	id, err := folder.Asset(text)
	if err != nil {
		err = fmt.Errorf("asset %s: %w", quoteKey(text), err)
	}
	if fault.KindOf(err) == fault.NotFound {
		if strings.Contains(text, "@") {
			return id, advise(err, `"moot ledger account list" lists the names known`)
		}
		return id, advise(err, `or give it a name: "moot ledger book add NAME CODE@ISSUER"`)
	}
	return id, err
}

// amount reads an amount of an asset as people write it, with the scale that the node tells.
func (u *ledgerUser) amount(ctx context.Context, text string, asset ledger.AssetID) (ledger.Amount, error) {
	if _, err := ledger.ParseAmount(text, ledger.MaxScale); err != nil { // which no node is needed for
		return ledger.Amount{}, fmt.Errorf("amount: %w", err)
	}
	known, err := u.client.Asset(ctx, asset.String())
	if err != nil {
		return ledger.Amount{}, u.app.ledgerFailed("ask for the asset", asset.String(), err)
	}
	amount, err := ledger.ParseAmount(text, known.Scale)
	if err == nil && amount.IsZero() {
		err = fault.New(fault.Invalid, "%s is nothing", text)
	}
	if err != nil {
		return amount, fmt.Errorf("amount: %w", err)
	}
	return amount, nil
}
