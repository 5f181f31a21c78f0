package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// choice is the value of an option that takes one of a few words.
type choice struct {
	value   string
	choices []string
}

// newChoice returns a choice of words that starts as preset.
func newChoice(preset string, words ...string) *choice {
	return &choice{value: preset, choices: words}
}

// String returns the word chosen.
func (c *choice) String() string { return c.value }

// Type names the type in help texts.
func (c *choice) Type() string { return strings.Join(c.choices, "|") }

// Set chooses a word.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.choices, word) {
		return fmt.Errorf("want %s, got %q", orList(c.choices), word)
	}
	c.value = word
	return nil
}

// addChoice declares an option and completes its words.
func addChoice(cmd *cobra.Command, c *choice, name, usage string) {
	cmd.Flags().Var(pflag.Value(c), name, usage)
	words := c.choices
	// It fails only for an option that does not exist or was completed already.
	if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}

// orList writes "one, two or three".
func orList(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
