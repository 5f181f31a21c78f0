package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandsInDocuments holds every command of moot that a page shows, and every example of the help, to what the program takes: its name, its options and their values, and in blocks of commands how many arguments.
// Whether it does what the page says is for the end-to-end tests.
func TestCommandsInDocuments(t *testing.T) {
	checked := 0
	for _, name := range pages(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range shownIn(string(text)) {
			for _, command := range commandsOf(line.text) {
				checked++
				if err := tryOut(command, line.whole); err != nil {
					t.Errorf("%s: %s: %v", name, line.text, err)
				}
			}
		}
	}
	if checked < 300 {
		t.Errorf("%d commands are found, want 300 at least", checked)
	}
}

// TestExamplesOfCommands does it for the help.
func TestExamplesOfCommands(t *testing.T) {
	walk(newRoot(&app{}), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			for _, command := range commandsOf(withoutRemark(strings.TrimSpace(line))) {
				if err := tryOut(command, true); err != nil {
					t.Errorf("%s: %s: %v", cmd.CommandPath(), strings.TrimSpace(line), err)
				}
			}
		}
	})
}

// TestWrongCommandsInDocuments finds what the others would have to find.
func TestWrongCommandsInDocuments(t *testing.T) {
	for _, wrong := range []string{
		"moot gett greeting", "moot get", "moot get greeting --nothing", "x | moot put a --ttl soon", "kubectl exec pod -- moot ledger nothing", "echo $(moot peers extra)", "a && ./moot ls --limit few > b", "moot holders a b; true",
	} {
		failed := false
		for _, command := range commandsOf(wrong) {
			failed = failed || tryOut(command, true) != nil
		}
		if !failed {
			t.Errorf("%q is not refused", wrong)
		}
	}
}

// pages are the pages of the project.
func pages(t *testing.T) (names []string) {
	t.Helper()
	root := os.DirFS("../..")
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"docs", "deploy", "examples", "clients"} {
		check(fs.WalkDir(root, folder, func(name string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == "adr") { // decisions tell of what was tried, too
				return fs.SkipDir
			}
			if err == nil && strings.HasSuffix(name, ".md") && name != "docs/commands.md" { // which is written from the help
				names = append(names, filepath.Join("../..", name))
			}
			return err
		}))
	}
	return append(names, "../../README.md")
}

// A shown line is one that a page shows as something to type.
type shown struct {
	text  string
	whole bool // with all of its arguments; what is named within a sentence may lack them
}

var inline = regexp.MustCompile("`([^`\n]*)`")

// shownIn returns what a page shows: the blocks of commands, lines that are set in, and what stands between backquotes.
func shownIn(page string) (lines []shown) {
	fence, unfinished := "", ""
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		if mark, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			if fence == "" {
				fence = mark + " "
			} else {
				fence = ""
			}
			continue
		}
		switch {
		case strings.HasPrefix(fence, "sh "):
			if start, ok := strings.CutSuffix(line, `\`); ok {
				unfinished += start
				continue
			}
			lines = append(lines, shown{unfinished + line, true})
			unfinished = ""
		case fence != "": // what programs print
		case strings.HasPrefix(line, "    moot "):
			lines = append(lines, shown{withoutRemark(strings.TrimSpace(line)), true})
		default:
			for _, match := range inline.FindAllStringSubmatch(line, -1) {
				lines = append(lines, shown{strings.ReplaceAll(match[1], `\|`, "|"), false})
			}
		}
	}
	return lines
}

// withoutRemark cuts off what a line says of its command after two spaces or more.
func withoutRemark(line string) string {
	line, _, _ = strings.Cut(line, "   ")
	line, _, _ = strings.Cut(line, "  ")
	return line
}

// plainCommandsOf returns those of a line without commands within others.
func plainCommandsOf(line string) (commands [][]string) {
	var words []string
	end := func() {
		for i, word := range words {
			if word == "moot" || word == "./moot" || word == "./cmd/moot" && i > 1 && words[i-1] == "run" {
				before := words[:i]
				if i == 0 || slices.Contains(before, "exec") || slices.Contains(before, "!") || slices.Contains(before, "run") || strings.Contains(before[i-1], "=") {
					commands = append(commands, words[i+1:])
				}
				break
			}
		}
		words = nil
	}
	for _, word := range wordsOf(line) {
		if strings.Trim(word, "|&;<>") == "" && word != "" || word == "#" {
			end()
			if word == "#" {
				return commands
			}
			continue
		}
		words = append(words, word)
	}
	end()
	return commands
}

var substitution = regexp.MustCompile(`\$\(([^()]*)\)`)

// commandsOf returns the commands of moot in a line of a shell, as their arguments; those whose output is put into another come first.
func commandsOf(line string) (commands [][]string) {
	for {
		inner := substitution.FindStringSubmatchIndex(line)
		if inner == nil {
			return append(commands, plainCommandsOf(line)...)
		}
		commands = append(commands, plainCommandsOf(line[inner[2]:inner[3]])...)
		line = line[:inner[0]] + "output" + line[inner[1]:]
	}
}

// wordsOf splits a line as a shell does, as far as pages need it: words without their quotes, and operators. What a redirection names is taken for a command of its own, which is none of moot's.
func wordsOf(line string) (words []string) {
	var word strings.Builder
	quote, begun := rune(0), false
	flush := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	runes := []rune(line)
	for i, r := range runes {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ' || r == '\t':
			flush()
		case r == '#' && !begun:
			return append(words, "#")
		case strings.ContainsRune("|&;<>", r) && !(r == '|' && begun && i+1 < len(runes) && runes[i+1] != ' '): // "read|write" is a choice
			flush()
			words = append(words, string(r))
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	flush()
	return words
}

// transactionID stands for what a page calls ID.
var transactionID = strings.Repeat("0", 64)

// tryOut has the program read a command without carrying it out. Of one that is not whole the arguments are not counted. $keep stands for any number of options.
func tryOut(args []string, whole bool) error {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		return arg == "…" || strings.HasPrefix(arg, "[") || strings.HasSuffix(arg, "]") || arg == "$keep"
	})
	for i, arg := range args {
		if arg == "ID" {
			args[i] = transactionID
		}
	}
	root := newRoot(&app{})
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if (cmd == root || cmd.Name() == "ledger") && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return unknownCommand(cmd, rest[0])
	}
	if !whole {
		return optionsKnown(cmd, rest)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// optionsKnown returns an error for an option that a command does not have.
func optionsKnown(cmd *cobra.Command, args []string) error {
	cmd.InitDefaultHelpFlag()
	for _, arg := range args {
		name, ok := strings.CutPrefix(arg, "--")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, "=")
		if cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
			return fmt.Errorf("it has no option --%s", name)
		}
	}
	return nil
}
