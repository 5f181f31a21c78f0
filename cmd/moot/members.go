package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

func newMembers(a *app) *cobra.Command {
	cmd := commandGroup("members", "List who is a member, admit, expel, replace a key", func(ctx context.Context) error { return a.memberList(ctx, false) })
	cmd.Long = `List the members of a network for members only. Members are state of the ledger: the operators of validators admit and expel them, with an invite ("moot invite") or by peer id.`
	cmd.Example = `  moot members
  moot members list --all
  moot members expel harbour-2`
	addCommands(cmd, newMembersList(a), newMembersAdmit(a), newMembersExpel(a), newMembersReplaceKey(a))
	return cmd
}

func newMembersList(a *app) *cobra.Command {
	var all bool
	cmd := a.command("list", "List the members", wants(0, 0), func(ctx context.Context, _ []string) error { return a.memberList(ctx, all) })
	cmd.Long = `List the members as the node knows them, and with --all those who were members.`
	cmd.Example = `  moot members list --all`
	cmd.Flags().BoolVar(&all, "all", false, "those, too, who are members no more")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) memberList(ctx context.Context, all bool) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	list, err := c.Members(ctx)
	if err != nil {
		return a.askFailed("list the members", "", err)
	}
	shown := v1.Members{Height: list.Height, Members: []v1.Member{}}
	for _, m := range list.Members {
		if all || m.Until.IsZero() {
			shown.Members = append(shown.Members, m)
		}
	}
	return a.show(shown, func() {
		table := newTable(a.stdout)
		fmt.Fprintln(table, "MEMBER\tNAME\tSTATE\tADMITTED BY")
		for _, m := range shown.Members {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable(m.ID), orDash(m.Name), memberState(&m), printable(m.By))
		}
		table.Flush()
	})
}

func memberState(m *v1.Member) string {
	switch {
	case !m.Until.IsZero():
		return "until " + expiry(m.Until)
	case m.Self:
		return "this node"
	}
	return "member"
}

