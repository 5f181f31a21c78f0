package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
)

func newRemove(a *app) *cobra.Command {
	consistency := newConsistency()
	cmd := a.command("rm KEY", "Remove a record", wants(1, 1), func(ctx context.Context, args []string) error {
		key := args[0]
		if err := checkKey(key); err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		written, err := c.DeleteRecord(ctx, key, client.PutOptions{Consistency: consistency.value})
		if err != nil {
			return a.askFailed("remove", key, err)
		}
		return a.show(written, func() { a.printWritten("removed", written) })
	})
	cmd.Long = `Remove a record everywhere. A removal is a write of its own, newer than the value: a peer that comes back with the old value learns of it.`
	cmd.Example = `  moot rm greeting
  moot rm greeting --consistency all`
	addChoice(cmd, consistency, "consistency", "copies that must be on disk first")
	cmd.ValidArgsFunction = a.completeKeys(1)
	return cmd
}
