package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
)

func newInit(a *app) *cobra.Command {
	var network string
	var open bool
	cmd := a.command("init --network NAME --open", "Make a node: its home folder and identity", wants(0, 0), func(_ context.Context, _ []string) error {
		return a.init(network, open)
	})
	cmd.Long = `Make a node: its home folder, its identity, and the network that it belongs to. "moot run" then runs it.
Everybody who knows an open network's name may enter it; --open says that this is meant.`
	cmd.Example = `  moot init --network town --open
  moot init --network town --open --home /var/lib/moot`
	addNetworkOptions(cmd, &network, &open)
	return cmd
}

// addNetworkOptions declares the options that say which network a new node belongs to.
func addNetworkOptions(cmd *cobra.Command, network *string, open *bool) {
	cmd.Flags().StringVar(network, "network", "", "`NAME` of the network")
	cmd.Flags().BoolVar(open, "open", false, "the network is open: everybody who knows its name may enter")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

func (a *app) init(network string, open bool) error {
	if network == "" {
		return advise(fault.New(fault.Invalid, "make a node: no network was named"), "say: moot init --network NAME --open")
	}
	if !open {
		return mustSayOpen("make a node", network)
	}
	if err := a.needHome(); err != nil {
		return err
	}
	_, err := node.ReadHome(a.home)
	existed := err == nil
	info, err := node.InitHome(a.home, network)
	if err != nil {
		return fmt.Errorf("make a node: %w", err)
	}
	return a.show(map[string]any{
		"id": info.ID.String(), "home": a.home, "existed": existed,
		"network": map[string]any{"name": info.Network, "id": info.NetworkID.String(), "open": info.Open},
	}, func() {
		if existed {
			a.printf("%s is a node already\n", a.home)
		}
		a.printf("peer id  %s\nnetwork  %s (open)\nhome     %s\nnext     %s\n", info.ID, info.Network, a.home, a.withHome("moot run"))
	})
}

// withHome adds --home to a command that is shown to the user, where this one was given it.
func (a *app) withHome(command string) string {
	if a.homeGiven {
		return command + " --home " + shellQuote(a.home)
	}
	return command
}

func mustSayOpen(what, network string) error {
	return advise(fault.New(fault.Invalid, "%s: members-only networks are not there yet", what),
		"say --open if everybody who knows the name %s may enter", quoteKey(network))
}
