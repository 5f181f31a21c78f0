package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/bench/recordbench"
	"github.com/folkmoot/folkmoot/fault"
)

func newBenchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench WHAT",
		Short: "Measure on this machine what moot does",
		Long:  `Measure on this machine what moot does, beside the alternatives. Networks of their own are started for it; no running node is touched.`,
		Example: `  moot bench records --quick
  moot bench ledger --quick`,
		Args:              wants(0, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return advise(fault.New(fault.Invalid, "bench: %s is not measured", quoteKey(args[0])), "see: %s --help", cmd.CommandPath())
		},
	}
	cmd.AddCommand(newBenchRecords(a), newBenchLedger(a))
	return cmd
}

// benchOptions are the options of moot bench records.
type benchOptions struct {
	peers, rounds, losses int
	callers, sizes, scale []int
	duration              time.Duration
	only                  *choice
	quick                 bool
	dir, plots            string
}

func newBenchRecords(a *app) *cobra.Command {
	families := []string{"all"}
	for _, f := range recordbench.Families() {
		families = append(families, string(f))
	}
	usual := recordbench.Default()
	o := benchOptions{only: newChoice("all", families...)}
	cmd := &cobra.Command{
		Use:   "records",
		Short: "Measure the record store beside kad-dht and etcd",
		Long: `Measure PUT and GET of the record store beside stock kad-dht and, with three peers, beside etcd: how many are done, what they cost all peers together, how
long they take; what idle peers cost, how cost grows with the network, and what is moved when a peer is lost. All systems take turns in every round, since other work on
the machine changes figures more than what is compared. The whole takes about half an hour.

etcd is run from the PATH (on Debian: apt-get install etcd-server) and left out where there is none.`,
		Example: `  moot bench records --quick
  moot bench records --only records --callers 64 --size 256
  moot bench records --json --plots docs/pictures > figures.json`,
		Args:                  wants(0, 0),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := o.config(cmd)
		if err != nil {
			return err
		}
		return a.benchRecords(cmd.Context(), cfg, o)
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.quick, "quick", false, "less of everything: less than a minute")
	addChoice(cmd, o.only, "only", "measure one family of systems")
	f.IntVar(&o.peers, "peers", usual.Peers, "peers compared with kad-dht, all in one process")
	f.IntSliceVar(&o.callers, "callers", usual.Callers, "numbers of concurrent callers")
	f.IntSliceVar(&o.sizes, "size", usual.Sizes, "sizes of values in bytes")
	f.DurationVar(&o.duration, "duration", usual.Duration, "time for each figure of each round")
	f.IntVar(&o.rounds, "rounds", usual.Rounds, "how often everything is measured in turns")
	f.IntSliceVar(&o.scale, "scale", usual.Scale, "sizes of networks whose costs are compared; 0 for none")
	f.IntVar(&o.losses, "losses", usual.Losses, "how many peers are lost; 0 for none")
	f.StringVar(&o.dir, "dir", "", "`folder` for the stores, whose disk is measured (default: the one for temporary files)")
	f.StringVar(&o.plots, "plots", "", "also draw the figures, as SVG files in this `folder`")
	return cmd
}

// config returns what is to be measured: the usual or the quick choice, and what was asked for in place of it.
func (o *benchOptions) config(cmd *cobra.Command) (recordbench.Config, error) {
	cfg := recordbench.Default()
	if o.quick {
		cfg = recordbench.Quick()
	}
	given(cmd, map[string]func(){
		"peers":    func() { cfg.Peers = o.peers },
		"callers":  func() { cfg.Callers = o.callers },
		"size":     func() { cfg.Sizes = o.sizes },
		"duration": func() { cfg.Duration = o.duration },
		"rounds":   func() { cfg.Rounds = o.rounds },
		"scale":    func() { cfg.Scale = unlessNone(o.scale) },
		"losses":   func() { cfg.Losses = o.losses },
	})
	if o.only.value != "all" {
		cfg.Only = recordbench.Family(o.only.value)
	}
	var err error
	if cfg.Program, err = measuredProgram(); err != nil {
		return cfg, err
	}
	return cfg, cfg.Validate()
}

// given applies the options that were given, by their names.
func given(cmd *cobra.Command, apply map[string]func()) {
	for name, set := range apply {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
}

// unlessNone returns a list of which 0 alone stands for nothing.
func unlessNone(list []int) []int {
	if len(list) == 1 && list[0] == 0 {
		return nil
	}
	return list
}

// measuredProgram returns the path of this program.
func measuredProgram() (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program, which is run for the measurement: %w", err)
	}
	return program, nil
}

// benchRecords measures in a folder of its own and shows what came of it. What had been measured when it failed is shown too.
func (a *app) benchRecords(ctx context.Context, cfg recordbench.Config, o benchOptions) error {
	var report *recordbench.Report
	err := a.measure(ctx, o.dir, func(ctx context.Context, dir string, progress func(string)) (err error) {
		cfg.Dir, cfg.Progress = dir, progress
		report, err = recordbench.Run(ctx, cfg)
		return err
	})
	if err != nil {
		err = fmt.Errorf("measure records: %w", err)
	}
	if report != nil {
		err = errors.Join(err, a.showBench(report, o.plots))
	}
	return err
}

// measure calls run with a new folder in dir, which is removed afterwards, and a function that shows people what is measured next. The context of run ends with a signal.
func (a *app) measure(ctx context.Context, dir string, run func(ctx context.Context, dir string, progress func(what string)) error) error {
	directLibraryLogs(slog.New(slog.DiscardHandler))
	dir, err := os.MkdirTemp(dir, "moot-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the measurement: %w", err)
	}
	began := time.Now()
	progress := func(what string) { a.notef("%5s  %s", time.Since(began).Round(time.Second), what) }
	err = a.untilSignal(ctx, func() { _ = removeDemo(dir) }, func(ctx context.Context) error { return run(ctx, dir, progress) })
	return errors.Join(err, removeDemo(dir))
}

func (a *app) showBench(report *recordbench.Report, plots string) error {
	if plots != "" {
		names, err := report.WritePlots(plots)
		if err != nil {
			return err
		}
		a.notef("drawn: %s", strings.Join(names, ", "))
	}
	if a.json {
		return a.printJSON(report)
	}
	return report.Write(a.stdout)
}