func newMembersAdmit(a *app) *cobra.Command {
	var s sending
	var by, name string
	cmd := a.command("admit PEER", "Make a peer a member by its id", wants(1, 1), func(ctx context.Context, args []string) error { return a.admit(ctx, args[0], name, by, s) })
	cmd.Long = `Make a peer a member by its id, without an invite: its node was made with "moot init --genesis FILE". One who was expelled comes back this way
alone, with "moot run --rejoin".`
	cmd.Example = `  moot members admit 12D3KooWGRUvhxPuNXXHSsYyCZZtuT3n2gC7pA9P7Xxz1kQ5UVTp --name harbour-2`
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the node in the list of members, up to 64 bytes")
	a.addAccountOption(cmd, &by, "by", "`ACCOUNT` that admits it: the operator of a validator (default: operator)")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) admit(ctx context.Context, text, name, by string, s sending) error {
	id, err := peer.Decode(text)
	if err != nil {
		return fault.New(fault.Invalid, "%s is not a peer id", quoteKey(text))
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	op := &ledger.Admit{Member: string(id), Name: name}
	if op.By, err = u.operator(by); err != nil {
		return err
	}
	return notOperator(u.do(ctx, s, "admitted "+id.String(), op))
}

func newMembersExpel(a *app) *cobra.Command {
	var s sending
	var by string
	cmd := a.command("expel MEMBER", "End a membership", wants(1, 1), func(ctx context.Context, args []string) error { return a.expel(ctx, args[0], by, s) })
	cmd.Long = `End a membership. MEMBER is a peer id, or a name that one member has. Within a few seconds every member that reaches the ledger closes its connections to that peer, and refuses what it writes from then on; what it wrote before
stays, and what it held is copied to others. An invite does not bring it back; "moot members admit" does. If the peer could get at an invite, revoke that, too; if it has a validator, have that voted out.`
	cmd.Example = `  moot members expel harbour-2
  moot members expel 12D3KooWGRUvhxPuNXXHSsYyCZZtuT3n2gC7pA9P7Xxz1kQ5UVTp`
	a.addAccountOption(cmd, &by, "by", "`ACCOUNT` that expels it: the operator of a validator (default: operator)")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) expel(ctx context.Context, which, by string, s sending) error {
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	list, err := u.client.Members(ctx)
	if err != nil {
		return a.ledgerFailed("list the members", "", err)
	}
	id, err := findMember(list.Members, which)
	if err != nil {
		return advise(fmt.Errorf("expel: %w", err), `"moot members" lists them`)
	}
	op := &ledger.Expel{Member: string(id)}
	if op.By, err = u.operator(by); err != nil {
		return err
	}
	return notOperator(u.do(ctx, s, "expelled "+id.String(), op))
}

// findMember returns the member with a peer id, or the one with a name.
func findMember(list []v1.Member, which string) (peer.ID, error) {
	found := ""
	for _, m := range list {
		if !m.Until.IsZero() {
			continue
		}
		if m.ID == which {
			return peer.Decode(m.ID)
		}
		if m.Name == which && which != "" {
			if found != "" {
				return "", fault.New(fault.Invalid, "several members are called %s: give a peer id", quoteKey(which))
			}
			found = m.ID
		}
	}
	if found == "" {
		return "", fault.New(fault.NotFound, "there is no member %s", quoteKey(which))
	}
	return peer.Decode(found)
}

func newMembersReplaceKey(a *app) *cobra.Command {
	var s sending
	cmd := a.command("replace-key", "Give this node a new identity, which is a member in the place of the old one", wants(0, 0), func(ctx context.Context, _ []string) error { return a.replaceKey(ctx, s) })
	cmd.Long = `Give the node of --home, which runs, a new identity key: the old and the new one sign that the new is a member in the place of the old, whose name it goes on with. From then on the old key is that of an expelled peer. The node stops,
since it still runs under the old one, and is to be started again; its records stay, though what is at own/OLD-ID can't be written to any more. The old key is kept in the home under another name.
Where the old key is lost, expel the peer, and admit it anew.`
	cmd.Example = `  moot members replace-key && moot run`
	addSending(cmd, &s)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// replacedKey is what --json prints of a key that was replaced.
type replacedKey struct {
	Old  string `json:"old"`
	New  string `json:"new"`
	Kept string `json:"kept"`
}

func (a *app) replaceKey(ctx context.Context, s sending) error {
	if err := a.needHome(); err != nil {
		return err
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	before, err := node.ReadHome(a.home)
	if err != nil {
		return fmt.Errorf("replace the key: %w", err)
	}
	if self, err := u.client.Node(ctx); err != nil && node.HasNextIdentity(a.home) {
		return a.finishReplacement(ctx, before, err)
	} else if err != nil {
		return a.askFailed("ask for the node", "", err)
	} else if self.ID != before.ID.String() {
		return advise(fault.New(fault.Conflict, "the node at %s is %s, and the home %s is that of %s", u.client.URL(), printable(self.ID), a.home, before.ID), "name the home of the node that runs")
	}
	next, err := a.submitReplacement(ctx, u, s)
	if err != nil {
		return fmt.Errorf("replace the key: %w", err)
	}
	return a.takeNext(before.ID, next)
}

// finishReplacement goes on where replacing was broken off after the new key had become a member, which the node under the old one does not outlive.
func (a *app) finishReplacement(ctx context.Context, before node.HomeInfo, notRunning error) error {
	key, err := node.NextIdentity(a.home)
	if err != nil {
		return err
	}
	next, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := node.ConfirmMember(ctx, a.home, key, nil); err != nil {
		a.notef("the new key is no member yet: %s", oneLine(err.Error()))
		return a.askFailed("ask for the node", "", notRunning)
	}
	return a.takeNext(before.ID, next)
}

// takeNext puts the new key in place.
func (a *app) takeNext(old, next peer.ID) error {
	kept, err := node.TakeNextIdentity(a.home, time.Now())
	if err != nil {
		return err
	}
	done := replacedKey{old.String(), next.String(), kept}
	return a.show(done, func() {
		a.printf("replaced %s\nby       %s\nkept     %s\nnext     start the node again: %s\n", done.Old, done.New, done.Kept, a.withHome("moot run"))
	})
}

// submitReplacement has both keys sign that one takes the place of the other.
func (a *app) submitReplacement(ctx context.Context, u *ledgerUser, s sending) (peer.ID, error) {
	old, err := node.Identity(a.home)
	if err != nil {
		return "", err
	}
	next, err := node.NextIdentity(a.home)
	if err != nil {
		return "", err
	}
	network, err := u.network(ctx)
	if err != nil {
		return "", err
	}
	ids := make([]peer.ID, 2)
	for i, key := range []crypto.PrivKey{old, next} {
		if ids[i], err = peer.IDFromPrivateKey(key); err != nil {
			return "", err
		}
	}
	body, err := newBody(s.validFor, ledger.MaxWindow, s.memo, []ledger.Operation{&ledger.ReplaceMember{Old: string(ids[0]), New: string(ids[1])}})
	if err != nil {
		return "", err
	}
	t := &ledger.Transaction{Body: body}
	for i, key := range []crypto.PrivKey{old, next} {
		raw, err := key.Raw()
		if err != nil {
			return "", err
		}
		keys, _ := ledger.MemberAccount(string(ids[i]))
		if err := t.Sign(network, keys.ID(), &keys, ed25519.PrivateKey(raw)); err != nil {
			return "", err
		}
	}
	peers := u.otherPeers(ctx)
	u.mayEnd = true
	_, err = u.submit(ctx, network, t)
	if kind := fault.KindOf(err); err != nil && (kind == fault.Unavailable || kind == fault.Internal) {
		// The others may have parted from this node before it had the block that replaces its key.
		confirming, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		if node.ConfirmMember(confirming, a.home, next, peers) == nil {
			err = nil
		}
	}
	if fault.KindOf(err) == fault.NotFound {
		err = advise(err, "this node's copy of the ledger does not know its membership yet: try again when \"moot ledger status\" says that it has all blocks")
	}
	return ids[1], err
}

// otherPeers returns where the living peers are that the node knows.
func (u *ledgerUser) otherPeers(ctx context.Context) (list []peer.AddrInfo) {
	peers, err := u.client.Peers(ctx)
	if err != nil {
		return nil // those that the home remembers are asked
	}
	for _, p := range peers {
		id, err := peer.Decode(p.ID)
		if err != nil || p.Self || p.State != "alive" {
			continue
		}
		one := peer.AddrInfo{ID: id}
		for _, text := range p.Addresses {
			if addr, err := ma.NewMultiaddr(text); err == nil {
				one.Addrs = append(one.Addrs, addr)
			}
		}
		list = append(list, one)
	}
	return list
}
