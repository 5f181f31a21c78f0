package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/bulk"
	"github.com/folkmoot/folkmoot/fault"
)

// importOptions are the options of moot import.
type importOptions struct {
	file        string // - is standard input
	format      *choice
	concurrency int
	state       string
	resume      bool
	skipBad     bool
	consistency *choice
}

func newImport(a *app) *cobra.Command {
	o := importOptions{format: newChoice(string(bulk.Auto), string(bulk.Auto), string(bulk.JSONLines), string(bulk.TSV)), consistency: newConsistency()}
	cmd := a.command("import FILE|-", "Store many records", wants(1, 1), func(ctx context.Context, args []string) error {
		o.file = args[0]
		return a.importFile(ctx, o)
	})
	cmd.Long = `Store the records of a file, a line each: JSON objects such as {"key":"k","value":"text"}, with value_base64 for values that are not UTF-8 and
expires if a record's life ends, or key and value with a tab between. Later lines of a key win over earlier ones.

Nothing after a bad line is written, unless --skip-bad says to leave bad lines out.
How far the import came is kept in a small file. After a stop, whatever its cause, the same command with --resume goes on behind the lines that
were acknowledged; what comes after them in the file may have been mended meanwhile.`
	cmd.Example = `  moot import records.jsonl
  moot import records.jsonl --resume
  zcat keys.tsv.gz | moot import - --format tsv --concurrency 128`
	f := cmd.Flags()
	addChoice(cmd, o.format, "format", "how the records are written; auto looks at the first line")
	f.IntVar(&o.concurrency, "concurrency", 64, "records under way at once, 1 to 1024")
	addChoice(cmd, o.consistency, "consistency", "copies of each record that must be on disk first")
	f.BoolVar(&o.resume, "resume", false, "go on where an earlier import of the file stopped")
	f.BoolVar(&o.skipBad, "skip-bad", false, "leave bad lines out instead of stopping at the first")
	f.StringVar(&o.state, "state", "", "`file` that keeps how far the import came (default: in the home; for standard input, none)")
	return cmd
}

func (a *app) importFile(ctx context.Context, o importOptions) error {
	if o.concurrency < 1 || o.concurrency > bulk.MaxConcurrency {
		return fault.New(fault.Invalid, "option --concurrency: want 1 to %d, got %d", bulk.MaxConcurrency, o.concurrency)
	}
	statePath, err := a.importStatePath(o)
	if err != nil {
		return err
	}
	in, size, err := a.importInput(ctx, o.file)
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := a.client()
	if err != nil {
		return err
	}
	from, err := a.importStart(ctx, c, o, statePath)
	if err != nil {
		return fmt.Errorf("import %s: %w", o.file, err)
	}
	bar := a.importBar(size)
	began := time.Now()
	result, err := bulk.Import(ctx, in, bulk.Config{
		Put:         putRecord(c, o.consistency.value),
		Check:       checkRecord,
		Format:      bulk.Format(o.format.value),
		Concurrency: o.concurrency,
		SkipBad:     o.skipBad,
		From:        from,
		Save:        saveState(statePath),
		Report:      bar.report,
	})
	bar.finish()
	return a.importDone(o, statePath, from, result, time.Since(began), err)
}

// importInput opens the file and tells its size, 0 when that is unknown.
func (a *app) importInput(ctx context.Context, file string) (io.ReadCloser, int64, error) {
	if file == "-" {
		return io.NopCloser(abandonable(ctx, a.stdin)), 0, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, advise(fmt.Errorf("import: %w", err), "check the file's name")
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = fault.New(fault.Invalid, "%s is a folder", file)
	}
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("import: %w", err)
	}
	return f, st.Size(), nil
}

// importStatePath returns the state file of the import; "" for an import that keeps none.
func (a *app) importStatePath(o importOptions) (string, error) {
	if o.state != "" {
		return o.state, nil
	}
	if o.file == "-" {
		if o.resume {
			return "", fault.New(fault.Invalid, "import: --resume from standard input needs the --state FILE of the earlier import")
		}
		return "", nil
	}
	if err := a.needHome(); err != nil {
		return "", err
	}
	path, err := filepath.Abs(o.file)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	sum := sha256.Sum256([]byte(path))
	dir := filepath.Join(a.home, "imports")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", advise(fmt.Errorf("import: make a folder for its progress: %w", err), "name a file for it with --state")
	}
	return filepath.Join(dir, hex.EncodeToString(sum[:8])+".json"), nil
}

// importStart returns where the import begins: at the start of the file, or where an earlier one stopped.
func (a *app) importStart(ctx context.Context, c *client.Client, o importOptions, statePath string) (bulk.State, error) {
	n, err := c.Node(ctx)
	if err != nil {
		return bulk.State{}, a.askFailed("ask the node for its network", "", err)
	}
	fresh := bulk.State{Network: n.Network.ID}
	if statePath == "" {
		return fresh, nil
	}
	earlier, err := bulk.LoadState(statePath)
	switch {
	case !o.resume && err == nil && earlier.Progress.At.Line > 0:
		a.notef("an earlier import stopped after line %s; this one begins anew (--resume would go on)", grouped(earlier.Progress.At.Line))
		return fresh, nil
	case !o.resume:
		return fresh, nil
	case err != nil:
		return fresh, advise(err, "leave --resume out to begin anew")
	case earlier.Network != fresh.Network:
		return fresh, advise(fault.New(fault.Conflict, "the earlier import went to another network"), "leave --resume out to begin anew")
	case o.format.value != string(bulk.Auto) && o.format.value != string(earlier.Format):
		return fresh, fault.New(fault.Conflict, "the earlier import read the file as %s", earlier.Format)
	}
	return earlier, nil
}

func putRecord(c *client.Client, consistency string) func(context.Context, bulk.Record) error {
	return func(ctx context.Context, r bulk.Record) error {
		opts := client.PutOptions{Consistency: consistency}
		if !r.Expires.IsZero() {
			// The check found time left; the little that passed since must not turn "soon" into "for ever".
			opts.TTL = max(time.Until(r.Expires), time.Millisecond)
		}
		_, err := c.PutRecord(ctx, r.Key, r.Value, opts)
		return err
	}
}

func checkRecord(r bulk.Record) error {
	if !r.Expires.IsZero() && !time.Now().Before(r.Expires) {
		return fault.New(fault.Invalid, "the record's life ended at %s", r.Expires.UTC().Format(time.RFC3339))
	}
	return errors.Join(checkKey(r.Key), checkValue(r.Value))
}

func saveState(path string) func(bulk.State) error {
	if path == "" {
		return nil
	}
	return func(s bulk.State) error { return s.Save(path) }
}
