package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// byNode are the options of a transfer that the node signs.
type byNode struct {
	wanted     bool
	key        string
	validUntil string
}

func addByNode(cmd *cobra.Command, b *byNode) {
	f := cmd.Flags()
	f.BoolVar(&b.wanted, "by-node", false, "have the node sign, with a key of its --sign-with; this takes a token of the scope admin")
	f.StringVar(&b.key, "idempotency-key", "", "with --by-node: `KEY` of this one payment, 16 to 64 letters chosen at random, with --valid-until; asked for again with the same of all, it happens once")
	f.StringVar(&b.validUntil, "valid-until", "", "with --by-node: `TIME` until which it may come into a block, such as 2026-01-02T15:04:05Z, at most an hour ahead")
	cmd.MarkFlagsRequiredTogether("idempotency-key", "valid-until")
	cmd.MarkFlagsMutuallyExclusive("by-node", "passphrase-file")
	cmd.MarkFlagsMutuallyExclusive("valid-until", "valid-for")
}

// validate returns a fault.Invalid error for options that don't go together.
func (b *byNode) validate() error {
	if b.key != "" && !b.wanted {
		return fault.New(fault.Invalid, "option --idempotency-key is for --by-node: what this command signs itself happens once anyway")
	}
	if n := len(b.key); n > 0 && (n < v1.MinIdempotencyKey || n > v1.MaxIdempotencyKey) {
		return fault.New(fault.Invalid, "option --idempotency-key: want %d to %d letters, got %d", v1.MinIdempotencyKey, v1.MaxIdempotencyKey, n)
	}
	return nil
}

// until returns when the payment is to be too late: what was asked for, or after validFor.
func (b *byNode) until(validFor time.Duration) (time.Time, error) {
	if b.validUntil == "" {
		body, err := newBody(validFor, v1.MaxTransferWindow, "", nil)
		return time.UnixMilli(body.ValidUntil).UTC(), err
	}
	t, err := time.Parse(time.RFC3339Nano, b.validUntil)
	if err != nil {
		return t, fault.New(fault.Invalid, "option --valid-until: want a time such as 2026-01-02T15:04:05Z, got %q", b.validUntil)
	}
	return t.UTC(), nil
}

// transferByNode has the node sign a transfer and hand it in, and shows that it is in a block.
func (a *app) transferByNode(ctx context.Context, args []string, from, to string, s sending, b byNode) error {
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	if from, err = u.payer(ctx, from); err != nil {
		return err
	}
	if to == "" {
		return errMissing("--to", "the account that gets it")
	}
	m, err := a.movement(ctx, args, from, to)
	if err != nil {
		return err
	}
	network, err := u.network(ctx)
	if err != nil {
		return err
	}
	until, err := b.until(s.validFor)
	if err != nil {
		return err
	}
	if b.key == "" {
		b.key = rand.Text()
	}
	t := v1.Transfer{Network: network.String(), From: m.from.String(), To: m.to.String(), Asset: m.asset.String(), Amount: m.amount.String(), Memo: s.memo, ValidUntil: until}
	status, err := u.insist(ctx, func(ctx context.Context) (v1.TransactionStatus, error) {
		return u.client.Transfer(ctx, t, b.key, v1.SubmitOptions{Wait: v1.WaitCommitted})
	})
	if err == nil && status.State != v1.TransactionCommitted {
		err = fault.New(fault.Unavailable, "transaction %s is in no block yet", printable(status.ID))
	}
	if err != nil {
		again := fmt.Sprintf("moot ledger transfer %s %s --from %s --to %s", shellQuote(args[0]), shellQuote(m.asset.String()), m.from, m.to)
		return a.notPaid(err, again, s.memo, b.key, until)
	}
	if !status.Applied {
		return notApplied(&v1.CommittedTransaction{TransactionStatus: status})
	}
	return a.show(status, func() {
		a.printCommitted(fmt.Sprintf("transferred %s %s from %s to %s", args[0], m.asset, m.from, m.to), &v1.CommittedTransaction{TransactionStatus: status})
	})
}

// payer returns an account as the node's name for one of its keys stands for it, or as it was written.
func (u *ledgerUser) payer(ctx context.Context, from string) (string, error) {
	if _, err := u.account("option --from", from); fault.KindOf(err) != fault.NotFound {
		return from, nil // what is wrong with it is told by who reads it
	}
	list, err := u.client.Signers(ctx)
	if err != nil {
		return "", u.app.askFailed("ask whom the node signs for", "", err)
	}
	for _, s := range list.Signers {
		if s.Name == from {
			return s.Account, nil
		}
	}
	return "", advise(fault.New(fault.NotFound, "option --from: neither the home nor the node has a key called %s", quoteKey(from)), `"moot ledger signers" lists those of the node`)
}

// notPaid is the error of a transfer of which no block with it is known. Where it may still come into one, it says how to ask again for the same payment.
func (a *app) notPaid(err error, again, memo, key string, until time.Time) error {
	kind := fault.KindOf(err)
	if errors.Is(err, client.ErrNotRunning) || kind != fault.Unavailable && kind != fault.Internal {
		err = a.askFailed("have the node pay", "", err)
		if kind == fault.Forbidden {
			err = advise(err, `"moot ledger signers" lists the keys that the node signs with`)
		}
		return err
	}
	if memo != "" {
		again += " --memo " + shellQuote(memo)
	}
	again += " --by-node --idempotency-key " + shellQuote(key) + " --valid-until " + until.Format(time.RFC3339Nano)
	return advise(fmt.Errorf("the payment may still come into a block until %s: %w", until.Local().Format("2006-01-02 15:04:05"), err), "ask again for the same, which happens once: %s", a.withNode(again))
}

func newLedgerSigners(a *app) *cobra.Command {
	cmd := a.command("signers", "List the keys that the node signs transfers with", wants(0, 0), func(ctx context.Context, _ []string) error { return a.listSigners(ctx) })
	cmd.Long = `List the keys that the node was told to sign transfers with ("moot run --sign-with NAME"), and the accounts that they speak for until those are given other keys. "moot ledger transfer --by-node" uses them.`
	cmd.Example = `  moot ledger signers
  moot ledger signers --json | jq -r '.signers[] | .account'`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) listSigners(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	list, err := c.Signers(ctx)
	if err != nil {
		return a.askFailed("ask whom the node signs for", "", err)
	}
	return a.show(list, func() {
		if len(list.Signers) == 0 {
			a.printf("the node signs nothing: \"moot run --sign-with NAME\" tells it a key\n")
			return
		}
		table := newTable(a.stdout)
		fmt.Fprintln(table, "NAME\tACCOUNT\tKEY")
		for _, s := range list.Signers {
			fmt.Fprintln(table, strings.Join([]string{printable(s.Name), printable(s.Account), printable(s.Key)}, "\t"))
		}
		table.Flush()
	})
}
