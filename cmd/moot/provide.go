package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newProvide(a *app) *cobra.Command {
	cmd := a.command("provide KEY", "Say that this node offers what a key names", wants(1, 1), func(ctx context.Context, args []string) error {
		key := args[0]
		if err := checkKey(key); err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		provided, err := c.Provide(ctx, key)
		if err != nil {
			return a.askFailed("provide", key, err)
		}
		return a.show(provided, func() {
			a.printf("providing %s until %s on %s\n", printable(provided.Key), expiry(provided.Expires),
				copiesText(provided.Copies.Stored, provided.Copies.Wanted, provided.Copies.Configured))
		})
	})
	cmd.Long = `Tell the network that this node offers what a key names, such as a file that it serves. The value itself is not stored.
"moot providers KEY" finds the node.`
	cmd.Example = `  moot provide images/base-os.tar`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}
