package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/folkmoot/folkmoot/fault"
)

// maxPassphrase bounds a passphrase in bytes.
const maxPassphrase = 1 << 10

// passphraseVariable may hold the passphrase.
const passphraseVariable = "MOOT_PASSPHRASE"

func addPassphraseFile(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "passphrase-file", "", "`file` with the passphrase of the keys, one line (or the passphrase itself in "+passphraseVariable+")")
}

// passphrase returns the passphrase of the keys in a backup: see askPassphrase.
func (a *app) passphrase(file string, fresh bool) (string, error) {
	prompt := "Passphrase of the keys: "
	if fresh {
		prompt = "Passphrase for the keys (empty: they are left out): "
	}
	return a.askPassphrase(file, passphraseOption, prompt, fresh)
}

// passphraseOption is the option that names a file with a passphrase, in most commands.
const passphraseOption = "--passphrase-file"

// askPassphrase returns the passphrase that the user gave in a file, by the option of that name, or a variable; otherwise it is asked for where somebody sits at a terminal, twice when it is new. It is empty for none.
func (a *app) askPassphrase(file, option, prompt string, fresh bool) (string, error) {
	if file != "" {
		return readPassphrase(file, option)
	}
	if p := a.getenv(passphraseVariable); p != "" {
		return p, nil
	}
	in, ok := a.stdin.(*os.File)
	if !ok || !a.stdinTerminal || !a.stderrTerminal || a.json {
		return "", nil
	}
	first, err := a.ask(in, prompt)
	if err != nil || first == "" || !fresh {
		return first, err
	}
	again, err := a.ask(in, "The same again: ")
	if err == nil && again != first {
		err = fault.New(fault.Invalid, "the passphrases differ")
	}
	return first, err
}

// ask reads a line from a terminal that does not show it.
func (a *app) ask(in *os.File, prompt string) (string, error) {
	fmt.Fprint(a.stderr, prompt)
	line, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	return string(line), nil
}

func readPassphrase(file, option string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", advise(fmt.Errorf("read the passphrase: %w", err), "check %s", option)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	line := strings.TrimRight(string(data), "\r\n")
	if len(data) > maxPassphrase || line == "" || strings.ContainsAny(line, "\r\n") {
		return "", fault.New(fault.Invalid, "passphrase file %s: want one line of at most %d bytes", file, maxPassphrase)
	}
	return line, nil
}
