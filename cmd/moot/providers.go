package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/fault"
)

func newProviders(a *app) *cobra.Command {
	cmd := a.command("providers KEY", "List the peers that offer what a key names", wants(1, 1), func(ctx context.Context, args []string) error {
		key := args[0]
		if err := checkKey(key); err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		found, err := c.Providers(ctx, key)
		if err != nil {
			return a.askFailed("find providers of", key, err)
		}
		if len(found.Providers) == 0 {
			return advise(fault.New(fault.NotFound, "find providers of %s: nobody provides it", quoteKey(key)), `a peer that does says so with "moot provide"`)
		}
		return a.show(found, func() {
			table := newTable(a.stdout)
			for _, p := range found.Providers {
				addr := ""
				if len(p.Addresses) > 0 {
					addr = p.Addresses[0]
				}
				line := printable(p.ID) + "\t" + orDash(addr)
				if p.Foreign {
					line += "\tforeign, unsigned"
				}
				_, _ = table.Write([]byte(line + "\n"))
			}
			table.Flush()
		})
	})
	cmd.Example = `  moot providers images/base-os.tar
  moot providers images/base-os.tar --json | jq -r '.providers[].addresses[]'`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}
