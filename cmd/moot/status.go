package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
)

func newStatus(a *app) *cobra.Command {
	cmd := a.command("status", "Show how the node fares", wants(0, 0), func(ctx context.Context, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		s, err := askStatus(ctx, c)
		if err != nil {
			return a.askFailed("ask for the status", "", err)
		}
		return a.show(s, func() { a.printStatus(s, time.Now()) })
	})
	cmd.Long = `Show who the node is, which network it belongs to, whom it sees, what it holds, and how the records of the whole network fare.

Where something keeps the node from keeping the ledger, or its validator from voting, "ledger" says what. "copies" says how many holders of a record answer now, of how many wanted in a network of this size; then how many are wanted in a large one.
"reachability" says whether the peers that were asked can dial this node, and what a NAT makes of its ports by what they see; see docs/nat.md. "relays for others" is there while it does.
"network's records" counts the records of the whole network, which all its peers are asked for: those with every copy wanted; those with fewer, which are being made;
and those of which so few holders are alive that they can't be read until some come back.`
	cmd.Example = `  moot status
  moot status --json | jq .ready
  moot status --json | jq '.standing.below + .standing.unreachable'`
	return cmd
}

// status is what --json prints: the node, and how the records of the whole network fare or why that is not known.
type status struct {
	v1.Node
	Standing        *v1.Standing `json:"standing,omitempty"`
	StandingProblem string       `json:"standing_problem,omitempty"`
	// LedgerProblem is what keeps this node from keeping the ledger, or its validator from voting; empty: nothing, or it keeps none.
	LedgerProblem string `json:"ledger_problem,omitempty"`
}

// askStatus fails only when the node says nothing of itself.
func askStatus(ctx context.Context, c *client.Client) (status, error) {
	n, err := c.Node(ctx)
	if err != nil {
		return status{}, err
	}
	s := status{Node: n}
	if !n.Network.Open {
		if l, err := c.Ledger(ctx); err == nil { // a node that keeps none has no problem with it
			s.LedgerProblem = l.Problem
		}
	}
	standing, err := c.Standing(ctx)
	switch {
	case ctx.Err() != nil:
		return status{}, context.Cause(ctx)
	case err != nil:
		s.StandingProblem = err.Error()
		return s, nil
	}
	s.Standing = &standing
	return s, nil
}

func (a *app) printStatus(n status, now time.Time) {
	table := newTable(a.stdout)
	line := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	line("peer id", "%s", printable(n.ID))
	network := printable(n.Network.Name)
	if n.Network.Open {
		network += " (open)"
	}
	line("network", "%s", network)
	if n.Zone != "" {
		line("zone", "%s", printable(n.Zone))
	}
	line("version", "%s, up %s", printable(n.Version), ago(now, n.Started))
	ready := "yes"
	if !n.Ready {
		ready = "no: " + orDash(n.NotReady)
	}
	line("ready", "%s", ready)
	if n.LedgerProblem != "" {
		line("ledger", "%s", printable(n.LedgerProblem))
	}
	if n.Reachability != nil {
		line("reachability", "%s", reachabilityText(*n.Reachability))
		if r := n.Reachability.Relaying; r != nil {
			line("relays for others", "%s, %s, %s", plural(r.Reservations, "peer"), plural(r.Circuits, "connection"), byteSize(r.Bytes))
		}
	}
	p := n.Peers
	line("peers", "%d alive, %d suspect, %d away, %d dead", p.Alive, p.Suspect, p.Away, p.Dead)
	r := n.Records
	line("network's records", "%s", n.standingText())
	quota := ""
	if r.QuotaBytes > 0 {
		quota = " of " + byteSize(r.QuotaBytes)
	}
	line("records here", "%s, %s%s", grouped(r.Stored), byteSize(r.DiskBytes), quota)
	line("in its charge", "%s", standingCounts(r.Full, r.Below, r.Unreachable))
	line("shards", "%s held, %s synced", grouped(int64(r.ShardsHeld)), grouped(int64(r.ShardsSynced)))
	line("copies", "%s; quorum %d", copiesText(min(r.Wanted, p.Alive+1), r.Wanted, r.Copies), r.Quorum)
	for i, addr := range n.Addresses {
		name := ""
		if i == 0 {
			name = "addresses"
		}
		line(name, "%s", printable(addr))
	}
	table.Flush()
}

// reachabilityText says whether others can dial the node, and what they do when they can't.
func reachabilityText(r v1.Reachability) string {
	var parts []string
	switch r.State {
	case "reachable":
		parts = append(parts, "others can dial this node")
	case "unreachable":
		text := "some peers can't dial this node, and no relay is found"
		if n := len(r.Relays); n > 0 {
			text = "some peers can't dial this node, and reach it through " + plural(n, "relay")
		}
		parts = append(parts, text)
	default:
		parts = append(parts, "unknown: no peer has been able to tell yet")
	}
	for _, nat := range []struct{ transport, mapping string }{{"TCP", r.NATTCP}, {"QUIC", r.NATQUIC}} {
		if nat.mapping == "endpoint-independent" || nat.mapping == "endpoint-dependent" {
			parts = append(parts, nat.mapping+" NAT for "+nat.transport)
		}
	}
	return strings.Join(parts, "; ")
}

// standingText says how the records of the whole network fare.
func (s status) standingText() string {
	if s.Standing == nil {
		return "unknown: " + orDash(s.StandingProblem)
	}
	text := standingCounts(s.Standing.Full, s.Standing.Below, s.Standing.Unreachable)
	if !s.Standing.Complete {
		text += fmt.Sprintf("; incomplete: %s did not answer", plural(len(s.Standing.Missing), "peer"))
	}
	return text
}

// standingCounts writes "12 at full count, 1 below, 0 unreachable".
func standingCounts(full, below, unreachable int64) string {
	return fmt.Sprintf("%s at full count, %s below, %s unreachable", grouped(full), grouped(below), grouped(unreachable))
}
