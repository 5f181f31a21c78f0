package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/routing"
)

func newPeers(a *app) *cobra.Command {
	cmd := a.command("peers", "List the peers that the node knows", wants(0, 0), func(ctx context.Context, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		peers, err := c.Peers(ctx)
		if err != nil {
			return a.askFailed("list the peers", "", err)
		}
		return a.show(v1.Peers{Peers: peers}, func() { a.printPeers(peers, time.Now()) })
	})
	cmd.Long = `List every peer that the node knows, itself included, with what its own failure detector believes: alive; suspect, which did not answer lately;
away, which said that it would be back; dead. One that is "leaving" hands over what it holds, and goes for good.`
	cmd.Example = `  moot peers
  moot peers --json | jq -r '.peers[] | select(.state == "alive") | .id'`
	return cmd
}

func (a *app) printPeers(peers []v1.Peer, now time.Time) {
	table := newTable(a.stdout)
	fmt.Fprintln(table, "PEER\tSTATE\tFOR\tROUND TRIP\tCONNECTED BY\tZONE\tFOUND BY")
	for _, p := range peers {
		rtt := "-"
		if p.RTTMicros > 0 {
			rtt = millis(p.RTTMicros)
		}
		since := "-"
		if !p.Since.IsZero() {
			since = ago(now, p.Since)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(p.ID), peerState(p), since, rtt,
			orDash(strings.Join(p.Transports, ",")), orDash(p.Zone), orDash(strings.Join(p.FoundBy, ",")))
	}
	table.Flush()
}

// peerState says what a peer is doing, in a word or two.
func peerState(p v1.Peer) string {
	state := orDash(p.State)
	switch {
	case p.Self && p.Leaving:
		return "this node, leaving"
	case p.Self:
		return "this node"
	case p.Leaving && p.State == routing.Alive.String():
		return "leaving"
	case p.Leaving:
		return state + ", leaving"
	}
	return state
}
