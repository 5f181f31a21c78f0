package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
)

func newLedgerBlock(a *app) *cobra.Command {
	cmd := a.command("block [HEIGHT]", "Show a block", wants(0, 1), func(ctx context.Context, args []string) error { return a.block(ctx, args) })
	cmd.Long = `Show a block, by default the last: its hash, its time, and its transactions with what became of them.`
	cmd.Example = `  moot ledger block
  moot ledger block 1207 --json | jq '.transactions | length'`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) block(ctx context.Context, args []string) error {
	height, on := int64(0), "the last block"
	if len(args) == 1 {
		n, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || n < 1 {
			return fault.New(fault.Invalid, "%s is not the height of a block: want a number from 1", quoteKey(args[0]))
		}
		height, on = n, "block "+args[0]
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	b, err := u.client.Block(ctx, height)
	if err != nil {
		return a.ledgerFailed("show", on, err)
	}
	tell, err := u.teller(ctx)
	if err != nil {
		return err
	}
	return a.show(b, func() { a.printBlock(tell, &b) })
}

func (a *app) printBlock(tell *teller, b *v1.Block) {
	a.printf("block %d  %s\n", b.Height, printable(b.Hash))
	if !b.Time.IsZero() {
		a.printf("time %s\n", expiry(b.Time))
	}
	a.printf("%s\n", plural(len(b.Transactions), "transaction"))
	for i := range b.Transactions {
		a.printEntry(tell, &b.Transactions[i])
	}
}

func newLedgerBalances(a *app) *cobra.Command {
	var asset string
	var proof receiptOptions
	cmd := a.command("balances ACCOUNT", "Show what an account has", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.balances(ctx, args[0], asset, proof)
	})
	cmd.Long = `Show what an account has of each asset, or of one. With --receipt the proof of that is written to standard output instead, which "moot ledger verify" checks anywhere, without a node.`
	cmd.Example = `  moot ledger balances ann
  moot ledger balances ann --asset EUR@bank --receipt > receipt.json`
	cmd.Flags().StringVar(&asset, "asset", "", "show `ASSET` only")
	a.completeOption(cmd, "asset", a.completeAssets(noLimit))
	proof.add(cmd)
	cmd.ValidArgsFunction = a.completeAccounts(1)
	return cmd
}

func (a *app) balances(ctx context.Context, text, assetText string, proof receiptOptions) error {
	if err := proof.check(); err != nil {
		return err
	}
	if proof.wanted && assetText == "" {
		return errMissing("--asset", "the asset that the receipt is of")
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	account, err := u.account("account", text)
	if err != nil {
		return err
	}
	asset := ""
	if assetText != "" {
		id, err := u.asset(assetText)
		if err != nil {
			return err
		}
		asset = id.String()
	}
	if !proof.wanted {
		return u.showBalances(ctx, account.String(), asset)
	}
	receipt, err := u.client.BalanceReceipt(ctx, account.String(), asset, int64(proof.since))
	if err != nil {
		return a.ledgerFailed("prove what is had by", account.String(), err)
	}
	return a.writeDocument(receipt)
}

// balancesDocument is what --json prints of balances.
type balancesDocument struct {
	Account  string       `json:"account"`
	Balances []v1.Balance `json:"balances"`
	Height   int64        `json:"height"`
}

// showBalances shows what an account has of one asset, which may be nothing, or of all.
func (u *ledgerUser) showBalances(ctx context.Context, account, asset string) error {
	known, err := u.client.Account(ctx, account)
	if err != nil {
		return u.app.ledgerFailed("show", account, err)
	}
	doc := balancesDocument{account, []v1.Balance{}, known.Height}
	for _, b := range known.Balances {
		if asset == "" || b.Asset == asset {
			doc.Balances = append(doc.Balances, b)
		}
	}
	if asset != "" && len(doc.Balances) == 0 {
		there, err := u.client.Asset(ctx, asset)
		if err != nil {
			return u.app.ledgerFailed("ask for the asset", asset, err)
		}
		doc.Balances = append(doc.Balances, v1.Balance{Asset: asset, Amount: "0", Scale: there.Scale})
	}
	names, err := u.folder.Namer()
	if err != nil {
		return err
	}
	return u.app.show(doc, func() { u.app.printBalances(doc.Balances, names) })
}

func newLedgerGenesis(a *app) *cobra.Command {
	cmd := a.command("genesis", "Write the ledger's genesis document", wants(0, 0), func(ctx context.Context, _ []string) error { return a.genesis(ctx) })
	cmd.Long = `Write the genesis document of the node's ledger to standard output: what others enter the network with ("moot init --genesis"), and what "moot ledger verify" needs besides a receipt. Whoever gets it from a node trusts that node; the network's id is its hash.
The node need not run when it is that of --home.`
	cmd.Example = `  moot ledger genesis > genesis.json`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) genesis(ctx context.Context) error {
	if info, err := node.ReadHome(a.home); err == nil && info.Genesis != nil && a.api == "" {
		data, err := json.MarshalIndent(info.Genesis, "", "  ")
		if err != nil {
			return fmt.Errorf("write the genesis: %w", err)
		}
		return a.writeDocument(data)
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	data, err := c.Genesis(ctx)
	if err != nil {
		return a.ledgerFailed("ask for the genesis", "", err)
	}
	return a.writeDocument(data)
}
