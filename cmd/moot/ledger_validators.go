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

func newLedgerValidators(a *app) *cobra.Command {
	cmd := commandGroup("validators", "List who votes on blocks, and what is proposed", func(ctx context.Context) error { return a.validators(ctx) })
	cmd.Long = `List the validators with their voting power, which share of the last 100 blocks each has signed, and the proposals that are open. The operators of validators propose another power for one, and vote; what those with more than two thirds of the power are
for is in force at once. Proposals are open for a week.`
	cmd.Example = `  moot ledger validators
  moot ledger validators propose KEY 10 --operator bob --by ann
  moot ledger validators vote PROPOSAL --by bob`
	list := a.command("list", "List the validators and the proposals", wants(0, 0), func(ctx context.Context, _ []string) error { return a.validators(ctx) })
	list.Long, list.Example, list.ValidArgsFunction = `List the validators with their voting power, which share of the last 100 blocks each has signed, as far as this node has the signatures, and the proposals that are open.`, `  moot ledger validators list`, cobra.NoFileCompletions
	addCommands(cmd, list, newValidatorsKey(a), newValidatorsPropose(a), newValidatorsVote(a), newValidatorsResume(a))
	return cmd
}

func newValidatorsKey(a *app) *cobra.Command {
	cmd := a.command("key", "Print the key that this node would vote with", wants(0, 0), func(context.Context, []string) error { return a.validatorKey() })
	cmd.Long = `Print the public key that the node of --home would vote with, and the account "operator" that speaks for it, with the node's peer id; all are made where they are not there. The node need not run.
The document is an entry of the file that "moot init --validators" takes. In a network that is there already the operators of its validators propose and vote the key in.`
	cmd.Example = `  moot ledger validators key
  moot ledger validators key --home /var/lib/moot > party.json`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) validatorKey() error {
	if err := a.needHome(); err != nil {
		return err
	}
	own, err := ownFounder(a.home)
	if err != nil {
		return fmt.Errorf("make the validator's key: %w", err)
	}
	return a.printJSON(own)
}

func (a *app) validators(ctx context.Context) error {
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	known, err := u.client.Validators(ctx)
	if err != nil {
		return a.ledgerFailed("list the validators", "", err)
	}
	tell, err := u.teller(ctx)
	if err != nil {
		return err
	}
	return a.show(known, func() { a.printValidators(tell, &known) })
}

func (a *app) printValidators(tell *teller, known *v1.Validators) {
	table := newTable(a.stdout)
	fmt.Fprintln(table, "VALIDATOR\tPOWER\tSIGNED\tOPERATOR")
	for _, v := range known.Validators {
		fmt.Fprintf(table, "%s\t%d of %d\t%s\t%s\n", printable(v.Key), v.Power, known.Total, signedText(v), tell.account(v.Operator))
	}
	table.Flush()
	if known.Window > 0 {
		a.printf("signed: of the last %s, those in which it had power\n", plural(known.Window, "block"))
	}
	for i := range known.Proposals {
		p := &known.Proposals[i]
		a.printf("\nproposal %s, open until %s\n    %s\n", printable(p.ID), expiry(p.Until), tell.proposal(&p.Proposes))
		for _, operator := range p.Votes {
			a.printf("    %s is for it\n", tell.account(operator))
		}
	}
}

// signedText says which share of the last blocks a validator signed.
func signedText(v v1.Validator) string {
	if v.Blocks == 0 {
		return "-"
	}
	return fmt.Sprintf("%d %%", 100*v.Signed/v.Blocks)
}

func newValidatorsPropose(a *app) *cobra.Command {
	var s sending
	var operator, by string
	cmd := a.command("propose KEY POWER [--operator ACCOUNT] --by ACCOUNT", "Propose a validator's voting power", wants(2, 2), func(ctx context.Context, args []string) error {
		return a.propose(ctx, args, operator, by, s)
	})
	cmd.Long = `Propose that a validator has some voting power, 0 for none, and vote for it. KEY is the validator's public key, which its node shows. The operator of a validator signs. Where more than two thirds of the power are
for it already, it is in force at once.`
	cmd.Example = `  moot ledger validators propose KEY 10 --operator bob --by ann
  moot ledger validators propose KEY 0 --by ann`
	a.addAccountOption(cmd, &operator, "operator", "`ACCOUNT` that speaks for the validator (default: the one that does so now)")
	a.addAccountOption(cmd, &by, "by", "`ACCOUNT` that proposes it")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// proposed is what --json prints of a proposal that was made.
type proposed struct {
	v1.CommittedTransaction
	Proposal ledger.Hash `json:"proposal"`
}

func (a *app) propose(ctx context.Context, args []string, operator, by string, s sending) error {
	power := &ledger.SetPower{}
	if err := power.Validator.UnmarshalText([]byte(args[0])); err != nil {
		return err
	}
	n, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil || n > ledger.MaxPower {
		return fault.New(fault.Invalid, "%s is no voting power: want 0 to %d", quoteKey(args[1]), int64(ledger.MaxPower))
	}
	power.Power = n
	if by == "" {
		return errMissing("--by", "the account that proposes it")
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	if power.Operator, err = u.operatorOf(ctx, power.Validator, operator); err != nil {
		return err
	}
	op := &ledger.Propose{Proposal: ledger.Proposal{SetPower: power}}
	if op.By, err = u.account("option --by", by); err != nil {
		return err
	}
	return u.propose(ctx, s, op)
}

// operatorOf returns the account that is to speak for a validator: the one that is named, or else the one that does so now.
func (u *ledgerUser) operatorOf(ctx context.Context, key ledger.PublicKey, named string) (ledger.AccountID, error) {
	if named != "" {
		return u.account("option --operator", named)
	}
	known, err := u.client.Validators(ctx)
	if err != nil {
		return ledger.AccountID{}, u.app.ledgerFailed("list the validators", "", err)
	}
	for _, v := range known.Validators {
		if v.Key == key.String() {
			return ledger.ParseAccountID(v.Operator)
		}
	}
	return ledger.AccountID{}, errMissing("--operator", "the account that speaks for the validator, which is none yet")
}

// propose hands a proposal in, and prints its id.
func (u *ledgerUser) propose(ctx context.Context, s sending, op *ledger.Propose) error {
	t, err := u.send(ctx, s, op)
	if err != nil {
		return err
	}
	network, err := ledger.ParseHash(t.Transaction.Network)
	if err != nil {
		return err
	}
	id := ledger.ProposalID(network, &op.Proposal)
	return u.app.show(proposed{t, id}, func() { u.app.printCommitted("proposed "+id.String(), &t) })
}

func newValidatorsVote(a *app) *cobra.Command {
	var s sending
	var by string
	cmd := a.command("vote PROPOSAL --by ACCOUNT", "Vote for a proposal", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.vote(ctx, args[0], by, s)
	})
	cmd.Long = `Vote for a proposal that is open. The operator of a validator signs. One who is against it does not vote.`
	cmd.Example = `  moot ledger validators vote PROPOSAL --by bob`
	a.addAccountOption(cmd, &by, "by", "`ACCOUNT` that votes")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) vote(ctx context.Context, proposal, by string, s sending) error {
	id, err := ledger.ParseHash(proposal)
	if err != nil {
		return advise(fmt.Errorf("proposal: %w", err), `"moot ledger validators" lists those that are open`)
	}
	if by == "" {
		return errMissing("--by", "the account that votes")
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	op := &ledger.Vote{Proposal: id}
	if op.By, err = u.account("option --by", by); err != nil {
		return err
	}
	return u.do(ctx, s, "voted for "+proposal, op)
}
