package main

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/settings"
	"github.com/folkmoot/folkmoot/internal/goldentest"
)

var update = flag.Bool("update", false, "write docs/commands.md anew")

// TestReferenceFile holds the reference in docs to what the commands say of themselves. `go test ./cmd/moot -run ReferenceFile -update` writes it.
func TestReferenceFile(t *testing.T) {
	goldentest.Check(t, "../../docs/commands.md", reference(newRoot(&app{})), *update, "go test ./cmd/moot -run ReferenceFile -update")
}

// reference returns the reference of all commands below root as Markdown.
func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Commands\n\nWritten from the program; `moot COMMAND --help` says the same.\n\n%s\n", fenced("text", root.Long))
	fmt.Fprintf(&b, "\nOptions of every command:\n\n%s", options(root.PersistentFlags()))
	for _, group := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID {
				describe(&b, cmd, 3)
			}
		}
	}
	return b.Bytes()
}

// describe writes what a command and those below it do, under a heading of a level.
func describe(b *bytes.Buffer, cmd *cobra.Command, level int) {
	if cmd.Hidden {
		return
	}
	fmt.Fprintf(b, "\n%s %s\n\n%s.\n", strings.Repeat("#", min(level, 6)), cmd.CommandPath(), strings.TrimSuffix(cmd.Short, "."))
	if cmd.Runnable() {
		fmt.Fprintf(b, "\n%s\n", fenced("text", cmd.UseLine()))
	}
	if cmd.Long != "" && cmd.Long != cmd.Short {
		fmt.Fprintf(b, "\n%s\n", fenced("text", cmd.Long))
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\n%s\n", fenced("sh", strings.ReplaceAll("\n"+cmd.Example, "\n  ", "\n")))
	}
	if table := options(cmd.LocalNonPersistentFlags()); table != "" {
		fmt.Fprintf(b, "\n%s", table)
	}
	for _, sub := range cmd.Commands() {
		describe(b, sub, level+1)
	}
}

func fenced(kind, text string) string {
	return "```" + kind + "\n" + strings.Trim(text, "\n") + "\n```"
}

// options returns a table of options, or nothing where there are none.
func options(flags *pflag.FlagSet) string {
	var rows strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		if kind != "" {
			name += " " + kind
		}
		fmt.Fprintf(&rows, "| %s | `%s` | %s | %s |\n", name, settings.EnvName(f.Name), preset(f), strings.ReplaceAll(usage, "|", "\\|"))
	})
	if rows.Len() == 0 {
		return ""
	}
	return "| option | variable | default | meaning |\n|---|---|---|---|\n" + rows.String()
}

// preset returns the default of an option, or nothing where that is empty.
func preset(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "[]", "0", "0s":
		return ""
	}
	return "`" + f.DefValue + "`"
}
