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
away, which said that it would be back; dead. One that is "leaving" hands over what it holds, and goes for good.

"connected by" names the transports of the connections to a peer. "relay …ABCDEF" is one that leads through the peer whose id ends so.`
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
			connectedBy(p), orDash(p.Zone), orDash(strings.Join(p.FoundBy, ",")))
	}
	table.Flush()
}

// connectedBy names the transports of a peer's connections, and whom relayed ones lead through.
func connectedBy(p v1.Peer) string {
	var ways []string
	for _, t := range p.Transports {
		if t != "relay" {
			ways = append(ways, printable(t))
		}
	}
	for _, by := range p.RelayedBy {
		ways = append(ways, "relay …"+printable(by[max(0, len(by)-6):]))
	}
	return orDash(strings.Join(ways, ","))
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
