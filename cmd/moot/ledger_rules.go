package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func newLedgerRules(a *app) *cobra.Command {
	cmd := commandGroup("rules", "Tell which version of the ledger's rules blocks follow", func(ctx context.Context) error { return a.ledgerRules(ctx) })
	cmd.Long = `Tell which version of the ledger's rules blocks follow, which was voted for, and which the node's program knows. New rules hold from a block on that more than two thirds of the voting power agreed on. A node whose
program doesn't know them stops before that block, and says what to install; its records go on.`
	cmd.Example = `  moot ledger rules
  moot ledger rules propose 2 --from 120000 --by ann
  moot ledger validators vote PROPOSAL --by bob`
	addCommands(cmd, newRulesPropose(a))
	return cmd
}

func (a *app) ledgerRules(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	l, err := c.Ledger(ctx)
	if err != nil {
		return a.ledgerFailed("ask for the ledger", "", err)
	}
	if l.Rules == nil {
		return fault.New(fault.Internal, "the node does not tell which rules the ledger follows: it may be older than this program")
	}
	return a.show(l.Rules, func() { a.printf("%s\n", rulesText(l.Rules)) })
}

// rulesText says which rules hold.
func rulesText(r *v1.Rules) string {
	text := fmt.Sprintf("version %d", r.Version)
	if r.Next != 0 {
		text += fmt.Sprintf(", and version %d from block %d on", r.Next, r.From)
	}
	return text + fmt.Sprintf("; the node's program knows versions up to %d", r.Known)
}

func newRulesPropose(a *app) *cobra.Command {
	var s sending
	var from int64
	var by string
	cmd := a.command("propose VERSION --from HEIGHT --by ACCOUNT", "Propose that blocks follow new rules", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.proposeRules(ctx, args[0], from, by, s)
	})
	cmd.Long = `Propose that blocks from a height on follow another version of the ledger's rules, and vote for it. The operator of a validator signs; the others vote with "moot ledger validators vote". Have a program that knows
the version on all nodes before that block: those that don't know it stop there.`
	cmd.Example = `  moot ledger rules propose 2 --from 120000 --by ann`
	cmd.Flags().Int64Var(&from, "from", 0, "`HEIGHT` of the first block that follows the rules")
	a.addAccountOption(cmd, &by, "by", "`ACCOUNT` that proposes it")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) proposeRules(ctx context.Context, version string, from int64, by string, s sending) error {
	rules := &ledger.ActivateRules{}
	n, err := strconv.ParseUint(version, 10, 32)
	if err != nil || n == 0 {
		return fault.New(fault.Invalid, "%s is no version of the rules: want a number from 1", quoteKey(version))
	}
	rules.Version = uint32(n)
	if from == 0 {
		return errMissing("--from", "the first block that follows the rules")
	}
	if from < 0 {
		return fault.New(fault.Invalid, "option --from: %d is no height: want a number from 1", from)
	}
	rules.Height = from
	if by == "" {
		return errMissing("--by", "the account that proposes it")
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	op := &ledger.Propose{Proposal: ledger.Proposal{ActivateRules: rules}}
	if op.By, err = u.account("option --by", by); err != nil {
		return err
	}
	return u.propose(ctx, s, op)
}
