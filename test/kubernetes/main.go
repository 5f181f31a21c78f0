//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/folkmoot/folkmoot/test/kubernetes/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

var (
	// errUsage ends the program with the status that says that the command line was wrong; the reason was printed.
	errUsage = errors.New("usage")
	// errHelped ends the program well: what was asked for was help.
	errHelped = errors.New("help was printed")
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	var ended *exec.ExitError
	switch {
	case err == nil, errors.Is(err, errHelped):
		return 0
	case errors.Is(err, errUsage):
		return 2
	case errors.As(err, &ended): // a program that spoke for itself
		return max(1, ended.ExitCode())
	default:
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
}

// An invocation is a command line, read.
type invocation struct {
	options cluster.Options
	json    bool
	args    []string
	stdout  io.Writer
	stderr  io.Writer
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	in := &invocation{stdout: stdout, stderr: stderr}
	rest, err := in.parse("kubernetes", args, printHelp)
	if err != nil {
		return err
	}
	if len(rest) == 0 || rest[0] == "help" {
		printHelp(stdout)
		return nil
	}
	for _, c := range commands {
		if c.name == rest[0] {
			return in.run(ctx, c, rest[1:])
		}
	}
	fmt.Fprintf(stderr, "error: there is no command %q; these are: %s\n", rest[0], strings.Join(names(), ", "))
	return errUsage
}

// run runs a command, whose options may come after its name too unless all that follows is for another program.
func (in *invocation) run(ctx context.Context, c command, args []string) error {
	in.options.Log = in.stderr
	if c.passes {
		in.args = args
		return c.run(ctx, in)
	}
	for len(args) > 0 {
		rest, err := in.parse(c.name, args, c.printHelp)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			in.args, rest = append(in.args, rest[0]), rest[1:]
		}
		args = rest
	}
	if len(in.args) < c.min || len(in.args) > c.max {
		c.printHelp(in.stderr)
		return errUsage
	}
	return c.run(ctx, in)
}

// parse reads the options before the first other argument, and returns what is left.
func (in *invocation) parse(name string, args []string, help func(io.Writer)) ([]string, error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&in.options.Name, "name", in.options.Name, "")
	flags.StringVar(&in.options.Kubeconfig, "kubeconfig", in.options.Kubeconfig, "")
	flags.BoolVar(&in.json, "json", in.json, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		help(in.stdout)
		return nil, errHelped
	case err != nil:
		fmt.Fprintf(in.stderr, "error: %v\n\n", err)
		help(in.stderr)
		return nil, errUsage
	}
	return flags.Args(), nil
}
