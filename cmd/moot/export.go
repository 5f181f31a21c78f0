package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/bulk"
	"github.com/folkmoot/folkmoot/fault"
)

// exportOptions are the options of moot export.
type exportOptions struct {
	prefix         string
	output         string // "" and "-" are standard output
	resume         bool
	skipUnreadable bool
	concurrency    int
	consistency    *choice
}

func newExport(a *app) *cobra.Command {
	o := exportOptions{consistency: newConsistency()}
	cmd := a.command("export [PREFIX]", "Write many records to a file", wants(0, 1), func(ctx context.Context, args []string) error {
		if len(args) == 1 {
			o.prefix = args[0]
		}
		return a.export(ctx, o)
	})
	cmd.Long = `Write all records of the network, or those whose keys begin with PREFIX, in the order of their keys: a line of JSON each, in the form that "moot import" reads.

With --output the file appears once the export is complete; until then the records are in FILE.partial, and after a stop, whatever its cause, the same command
with --resume goes on behind the last of them. Where so many peers are missing that records may be, it stops and exits 4; --skip-unreadable writes what can
be read, names what it left out, and exits 4 too.`
	cmd.Example = `  moot export --output records.jsonl
  moot export --output records.jsonl --resume
  moot export config/ | moot import - --api http://127.0.0.1:7071`
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "`FILE` to write to (default: standard output)")
	f.BoolVar(&o.resume, "resume", false, "go on where an earlier export to the file stopped")
	f.BoolVar(&o.skipUnreadable, "skip-unreadable", false, "leave out what can't be read now instead of stopping at it")
	f.IntVar(&o.concurrency, "concurrency", 64, "records under way at once, 1 to 1024")
	addChoice(cmd, o.consistency, "consistency", "holders that must answer for each record")
	cmd.ValidArgsFunction = a.completeKeys(1)
	return cmd
}

func (o *exportOptions) check(json bool) error {
	toFile := o.output != "" && o.output != "-"
	switch {
	case o.concurrency < 1 || o.concurrency > bulk.MaxConcurrency:
		return fault.New(fault.Invalid, "option --concurrency: want 1 to %d, got %d", bulk.MaxConcurrency, o.concurrency)
	case o.resume && !toFile:
		return fault.New(fault.Invalid, "export: --resume needs the --output FILE of the earlier export")
	case json && !toFile:
		return fault.New(fault.Invalid, "export: --json prints a summary: give the records a file with --output")
	}
	return checkPrefix(o.prefix)
}

func (a *app) export(ctx context.Context, o exportOptions) error {
	if err := o.check(a.json); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	out, after, err := a.exportOutput(o)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	bar := a.exportBar()
	began := time.Now()
	done, err := bulk.Export(ctx, out, bulk.ExportConfig{
		List: c.ListRecords, Get: getForExport(c, o.consistency.value), Prefix: o.prefix, After: after,
		Concurrency: o.concurrency, SkipUnreadable: o.skipUnreadable, Report: bar.report,
	})
	bar.finish()
	if err = errors.Join(err, out.end(err == nil)); err != nil {
		return a.exportFailed(o, after, done, err)
	}
	return a.exportDone(o, after, done, time.Since(began))
}

func getForExport(c *client.Client, consistency string) func(context.Context, string) (v1.Record, error) {
	return func(ctx context.Context, key string) (v1.Record, error) {
		record, err := c.GetRecord(ctx, key, client.GetOptions{Consistency: consistency})
		if err != nil {
			return v1.Record{}, err
		}
		doc := recordDocument(record)
		doc.Copies = v1.Copies{} // they are no part of the record
		return doc, nil
	}
}

// exportFile is where an export goes.
type exportFile struct {
	io.Writer
	file   *os.File // nil for standard output
	rename string   // what the file is called once it is complete
}

// partialSuffix follows the name of a file that is not complete yet.
const partialSuffix = ".partial"

