package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
)

func newShell(a *app) *cobra.Command {
	var sessionFile string
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "Type commands at a prompt: PUT, GET, PUT_PROVIDER, GET_PROVIDERS",
		Long: `Read commands from a prompt with history and completion (tab), or from standard input when that is no terminal. HELP lists them.
Case does not matter; quotes hold keys and values with spaces together. Ctrl-C gives up a line or a command, Ctrl-D ends the shell.
A script stops at its first failure, with the exit code of the failure; lines that begin with # are comments.

The shell is a session: what it reads is never older than what it wrote and read before. --session carries that on to later commands.`,
		Example: `  moot shell
  printf 'PUT greeting "hello there"\nGET greeting\n' | moot shell`,
		Args:              wants(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.json {
			return advise(fault.New(fault.Invalid, "shell: there is no --json here"), "use the commands put, get, provide, providers, peers and ping")
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		records, err := openSession(c, sessionFile)
		if err != nil {
			return err
		}
		s := &shell{app: a, client: c, session: records}
		if a.stdinTerminal && a.stdoutTerminal {
			return untilTermination(cmd.Context(), s.converse)
		}
		return a.untilSignal(cmd.Context(), nil, s.script)
	}
	addSession(cmd, &sessionFile)
	return cmd
}

// shell runs the commands of moot shell.
type shell struct {
	app     *app
	client  *client.Client
	session *session
}

// maxScriptLine bounds a line of a script in bytes: the largest value fits, with quotes and escapes.
const maxScriptLine = 4 << 20

// script runs the lines of stdin until the first failure.
func (s *shell) script(ctx context.Context) error {
	lines := bufio.NewScanner(abandonable(ctx, s.app.stdin))
	lines.Buffer(nil, maxScriptLine)
	number := 0
	for lines.Scan() {
		number++
		err := s.execute(ctx, lines.Text())
		if errors.Is(err, errExit) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fault.New(fault.TooLarge, "line %d: longer than %d bytes", number+1, maxScriptLine)
	} else if err != nil {
		return fmt.Errorf("read the script: %w", err)
	}
	return nil
}

// converse runs the lines that somebody types, until they leave.
func (s *shell) converse(ctx context.Context) error {
	console, err := newConsole(ctx, s)
	if err != nil {
		return err
	}
	defer console.history.close()
	s.app.printf("HELP lists the commands, EXIT leaves.\n")
	for {
		line, err := console.readLine()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			s.app.printf("\n")
			return nil
		case err != nil:
			return fmt.Errorf("read the terminal: %w", err)
		}
		err = untilInterrupt(ctx, func(ctx context.Context) error { return s.execute(ctx, line) })
		switch {
		case errors.Is(err, errExit):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			s.app.printError(err)
		}
	}
}
