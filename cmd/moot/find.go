package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func newFind(a *app) *cobra.Command {
	via := newChoice("", "iterative", "recursive", "broadcast")
	cmd := a.command("find PEER", "Find a peer's addresses", wants(1, 1), func(ctx context.Context, args []string) error {
		if err := checkPeerID(args[0]); err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		p, err := c.FindPeer(ctx, args[0], via.value)
		if err != nil {
			err = a.askFailed("find", args[0], err)
			if fault.KindOf(err) == fault.NotFound {
				return advise(err, `"moot peers" lists the peers known`)
			}
			return err
		}
		return a.show(p, func() { a.printPeer(p, time.Now()) })
	})
	cmd.Long = `Find a peer and the addresses at which it is reached, asking other peers where this node does not know it.

With --via they are asked in any case: iteratively, going from peer to peer; recursively, each passing the question on; or by a broadcast to everybody, which the peer itself answers.`
	cmd.Example = `  moot find 12D3KooWLr1gYejUTeriAsSu6roR2aQ423G3Q4fFTqzqSwTsMz9n
  moot find 12D3KooWLr1gYejUTeriAsSu6roR2aQ423G3Q4fFTqzqSwTsMz9n --via recursive`
	addChoice(cmd, via, "via", "way in which others are asked, though the peer is known (default: they are not)")
	cmd.ValidArgsFunction = a.completePeers
	return cmd
}

func (a *app) printPeer(p v1.Peer, now time.Time) {
	table := newTable(a.stdout)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, printable(value))
		}
	}
	line("peer id", p.ID)
	line("state", p.State)
	if !p.LastSeen.IsZero() {
		line("last seen", ago(now, p.LastSeen)+" ago")
	}
	line("zone", p.Zone)
	line("version", p.Version)
	line("connected by", strings.Join(p.Transports, ", "))
	line("found by", strings.Join(p.FoundBy, ", "))
	for _, addr := range p.Addresses {
		line("address", addr)
	}
	table.Flush()
}
