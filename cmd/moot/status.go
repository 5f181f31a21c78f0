package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

func newStatus(a *app) *cobra.Command {
	cmd := a.command("status", "Show how the node fares", wants(0, 0), func(ctx context.Context, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		n, err := c.Node(ctx)
		if err != nil {
			return a.askFailed("ask for the status", "", err)
		}
		return a.show(n, func() { a.printStatus(n, time.Now()) })
	})
	cmd.Long = `Show who the node is, which network it belongs to, whom it sees, and what it holds.
"copies" says how many holders of a record answer now, of how many wanted in a network of this size; then how many are wanted in a large one.`
	cmd.Example = `  moot status
  moot status --json | jq .ready`
	return cmd
}

func (a *app) printStatus(n v1.Node, now time.Time) {
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
	p := n.Peers
	line("peers", "%d alive, %d suspect, %d away, %d dead", p.Alive, p.Suspect, p.Away, p.Dead)
	r := n.Records
	line("records", "%s here, %s", grouped(r.Stored), byteSize(r.DiskBytes))
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
