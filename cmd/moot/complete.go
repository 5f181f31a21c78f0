package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
)

const (
	// completionPatience bounds what a press of the tab key waits for the node.
	completionPatience = time.Second
	// maxCompletions bounds the keys offered.
	maxCompletions = 100
)

func newCompletion(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands, options, keys and peer ids",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wants(1, 1)(cmd, args); err != nil {
				return err
			}
			if err := newChoice("", shells...).Set(args[0]); err != nil {
				return wrongArgs(cmd, err.Error())
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		PersistentPreRunE: withoutSettings,
		Long:              `Print a script that makes a shell complete commands and options, and ask the running node for keys and peer ids.`,
		Example: `  source <(moot completion bash)                                     # now; put it into ~/.bashrc to keep it
  moot completion zsh > "${fpath[1]}/_moot"
  moot completion fish > ~/.config/fish/completions/moot.fish
  moot completion powershell | Out-String | Invoke-Expression`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root := cmd.Root()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(a.stdout, true)
		case "zsh":
			return root.GenZshCompletion(a.stdout)
		case "fish":
			return root.GenFishCompletion(a.stdout, true)
		default:
			return root.GenPowerShellCompletionWithDesc(a.stdout)
		}
	}
	return cmd
}

// completePeers offers the ids of the peers that the node knows. Without a node there is nothing to offer.
func (a *app) completePeers(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := a.completionClient(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	peers, err := c.Peers(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []cobra.Completion
	for _, p := range peers {
		if strings.HasPrefix(p.ID, begun) && !p.Self {
			ids = append(ids, cobra.CompletionWithDesc(p.ID, strings.TrimSpace(fmt.Sprintf("%s %s", p.State, printable(p.Zone)))))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// completeKeys offers the keys of the network that go on from what was begun, for the first most arguments.
func (a *app) completeKeys(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.completionClient(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return keysFrom(cmd.Context(), c, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// keysFrom returns the first keys that begin with prefix, none when the node does not answer soon.
func keysFrom(ctx context.Context, c *client.Client, prefix string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	page, err := c.ListRecords(ctx, client.ListOptions{Prefix: prefix, Limit: maxCompletions})
	if err != nil {
		return nil
	}
	var keys []string
	for _, e := range page.Records {
		keys = append(keys, printable(e.Key))
	}
	return keys
}

// completionClient returns a client for completion functions, which cobra calls before the settings are loaded.
func (a *app) completionClient(cmd *cobra.Command) (*client.Client, error) {
	if err := a.loadSettings(cmd); err != nil {
		return nil, err
	}
	return a.client()
}
