package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/swarm"
)

// joinOptions are the options of moot join.
type joinOptions struct {
	runOptions
	yes, run bool
	name     string
	file     string // that the line is in
}

func newJoin(a *app) *cobra.Command {
	o := joinOptions{runOptions: newRunOptions()}
	cmd := a.command("join LINE", "Join a network with an invite, and run the node", wants(0, 1), func(ctx context.Context, args []string) error { return a.joinByInvite(ctx, args, o) })
	cmd.Use = "join LINE | join - | join --file FILE"
	cmd.Long = `Join a network for members only with the line that "moot invite" printed at one of its members; with - it is read from standard input, and with --file from a file, where nobody sees it in a list of processes. The command shows which network it is, who
invites, and what follows from joining, and asks; --yes answers. Then the node's home is made, the members are asked to admit it, and the node runs as with "moot run", whose options it has.

The network is the one whose genesis has the hash in the line: no other can pass for it. Where joining was broken off, the same command goes on. A home that has joined is run with "moot run".`
	cmd.Example = `  moot join moot-invite-1.AQB…
  moot join - --yes --home /var/lib/moot < invite.txt
  moot join moot-invite-1.AQB… --name harbour-2 --run=false`
	f := cmd.Flags()
	f.BoolVarP(&o.yes, "yes", "y", false, "join without asking")
	f.StringVar(&o.file, "file", "", "`FILE` with the line")
	f.StringVar(&o.name, "name", "", "`NAME` of the node in the list of members, up to 64 bytes (default: the name of the machine)")
	f.BoolVar(&o.run, "run", true, "run the node once it has joined")
	addRunOptions(cmd, &o.runOptions)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) joinByInvite(ctx context.Context, args []string, o joinOptions) error {
	a.useLog(o.runOptions)
	if (len(args) == 1) == (o.file != "") {
		return advise(fault.New(fault.Invalid, "join: want the line that \"moot invite\" printed, or --file with it"), "say: moot join LINE")
	}
	line, err := a.readLine(ctx, strings.Join(args, ""), &o)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	info, err := a.joinNetwork(ctx, line, o)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if line.Role == admission.RoleValidator {
		own, err := ownValidator(a.home)
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		a.notef("to vote, have the operators of validators say: moot ledger validators propose %s 1 --operator %s --by operator", own.Key, own.Operator)
	}
	if o.run {
		return a.runNode(ctx, o.runOptions)
	}
	return a.show(map[string]any{
		"id": info.ID.String(), "home": a.home, "network": map[string]any{"name": info.Network, "id": info.NetworkID.String()},
	}, func() {
		a.printf("peer id  %s\nnetwork  %s\nhome     %s\nnext     %s\n", info.ID, printable(info.Network), a.home, a.withHome("moot run"))
	})
}

// readLine reads the invite, and makes sure that there is somebody to ask.
func (a *app) readLine(ctx context.Context, text string, o *joinOptions) (*admission.Line, error) {
	if err := a.needHome(); err != nil {
		return nil, err
	}
	stdin := text == "-"
	if stdin || o.file != "" {
		data, err := a.readInput(ctx, cmp.Or(o.file, "-"), admission.MaxLine+2)
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	line, err := admission.ParseLine(text)
	if err != nil {
		return nil, err
	}
	if !o.yes && (stdin || !a.stdinTerminal || a.json) {
		return nil, advise(fault.New(fault.Invalid, "nobody can be asked here whether to join"), "say --yes to join without being asked")
	}
	if o.name == "" {
		o.name = machineName()
	}
	return line, nil
}

// machineName returns the name of the machine as far as it fits a member's.
func machineName() string {
	name, err := os.Hostname()
	if err != nil || len(name) > ledger.MaxName {
		return ""
	}
	return name
}

// joinNetwork makes the home a node of the invite's network, and a member of it.
func (a *app) joinNetwork(ctx context.Context, line *admission.Line, o joinOptions) (node.HomeInfo, error) {
	info, err := node.ReadHome(a.home)
	switch {
	case err == nil && info.NetworkID != swarm.NetworkID(line.Network):
		return info, advise(fault.New(fault.Conflict, "home %s is a node of another network, %s", a.home, quoteKey(info.Network)), "give another --home: a node belongs to one network")
	case err == nil:
		if member, err := node.IsMember(a.home); err != nil || member {
			if member {
				a.notef("this node is a member already")
			}
			return info, err
		}
	case fault.KindOf(err) != fault.NotFound:
		return info, err
	}
	key, err := node.Identity(a.home)
	if err != nil {
		return info, err
	}
	v, err := admission.NewVisitor(line, key)
	if err != nil {
		return info, err
	}
	defer v.Close()
	inv, err := v.Ask(ctx)
	if errors.Is(err, admission.ErrMember) && info.Genesis != nil { // it was broken off before the receipt was here
		proof, err := v.Receipt(ctx, info.Genesis)
		if err != nil {
			return info, err
		}
		return node.JoinMembers(a.home, info.Genesis, proof, line.Addrs)
	}
	if err != nil {
		return info, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return info, err
	}
	a.presentInvitation(line, inv, id, o.name)
	if !o.yes {
		if err := a.agree(ctx); err != nil {
			return info, err
		}
	}
	if info, err = node.JoinHome(a.home, inv.Genesis); err != nil { // before anybody is asked: what follows can then go on where it was broken off
		return info, err
	}
	proof, err := v.Join(ctx, inv, o.name)
	if err != nil {
		return info, err
	}
	a.notef("joined")
	return node.JoinMembers(a.home, inv.Genesis, proof, line.Addrs)
}

// presentInvitation shows what joining means.
func (a *app) presentInvitation(line *admission.Line, inv *admission.Invitation, id peer.ID, name string) {
	a.notef("network   %s, for members only", printable(inv.Genesis.Network))
	a.notef("genesis   %s, of %s, by %s", inv.Genesis.ID(), inv.Genesis.Created.Local().Format("2006-01-02"), plural(len(inv.Genesis.Validators), "validator"))
	a.notef("inviter   %s%s", inv.Inviter, noteText(inv.Note))
	a.notef("members   %d, of which %s says so", inv.Members, inv.From)
	a.notef("invite    admits %d more until %s", inv.Left, expiry(time.UnixMilli(inv.Until)))
	a.notef("you       %s, as %s, a %s", id, quoteKey(name), line.Role)
	a.notef("Members hold one another's records, and all see who the members are. The operators of validators admit and expel them.")
}

func noteText(note string) string {
	if note == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", printable(note))
}

// agree asks whether to join.
func (a *app) agree(ctx context.Context) error {
	fmt.Fprint(a.stderr, "Join? [y/N] ")
	answer, err := bufio.NewReader(abandonable(ctx, a.stdin)).ReadString('\n')
	if err != nil && answer == "" {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fault.New(fault.Forbidden, "not joined: the answer was no")
}