// exportOutput opens what the export is written to, and tells behind which key it goes on.
func (a *app) exportOutput(o exportOptions) (out *exportFile, after string, err error) {
	if o.output == "" || o.output == "-" {
		return &exportFile{Writer: a.stdout}, "", nil
	}
	path, mode := o.output+partialSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC
	if o.resume {
		mode = os.O_RDWR
	}
	f, err := os.OpenFile(path, mode, 0o666)
	if errors.Is(err, os.ErrNotExist) && o.resume {
		return nil, "", advise(fault.New(fault.NotFound, "no unfinished export is known: %s does not exist", path), "leave --resume out to begin anew")
	}
	if err != nil {
		return nil, "", advise(err, "check --output")
	}
	if o.resume {
		after, err = bulk.ResumeExport(f)
		if err == nil && !strings.HasPrefix(after, o.prefix) && after != "" {
			err = fault.New(fault.Conflict, "the earlier export had another prefix: its last key is %s", quoteKey(after))
		}
		if err != nil {
			f.Close()
			return nil, "", advise(err, "leave --resume out to begin anew")
		}
	}
	return &exportFile{Writer: f, file: f, rename: o.output}, after, nil
}

// end closes the file, and gives it its name when it is complete.
func (e *exportFile) end(complete bool) error {
	if e.file == nil {
		return nil
	}
	if err := errors.Join(e.file.Sync(), e.file.Close()); err != nil || !complete {
		return err
	}
	return os.Rename(e.file.Name(), e.rename)
}

// exportBar shows an export's progress on a terminal.
type exportBar struct{ bar *progressbar.ProgressBar }

func (a *app) exportBar() exportBar {
	if !a.stderrTerminal || a.json {
		return exportBar{}
	}
	return exportBar{progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription("export"), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(65*time.Millisecond), progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionClearOnFinish())}
}

func (b exportBar) report(e bulk.Exported) {
	if b.bar != nil {
		b.bar.Describe(plural(e.Records, "record"))
		_ = b.bar.Set64(e.Bytes) // a terminal that cannot be written to is no reason to stop
	}
}

func (b exportBar) finish() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

// exportSummary is what --json prints of an export.
type exportSummary struct {
	File       string   `json:"file"`
	Complete   bool     `json:"complete"`
	Records    int64    `json:"records"` // written by this run
	Bytes      int64    `json:"bytes"`
	Seconds    float64  `json:"seconds"`
	Resumed    string   `json:"resumed_after_key,omitempty"`
	Unreadable int64    `json:"unreadable"`
	Keys       []string `json:"unreadable_keys,omitempty"` // the first of them
	Missing    []string `json:"missing,omitempty"`
}

func (a *app) exportDone(o exportOptions, after string, e bulk.Exported, took time.Duration) error {
	complete := !e.Partial && e.Unreadable == 0
	if o.output != "" && o.output != "-" {
		summary := exportSummary{
			File: o.output, Complete: complete, Records: e.Records, Bytes: e.Bytes, Seconds: took.Seconds(),
			Resumed: after, Unreadable: e.Unreadable, Keys: e.Keys, Missing: e.Missing,
		}
		if err := a.show(summary, func() {
			a.printf("exported %s (%s) in %.1f s\n", plural(e.Records, "record"), byteSize(e.Bytes), took.Seconds())
		}); err != nil {
			return err
		}
	}
	if complete {
		return nil
	}
	for _, key := range e.Keys {
		a.notef("left out: %s", quoteKey(key))
	}
	err := fault.New(fault.Unavailable, "export: incomplete: %s could not be read", plural(e.Unreadable, "record"))
	if e.Partial {
		err = fault.New(fault.Unavailable, "%w, and more may be missing: %s did not answer", err, plural(len(e.Missing), "peer"))
	}
	return advise(err, `try again; "moot peers" shows who answers`)
}

// exportFailed says why the export stopped and how to go on.
func (a *app) exportFailed(o exportOptions, after string, done bulk.Exported, err error) error {
	if o.output == "" || o.output == "-" || done.Records == 0 && after == "" {
		return a.askFailed("export", "", err)
	}
	again := "moot export"
	if o.prefix != "" {
		again += " " + shellQuote(o.prefix)
	}
	again = a.withHome(again + " --output " + shellQuote(o.output))
	if a.api != "" {
		again += " --api " + shellQuote(a.api)
	}
	return advise(fmt.Errorf("export: stopped after %s: %w", plural(done.Records, "record"), err), "go on with: %s --resume", again)
}
