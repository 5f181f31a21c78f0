package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/settings"
	"github.com/folkmoot/folkmoot/fault"
)

// Groups of commands in the help.
const (
	groupNode    = "node"
	groupNetwork = "network"
	groupRecords = "records"
	groupLedger  = "ledger"
	groupTools   = "tools"
)

// newRoot returns the command moot with everything under it.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "moot",
		Short: "A peer-to-peer node: records that survive when peers leave",
		Long: `Moot is a peer-to-peer node. Peers find one another and keep records together; there is no server.

Every option may also be given as a variable (--api-listen as MOOT_API_LISTEN; lists separated by commas) or in
config.yaml in the home folder (api-listen: 127.0.0.1:7070). The command line wins over variables, and variables over the file.
In the file ${NAME} stands for a variable of the environment, and $$ for a dollar sign.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 no quorum, incomplete or timed out, 5 conflict.`,
		Example: `  moot demo                                  a whole network on this machine, to try things out
  moot run --network town --open             a node of the open network "town"
  moot put greeting hello                    store a record
  moot get greeting                          read it, here or through any other node`,
		Args:                  cobra.ArbitraryArgs,
		SilenceErrors:         true,
		DisableFlagsInUseLine: true,
		SilenceUsage:          true,
		PersistentPreRunE:     func(cmd *cobra.Command, _ []string) error { return a.loadSettings(cmd) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.home, "home", "", "folder of the node (default ~/.moot)")
	flags.StringVar(&a.api, "api", "", "`URL` of the node to talk to, http://HOST:PORT or unix:///PATH (default: the one running on the home, else "+defaultAPI+")")
	flags.StringVar(&a.tokenFile, "token-file", "", "`file` with the API's token (or the token itself in MOOT_TOKEN)")
	flags.DurationVar(&a.timeout, "timeout", client.DefaultTimeout, "longest time to wait for one answer of the node")
	flags.BoolVar(&a.json, "json", false, "print one JSON document and nothing else")
	flags.SortFlags = false
	root.Flags().SortFlags = false
	root.SetUsageTemplate(strings.NewReplacer("Global Flags:", "Options of every command:", "Flags:", "Options:").Replace(root.UsageTemplate()))
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelp())
	root.AddGroup(&cobra.Group{ID: groupNode, Title: "Run a node:"}, &cobra.Group{ID: groupNetwork, Title: "See the network:"},
		&cobra.Group{ID: groupRecords, Title: "Keep records:"}, &cobra.Group{ID: groupLedger, Title: "Keep the ledger:"}, &cobra.Group{ID: groupTools, Title: "More:"})
	addGroup(root, groupNode, newDemo(a), newInit(a), newRun(a), newJoin(a), newLeave(a))
	addGroup(root, groupNetwork, newInvite(a), newMembers(a), newStatus(a), newDoctor(a), newPeers(a), newFind(a), newPing(a), newPublish(a), newSubscribe(a))
	addGroup(root, groupRecords, newPut(a), newGet(a), newRemove(a), newList(a), newWatch(a), newHolders(a), newProvide(a), newProviders(a), newImport(a), newExport(a), newShell(a))
	addGroup(root, groupLedger, newLedger(a))
	addGroup(root, groupTools, newBenchCommand(a), newToken(a), newBackup(a), newRestore(a), newCompletion(a), newVersion(a))
	root.SetHelpCommandGroupID(groupTools)
	return root
}

func addGroup(root *cobra.Command, group string, cmds ...*cobra.Command) {
	for _, cmd := range cmds {
		cmd.GroupID = group
	}
	addCommands(root, cmds...)
}

// addCommands puts commands under another.
func addCommands(parent *cobra.Command, cmds ...*cobra.Command) {
	for _, cmd := range cmds {
		cmd.Flags().SortFlags = false
		cmd.InheritedFlags().SortFlags = false
		cmd.DisableFlagsInUseLine = true
		parent.AddCommand(cmd)
	}
}

// command returns a command that runs until it is done or a signal stops it.
func (a *app) command(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.untilSignal(cmd.Context(), nil, func(ctx context.Context) error { return run(ctx, args) })
		},
	}
}

// exclusive refuses two options that don't go together.
func exclusive(cmd *cobra.Command, one, other string) error {
	if cmd.Flags().Changed(one) && cmd.Flags().Changed(other) {
		return fault.New(fault.Invalid, "options --%s and --%s don't go together", one, other)
	}
	return nil
}

// wants checks that there are from least to most arguments.
func wants(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		return wrongArgs(cmd, fmt.Sprintf("%s, got %s", howMany(least, most), plural(len(args), "argument")))
	}
}

func howMany(least, most int) string {
	if least == most {
		return "want " + plural(least, "argument")
	}
	return fmt.Sprintf("want %d to %s", least, plural(most, "argument"))
}

// wrongArgs is the error for arguments that do not fit the command; it shows the usage line.
func wrongArgs(cmd *cobra.Command, what string) error {
	return advise(fault.New(fault.Invalid, "%s: %s", cmd.Name(), what), "usage: %s", cmd.UseLine())
}

// unknownCommand is the error for a name that no command under parent has.
func unknownCommand(parent *cobra.Command, name string) error {
	var names []string
	for _, cmd := range parent.Commands() {
		if !cmd.Hidden {
			names = append(names, cmd.Name())
		}
	}
	err := fault.New(fault.Invalid, "unknown command %s", quoteKey(name))
	if near := settings.Nearest(name, names); near != "" {
		return advise(err, "did you mean %s?", near)
	}
	return advise(err, `"%s" lists the commands`, strings.Replace(parent.CommandPath(), "moot", "moot help", 1))
}

// flagError turns pflag's errors into ours, and finds the option that was meant.
func flagError(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); isGroup(cmd) && len(args) > 0 {
		return unknownCommand(cmd, args[0]) // its options are not known either
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownOption(cmd, e)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return advise(fault.New(fault.Invalid, "option --%s wants a value", e.GetFlag().Name), "see: %s --help", cmd.CommandPath())
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		want := settings.Want(e.GetFlag(), e.GetValue(), e)
		return advise(fault.New(fault.Invalid, "option --%s: %w", e.GetFlag().Name, want), "see: %s --help", cmd.CommandPath())
	}
	return advise(fault.As(fault.Invalid, err), "see: %s --help", cmd.CommandPath())
}

// isGroup tells whether a command has others under it and no options of its own.
func isGroup(cmd *cobra.Command) bool {
	own := false
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { own = own || f.Name != "help" })
	return cmd.HasSubCommands() && !own
}

func unknownOption(cmd *cobra.Command, e *pflag.NotExistError) error {
	name := e.GetSpecifiedName()
	if group := e.GetSpecifiedShortnames(); group != "" {
		err := fault.New(fault.Invalid, "unknown option -%s", name)
		return advise(err, "write -- before arguments that begin with a dash, or see: %s --help", cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	slices.Sort(names)
	err := fault.New(fault.Invalid, "unknown option --%s", name)
	if near := settings.Nearest(strings.ToLower(name), names); near != "" {
		return advise(err, "did you mean --%s?", near)
	}
	return advise(err, "see: %s --help", cmd.CommandPath())
}

// newHelp replaces cobra's help command, which exits 0 for an unknown topic.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND]…",
		Short:             "Explain a command",
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: withoutSettings,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, c := range topic.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil {
				return unknownCommand(cmd.Root(), args[0])
			}
			if len(rest) > 0 {
				return unknownCommand(topic, rest[0])
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

// withoutSettings is for commands that must work whatever the environment and the config file hold.
func withoutSettings(*cobra.Command, []string) error { return nil }
