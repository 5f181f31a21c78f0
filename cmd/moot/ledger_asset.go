package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func newLedgerAsset(a *app) *cobra.Command {
	cmd := commandGroup("asset", "Define assets, and see how much there is", nil)
	cmd.Long = `Define assets, and see how much there is of them. An asset is a code together with the account that issues it: two accounts may both have a EUR, and they are not the same.`
	cmd.Example = `  moot ledger asset define EUR --issuer bank
  moot ledger asset show EUR@bank`
	addCommands(cmd, newAssetDefine(a), newAssetShow(a))
	return cmd
}

func newAssetDefine(a *app) *cobra.Command {
	var s sending
	var issuer, most string
	var scale int
	cmd := a.command("define CODE --issuer ACCOUNT", "Define an asset", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.assetDefine(ctx, args[0], issuer, scale, most, s)
	})
	cmd.Long = `Define an asset, once and for all: its code of 1 to 12 of A-Z and 0-9, how many decimal places its amounts have, and the most that there may ever be at once. The issuer signs. The code is added to the
address book if it is free there.`
	cmd.Example = `  moot ledger asset define EUR --issuer bank
  moot ledger asset define SHARE --issuer firm --scale 0 --cap 1000`
	a.addAccountOption(cmd, &issuer, "issuer", "`ACCOUNT` that issues it")
	cmd.Flags().IntVar(&scale, "scale", 2, "decimal places, 0 to 18")
	cmd.Flags().StringVar(&most, "cap", "", "the most there may be, as an `AMOUNT` (default: no cap)")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) assetDefine(ctx context.Context, code, issuer string, scale int, most string, s sending) error {
	if err := ledger.ValidateCode(code); err != nil {
		return err
	}
	if scale < 0 || scale > ledger.MaxScale {
		return fault.New(fault.Invalid, "option --scale: want 0 to %d, got %d", ledger.MaxScale, scale)
	}
	op := &ledger.DefineAsset{Asset: ledger.AssetID{Code: code}, Scale: uint8(scale)}
	if most != "" {
		limit, err := ledger.ParseAmount(most, op.Scale)
		if err == nil && limit.IsZero() {
			err = fault.New(fault.Invalid, "%s is nothing: leave it out for no cap", most)
		}
		if err != nil {
			return fmt.Errorf("option --cap: %w", err)
		}
		op.Cap = limit
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	if op.Asset.Issuer, err = u.account("option --issuer", issuer); err != nil {
		return err
	}
	if err := u.do(ctx, s, "defined "+op.Asset.String(), op); err != nil {
		return err
	}
	return u.nameAsset(op.Asset)
}

// nameAsset adds an asset of one's own to the address book under its code, unless that stands for something else.
func (u *ledgerUser) nameAsset(asset ledger.AssetID) error {
	err := u.folder.Add(asset.Code, asset.String())
	if k := fault.KindOf(err); err != nil && (k == fault.Conflict || k == fault.Invalid || k == fault.Full) {
		u.app.notef("%s is not added to the address book: %v", asset.Code, err)
		return nil
	}
	return err
}

func newAssetShow(a *app) *cobra.Command {
	cmd := a.command("show ASSET", "Show how much there is of an asset", wants(1, 1), func(ctx context.Context, args []string) error { return a.assetShow(ctx, args[0]) })
	cmd.Long = `Show an asset: how many decimal places it has, how much there is, and how much there may be.`
	cmd.Example = `  moot ledger asset show EUR@bank`
	cmd.ValidArgsFunction = a.completeAssets(1)
	return cmd
}

func (a *app) assetShow(ctx context.Context, text string) error {
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	id, err := u.asset(text)
	if err != nil {
		return err
	}
	known, err := u.client.Asset(ctx, id.String())
	if err != nil {
		return a.ledgerFailed("show", id.String(), err)
	}
	return a.show(known, func() { a.printAsset(known, id.Code) })
}

func (a *app) printAsset(known v1.Asset, code string) {
	table := newTable(a.stdout)
	fmt.Fprintf(table, "asset\t%s\ndecimal places\t%d\n", printable(known.ID), known.Scale)
	fmt.Fprintf(table, "there is\t%s %s\n", amountText(known.Supply, known.Scale), code)
	if known.Cap != "" {
		fmt.Fprintf(table, "at most\t%s %s\n", amountText(known.Cap, known.Scale), code)
	}
	table.Flush()
}
