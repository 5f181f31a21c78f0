package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/admission"
)

const (
	// defaultExpires and maxExpires are how long an invite is good.
	defaultExpires = 24 * time.Hour
	maxExpires     = 365 * 24 * time.Hour
	// minInviteID is the least of an invite's id that names it.
	minInviteID = 8
)

// inviteOptions are the options of moot invite.
type inviteOptions struct {
	sending
	uses     int
	expires  time.Duration
	role     *choice
	by, note string
	announce []string
}

func newInvite(a *app) *cobra.Command {
	o := inviteOptions{role: newChoice(admission.RoleMember.String(), admission.RoleNames()...)}
	cmd := a.command("invite", "Make the line with which somebody can join the network", wants(0, 0), func(ctx context.Context, _ []string) error { return a.invite(ctx, o) })
	cmd.Long = `Make an invite to a network for members only, and print it: one line, to be sent to whoever is to join with "moot join LINE". Whoever has the line can join, as often as the invite allows: send it as you would send a
password. It holds addresses of members, a secret, and the hash of the network's genesis, by which the one who joins knows that it is this network and no other.

The invite is on the ledger, where its uses are counted; the secret is nowhere but in the line. The operator of a validator makes it. With --role validator-candidate who joins makes a validator's key, too, and says what
to propose so that it can vote.`
	cmd.Example = `  moot invite
  moot invite --uses 5 --expires 72h --note "the harbour's three nodes"
  moot invite --announce /dns4/moot.example.org/tcp/4242
  moot invite list`
	f := cmd.Flags()
	f.IntVar(&o.uses, "uses", 1, fmt.Sprintf("how many peers it admits, 1 to %d", ledger.MaxUses))
	f.DurationVar(&o.expires, "expires", defaultExpires, "how long it is good, at most 8760h")
	addChoice(cmd, o.role, "role", "what who joins is to be")
	f.StringVar(&o.note, "note", "", "`TEXT` of up to 64 bytes for those who see the list of invites, and for who joins")
	f.StringSliceVar(&o.announce, "announce", nil, "`MULTIADDR` at which others reach this node, beside those it listens on; may be repeated")
	a.addAccountOption(cmd, &o.by, "by", "`ACCOUNT` that invites: the operator of a validator (default: operator)")
	addSending(cmd, &o.sending)
	addCommands(cmd, newInviteList(a), newInviteRevoke(a))
	return cmd
}

// madeInvite is what --json prints of an invite.
type madeInvite struct {
	Line  string    `json:"line"`
	ID    string    `json:"id"`
	Uses  int       `json:"uses"`
	Until time.Time `json:"until"`
	Role  string    `json:"role"`
}

func (o *inviteOptions) check() error {
	if o.uses < 1 || o.uses > ledger.MaxUses {
		return fault.New(fault.Invalid, "option --uses: want 1 to %d, got %d", ledger.MaxUses, o.uses)
	}
	if o.expires <= 0 || o.expires > maxExpires {
		return fault.New(fault.Invalid, "option --expires: want more than 0 and at most %s, got %s", maxExpires, o.expires)
	}
	return nil
}

