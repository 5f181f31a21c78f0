package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/bench/ledgerbench"
)

// benchLedgerOptions are the options of moot bench ledger.
type benchLedgerOptions struct {
	validators               int
	scale, accounts          []int
	duration                 time.Duration
	callers, batchers, batch int
	catchUp                  int
	kvstore                  bool
	quick                    bool
	dir, profile             string
}

func newBenchLedger(a *app) *cobra.Command {
	usual := ledgerbench.Default()
	var o benchLedgerOptions
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Measure the ledger beside CometBFT with its kvstore",
		Long: `Measure how many transfers a second validators take that run as processes of this machine, handed in over HTTP one by one and in batches; what they cost all of them in processor time;
how long they take, at half of the reached rate and with 8 in flight, too; how many bytes they take on the disk; how long a new node needs to catch up; and how all this changes with the number of
validators and accounts. Beside it CometBFT with its kvstore application, without signatures and HTTP. This takes some minutes, and 1,000,000 accounts some more (Linux).`,
		Example: `  moot bench ledger --quick
  moot bench ledger --duration 60s --accounts 1000,1000000 --catch-up 100000
  moot bench ledger --scale 0 --catch-up 0 --profile profiles`,
		Args:                  wants(0, 0),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := o.config(cmd)
		if err != nil {
			return err
		}
		return a.benchLedger(cmd.Context(), cfg, o.dir)
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.quick, "quick", false, "less of everything: less than half a minute")
	f.IntVar(&o.validators, "validators", usual.Validators, "validators of the network where everything is measured")
	f.IntSliceVar(&o.scale, "scale", usual.Scale, "other numbers of validators for which the rates are measured; 0 for none")
	f.IntSliceVar(&o.accounts, "accounts", usual.Accounts, "numbers of accounts; for those after the first the rates are measured")
	f.DurationVar(&o.duration, "duration", usual.Duration, "time for each figure")
	f.IntVar(&o.callers, "callers", usual.Callers, "transfers in flight that are handed in one by one")
	f.IntVar(&o.batchers, "batchers", usual.Batchers, "batches in flight")
	f.IntVar(&o.batch, "batch", usual.Batch, "transfers in a batch")
	f.IntVar(&o.catchUp, "catch-up", usual.CatchUp, "transfers that a new node catches up with, at least; 0 for none")
	f.BoolVar(&o.kvstore, "kvstore", usual.KVStore, "measure CometBFT with its kvstore, too")
	f.StringVar(&o.dir, "dir", "", "`folder` for the nodes' homes, whose disk is measured (default: the one for temporary files)")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of each node into this `folder`")
	return cmd
}

// config returns what is to be measured: the usual or the quick choice, and what was asked for in place of it.
func (o *benchLedgerOptions) config(cmd *cobra.Command) (ledgerbench.Config, error) {
	cfg := ledgerbench.Default()
	if o.quick {
		cfg = ledgerbench.Quick()
	}
	given(cmd, map[string]func(){
		"validators": func() { cfg.Validators = o.validators },
		"scale":      func() { cfg.Scale = unlessNone(o.scale) },
		"accounts":   func() { cfg.Accounts = o.accounts },
		"duration":   func() { cfg.Duration = o.duration },
		"callers":    func() { cfg.Callers = o.callers },
		"batchers":   func() { cfg.Batchers = o.batchers },
		"batch":      func() { cfg.Batch = o.batch },
		"catch-up":   func() { cfg.CatchUp = o.catchUp },
		"kvstore":    func() { cfg.KVStore = o.kvstore },
	})
	var err error
	if cfg.Program, err = measuredProgram(); err != nil {
		return cfg, err
	}
	if o.profile != "" { // the nodes may run elsewhere
		if cfg.Profile, err = filepath.Abs(o.profile); err != nil {
			return cfg, fmt.Errorf("find the folder for profiles: %w", err)
		}
	}
	return cfg, cfg.Validate()
}

// benchLedger measures in a folder of its own and shows what came of it. What had been measured when it failed is shown too.
func (a *app) benchLedger(ctx context.Context, cfg ledgerbench.Config, dir string) error {
	var report *ledgerbench.Report
	err := a.measure(ctx, dir, func(ctx context.Context, dir string, progress func(string)) (err error) {
		cfg.Dir, cfg.Progress = dir, progress
		report, err = ledgerbench.Run(ctx, cfg)
		return err
	})
	if err != nil {
		err = fmt.Errorf("measure the ledger: %w", err)
	}
	if report == nil || len(report.Networks) == 0 {
		return err
	}
	if a.json {
		return errors.Join(err, a.printJSON(report))
	}
	return errors.Join(err, report.Write(a.stdout))
}
