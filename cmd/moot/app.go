package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/kubernetes"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/settings"
	"github.com/folkmoot/folkmoot/fault"
)

// app is one run of the program: what it reads, where it writes, and the options that every command has.
// Tests make their own.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// What is a terminal; tables, bars, prompts and line ends depend on it.
	stdinTerminal, stdoutTerminal, stderrTerminal bool
	lookupEnv                                     func(string) (string, bool)
	// serviceAccount is the folder of a Kubernetes pod's service account.
	serviceAccount string

	// Options of every command, valid once a command runs.
	home      string // empty when there is none
	homeGiven bool   // home is not the default
	api       string
	tokenFile string
	sameNode  string // api and tokenFile as the command line has them
	timeout   time.Duration
	json      bool

	// log takes what is otherwise written on stderr for people, once a command runs that writes its log as JSON; nil: none does.
	log *slog.Logger
}

// newApp returns the app of this process.
func newApp() *app {
	return &app{
		stdin:          os.Stdin,
		stdout:         os.Stdout,
		stderr:         os.Stderr,
		stdinTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		stdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		lookupEnv:      os.LookupEnv,
		serviceAccount: kubernetes.ServiceAccount,
	}
}

// run executes the command line args and returns the exit code.
func (a *app) run(args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(context.Background())
	if err != nil {
		a.printError(err)
	}
	return exitCode(err)
}

// getenv returns a variable's value, empty when it is unset.
func (a *app) getenv(name string) string {
	value, _ := a.lookupEnv(name)
	return value
}

// configFile is the name of the config file in a node's home.
const configFile = "config.yaml"

// loadSettings gives the options of cmd that were not on the command line their values from environment and config file.
func (a *app) loadSettings(cmd *cobra.Command) error {
	home := cmd.Flags().Lookup("home")
	if env := a.getenv(settings.EnvName("home")); env != "" && !home.Changed {
		a.home = env
	}
	a.homeGiven = a.home != ""
	if user := a.userHome(); !a.homeGiven && user != "" {
		a.home = filepath.Join(user, ".moot")
	}
	file, err := a.readConfig(cmd.Root())
	if err != nil {
		return err
	}
	tokenFileGiven := cmd.Flags().Changed("token-file")
	a.noteNode(cmd)
	if err := settings.Apply(cmd.Flags(), a.lookupEnv, file); err != nil {
		return err
	}
	if !tokenFileGiven && a.getenv("MOOT_TOKEN") != "" {
		a.tokenFile = "" // the token itself, in a variable, wins over a file named by a variable or the config file
	}
	return nil
}

// noteNode remembers what was said on the command line of the node to talk to, beside its home.
func (a *app) noteNode(cmd *cobra.Command) {
	a.sameNode = ""
	for _, name := range []string{"api", "token-file"} {
		if f := cmd.Flags().Lookup(name); f.Changed {
			a.sameNode += " --" + name + " " + shellQuote(f.Value.String())
		}
	}
}

// readConfig reads the config file of the home, if there is a home.
func (a *app) readConfig(root *cobra.Command) (*settings.File, error) {
	if a.home == "" {
		return nil, nil
	}
	options, err := allOptions(root)
	if err != nil {
		return nil, err
	}
	return settings.ReadFile(filepath.Join(a.home, configFile), options)
}

// needHome returns an error when there is no home: a process without HOME in its environment has none unless it is named.
func (a *app) needHome() error {
	if a.home == "" {
		return fault.New(fault.Invalid, "find the home folder: HOME is not set; name a folder with --home or MOOT_HOME")
	}
	return nil
}

func (a *app) userHome() string {
	if home := a.getenv("HOME"); home != "" {
		return home
	}
	return a.getenv("USERPROFILE")
}

// allOptions returns the options of every command under root.
func allOptions(root *cobra.Command) (settings.Options, error) {
	options := make(settings.Options)
	errs := []error{options.Add(root.PersistentFlags())}
	for _, cmd := range root.Commands() {
		errs = append(errs, options.Add(cmd.LocalNonPersistentFlags()))
	}
	delete(options, "help")
	return options, errors.Join(errs...)
}