func (a *app) invite(ctx context.Context, o inviteOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	role, err := admission.ParseRole(o.role.value)
	if err != nil {
		return err
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	line, err := u.newLine(ctx, o.announce)
	if err != nil {
		return fmt.Errorf("invite: %w", err)
	}
	line.Role = role
	op := &ledger.Invite{Uses: uint32(o.uses), Until: time.Now().Add(o.expires).UnixMilli(), Note: o.note}
	keys := admission.KeySetOf(line.Secret.Key(line.Network))
	op.Account = keys.ID()
	if op.By, err = u.operator(o.by); err != nil {
		return err
	}
	if _, err := u.send(ctx, o.sending, op); err != nil {
		return notOperator(err)
	}
	if !slices.ContainsFunc(line.Addrs, manet.IsPublicAddr) {
		a.notef("all addresses in the line are private: only who is in the same private network can join with it")
	}
	made := madeInvite{line.String(), op.Account.String(), o.uses, time.UnixMilli(op.Until).UTC(), role.String()}
	return a.show(made, func() {
		a.notef("good for %s until %s; whoever has it can join: moot join LINE", plural(o.uses, "peer"), expiry(made.Until))
		a.printf("%s\n", made.Line)
	})
}

// operator returns the account that signs for a validator: the one named, or the home's own.
func (u *ledgerUser) operator(name string) (ledger.AccountID, error) {
	if name != "" {
		return u.account("option --by", name)
	}
	own, err := u.folder.Own(operatorName)
	if fault.KindOf(err) == fault.NotFound {
		return ledger.AccountID{}, advise(fault.New(fault.NotFound, "there is no key %s in %s: inviting, expelling and revoking is for operators of validators", operatorName, string(u.folder)),
			"name another key with --by, or do it where a validator runs")
	}
	return own.ID(), err
}

// notOperator explains the failure that people meet who may not invite.
func notOperator(err error) error {
	if err != nil && (strings.Contains(err.Error(), ledger.NotOperator.String()) || strings.Contains(err.Error(), ledger.NoInvite.String())) {
		return advise(err, `only operators of validators may do this: "moot ledger validators" lists them`)
	}
	return err
}

// newLine returns a line with a new secret and the addresses of this node and of some other members.
func (u *ledgerUser) newLine(ctx context.Context, announced []string) (*admission.Line, error) {
	if _, err := u.client.Members(ctx); err != nil {
		return nil, u.app.ledgerFailed("ask for the members", "", err)
	}
	document, err := u.client.Genesis(ctx)
	if err != nil {
		return nil, u.app.ledgerFailed("ask for the genesis", "", err)
	}
	g, err := ledger.ParseGenesis(document)
	if err != nil {
		return nil, err
	}
	if g.Predecessor != nil {
		return nil, advise(fault.New(fault.Conflict, "the network's ledger goes on from another one, whose last state an invite can't carry"),
			`the one who is to join needs "moot init --genesis FILE --state FILE", and an operator who admits it: "moot members admit PEER"`)
	}
	line := &admission.Line{Network: g.ID()}
	if line.Secret, err = admission.NewSecret(); err != nil {
		return nil, err
	}
	line.Addrs, err = u.inviteAddrs(ctx, announced)
	return line, err
}

func newInviteList(a *app) *cobra.Command {
	cmd := a.command("list", "List the invites that were not revoked", wants(0, 0), func(ctx context.Context, _ []string) error { return a.inviteList(ctx) })
	cmd.Long = `List the invites that were made and not revoked, with how many peers each may still admit. The lines themselves are nowhere but where they were sent.`
	cmd.Example = `  moot invite list`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) inviteList(ctx context.Context) error {
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	list, err := u.client.Invites(ctx)
	if err != nil {
		return a.ledgerFailed("list the invites", "", err)
	}
	tell, err := u.teller(ctx)
	if err != nil {
		return err
	}
	return a.show(list, func() {
		table := newTable(a.stdout)
		fmt.Fprintln(table, "INVITE\tSTATE\tLEFT\tUNTIL\tBY\tNOTE")
		for _, i := range list.Invites {
			fmt.Fprintf(table, "%s\t%s\t%d of %d\t%s\t%s\t%s\n", printable(i.ID), orDash(i.State), i.Left, i.Uses, expiry(i.Until), tell.account(i.By), orDash(i.Note))
		}
		table.Flush()
	})
}

func newInviteRevoke(a *app) *cobra.Command {
	var s sending
	var by string
	cmd := a.command("revoke INVITE", "End an invite", wants(1, 1), func(ctx context.Context, args []string) error { return a.inviteRevoke(ctx, args[0], by, s) })
	cmd.Long = `End an invite, so that it admits nobody any more. INVITE is its id as "moot invite list" shows it, or its beginning. Who has joined with it stays a member: see "moot members expel".`
	cmd.Example = `  moot invite revoke moot1qx4n7yzk`
	a.addAccountOption(cmd, &by, "by", "`ACCOUNT` that revokes it: the operator of a validator (default: operator)")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) inviteRevoke(ctx context.Context, which, by string, s sending) error {
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	list, err := u.client.Invites(ctx)
	if err != nil {
		return a.ledgerFailed("list the invites", "", err)
	}
	id, err := findInvite(list.Invites, which)
	if err != nil {
		return advise(fmt.Errorf("revoke: %w", err), `"moot invite list" lists them`)
	}
	op := &ledger.Revoke{Account: id}
	if op.By, err = u.operator(by); err != nil {
		return err
	}
	return notOperator(u.do(ctx, s, "revoked "+id.String(), op))
}

// findInvite returns the one invite whose id begins so.
func findInvite(list []v1.Invite, which string) (id ledger.AccountID, err error) {
	if len(which) < minInviteID {
		return id, fault.New(fault.Invalid, "%s is too short for an invite's id: want %d characters or more", quoteKey(which), minInviteID)
	}
	found := ""
	for _, i := range list {
		if strings.HasPrefix(i.ID, which) {
			if found != "" {
				return id, fault.New(fault.Invalid, "several invites begin with %s", quoteKey(which))
			}
			found = i.ID
		}
	}
	if found == "" {
		return id, fault.New(fault.NotFound, "there is no invite %s", quoteKey(which))
	}
	id, err = ledger.ParseAccountID(found)
	return id, err
}
