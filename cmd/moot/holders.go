package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func newHolders(a *app) *cobra.Command {
	cmd := a.command("holders KEY", "Show who holds a record, in which version, and since when", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.holders(ctx, args[0])
	})
	cmd.Long = `Ask every peer that is to hold a record which version it has and since when its disk has it, and then those that still hold a copy besides.

"level" says how far the peer has compared what it holds with the others: synced, partial (too few of them are alive to be sure), unsynced (it has just
become a holder and is catching up), leaving (no holder any more: it keeps its copy until the others have theirs), none.`
	cmd.Example = `  moot holders greeting
  moot holders greeting --json | jq -r '.holders[] | select(.found) | .id'`
	cmd.ValidArgsFunction = a.completeKeys(1)
	return cmd
}

func (a *app) holders(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	holding, err := c.Holders(ctx, key)
	if err != nil {
		return a.askFailed("ask who holds", key, err)
	}
	if err := a.show(holding, func() { a.printHolding(holding, time.Now()) }); err != nil {
		return err
	}
	for _, h := range holding.Holders {
		if h.Found {
			return nil
		}
	}
	return advise(fault.New(fault.NotFound, "nobody who answered holds %s", quoteKey(key)), `"moot ls" lists the keys`)
}

func (a *app) printHolding(holding v1.Holding, now time.Time) {
	table := newTable(a.stdout)
	fmt.Fprintln(table, "PEER\tSTATE\tLEVEL\tVERSION\tFOR\tSIZE\tZONE\tHOLDER")
	newest, same := "", 0
	for _, h := range holding.Holders {
		// Versions compare as their texts do.
		if h.Found && h.Version > newest {
			newest, same = h.Version, 0
		}
		if h.Found && h.Version == newest && h.Wanted {
			same++
		}
		fmt.Fprintln(table, holderRow(h, now))
	}
	table.Flush()
	a.printf("newest version on %s; quorum %d\n", copiesText(same, holding.Wanted, holding.Copies), holding.Quorum)
}

func holderRow(h v1.Holder, now time.Time) string {
	level, version, since, size := "-", "-", "-", "-"
	switch {
	case !h.Answered:
		version = "no answer"
	case h.Found:
		level, version, size = orDash(h.Level), orDash(h.Version), fmt.Sprint(h.Size)
		if !h.Since.IsZero() {
			since = ago(now, h.Since)
		}
		if h.Deleted {
			size = "removed"
		}
	default:
		level = orDash(h.Level)
	}
	role := "yes"
	if !h.Wanted {
		role = "one more copy"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", printable(h.ID), orDash(h.State), level, version, since, size, orDash(h.Zone), role)
}
