package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/ledger"
)

func newLedgerIssue(a *app) *cobra.Command {
	var s sending
	var to string
	cmd := a.command("issue AMOUNT ASSET --to ACCOUNT", "Make more of an asset", wants(2, 2), func(ctx context.Context, args []string) error {
		return a.move(ctx, args, "", to, s)
	})
	cmd.Long = `Make more of an asset, for an account. The asset's issuer signs.`
	cmd.Example = `  moot ledger issue 1000 EUR@bank --to ann`
	a.addAccountOption(cmd, &to, "to", "`ACCOUNT` that gets it")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = a.completeMovement
	return cmd
}

func newLedgerTransfer(a *app) *cobra.Command {
	var s sending
	var b byNode
	var from, to string
	cmd := a.command("transfer AMOUNT ASSET --from ACCOUNT --to ACCOUNT", "Move an amount from one account to another", wants(2, 2), func(ctx context.Context, args []string) error {
		return a.transfer(ctx, args, from, to, s, b)
	})
	cmd.Long = `Move an amount of an asset from one account to another. The one that pays signs. An amount is digits with at most as many places as the asset has; it is never rounded.

With --by-node the node signs, with a key that it was told of ("moot run --sign-with NAME"; "moot ledger signers" lists them); --from may be the node's name for it. When the answer is lost, the command
says how to ask again for the same payment, which happens once. A program that asks again by itself chooses --idempotency-key and --valid-until.`
	cmd.Example = `  moot ledger transfer 12.50 EUR --from ann --to bob
  moot ledger transfer 12.50 EUR@bank --from ann --to moot1… --memo "invoice 7"
  moot ledger transfer 12.50 EUR --from ann --to bob --by-node`
	a.addAccountOption(cmd, &from, "from", "`ACCOUNT` that pays")
	a.addAccountOption(cmd, &to, "to", "`ACCOUNT` that gets it")
	addSending(cmd, &s)
	addByNode(cmd, &b)
	cmd.ValidArgsFunction = a.completeMovement
	return cmd
}

func (a *app) transfer(ctx context.Context, args []string, from, to string, s sending, b byNode) error {
	if from == "" {
		return errMissing("--from", "the account that pays")
	}
	if err := b.validate(); err != nil {
		return err
	}
	if b.wanted {
		return a.transferByNode(ctx, args, from, to, s, b)
	}
	return a.move(ctx, args, from, to, s)
}

func newLedgerRetire(a *app) *cobra.Command {
	var s sending
	var from string
	cmd := a.command("retire AMOUNT ASSET --from ACCOUNT", "Take an amount out of existence", wants(2, 2), func(ctx context.Context, args []string) error {
		return a.retire(ctx, args, from, s)
	})
	cmd.Long = `Take an amount of an asset out of existence. The account that has it signs.`
	cmd.Example = `  moot ledger retire 100 EUR --from ann`
	a.addAccountOption(cmd, &from, "from", "`ACCOUNT` that has it")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = a.completeMovement
	return cmd
}

// move issues an amount or, with from, transfers it.
func (a *app) move(ctx context.Context, args []string, from, to string, s sending) error {
	if to == "" {
		return errMissing("--to", "the account that gets it")
	}
	m, err := a.movement(ctx, args, from, to)
	if err != nil {
		return err
	}
	if from == "" {
		return m.do(ctx, s, fmt.Sprintf("issued %s %s to %s", args[0], m.asset, m.to), &ledger.Issue{Asset: m.asset, To: m.to, Amount: m.amount})
	}
	done := fmt.Sprintf("transferred %s %s from %s to %s", args[0], m.asset, m.from, m.to)
	return m.do(ctx, s, done, &ledger.Transfer{Asset: m.asset, From: m.from, To: m.to, Amount: m.amount})
}

func (a *app) retire(ctx context.Context, args []string, from string, s sending) error {
	if from == "" {
		return errMissing("--from", "the account that has it")
	}
	m, err := a.movement(ctx, args, from, "")
	if err != nil {
		return err
	}
	return m.do(ctx, s, fmt.Sprintf("retired %s %s of %s", args[0], m.asset, m.from), &ledger.Retire{Asset: m.asset, From: m.from, Amount: m.amount})
}

// movement is an amount of an asset that somebody moves, and between whom.
type movement struct {
	*ledgerUser
	asset    ledger.AssetID
	from, to ledger.AccountID // zero where none was named
	amount   ledger.Amount
}

// movement reads AMOUNT and ASSET, and the accounts of --from and --to where they are given.
func (a *app) movement(ctx context.Context, args []string, from, to string) (m movement, err error) {
	if m.ledgerUser, err = a.ledgerUser(); err != nil {
		return m, err
	}
	if m.asset, err = m.ledgerUser.asset(args[1]); err != nil {
		return m, err
	}
	if to != "" {
		if m.to, err = m.account("option --to", to); err != nil {
			return m, err
		}
	}
	if from != "" {
		if m.from, err = m.account("option --from", from); err != nil {
			return m, err
		}
	}
	m.amount, err = m.ledgerUser.amount(ctx, args[0], m.asset)
	return m, err
}
