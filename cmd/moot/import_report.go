package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/bulk"
	"github.com/folkmoot/folkmoot/fault"
)

// importBar shows an import's progress on a terminal.
type importBar struct{ bar *progressbar.ProgressBar }

// importBar returns a bar over size bytes, or a spinner when size is 0; it shows nothing where stderr is no terminal.
func (a *app) importBar(size int64) importBar {
	if !a.stderrTerminal || a.json {
		return importBar{}
	}
	if size == 0 {
		size = -1
	}
	return importBar{progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription("import"),
		progressbar.OptionShowBytes(true), progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(65*time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionClearOnFinish())}
}

func (b importBar) report(p bulk.Progress) {
	if b.bar != nil {
		b.bar.Describe(plural(p.Records, "record"))
		_ = b.bar.Set64(p.At.Offset) // a terminal that cannot be written to is no reason to stop
	}
}

func (b importBar) finish() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

// importSummary is what --json prints of an import.
type importSummary struct {
	File     string    `json:"file"`
	Complete bool      `json:"complete"`
	Records  int64     `json:"records"` // stored by this run
	Bytes    int64     `json:"bytes"`
	Seconds  float64   `json:"seconds"`
	Rate     float64   `json:"records_per_second"`
	Skipped  int64     `json:"skipped"`
	Line     int64     `json:"line"` // everything up to it is done
	Resumed  int64     `json:"resumed_after_line"`
	BadLines int64     `json:"bad_lines"`
	Bad      []badLine `json:"bad"` // the first of them
	State    string    `json:"state,omitempty"`
}

type badLine struct {
	Line  int64  `json:"line"`
	Error string `json:"error"`
}

// importDone reports what came of an import, and forgets its state when it is complete.
func (a *app) importDone(o importOptions, statePath string, from bulk.State, r bulk.Result, took time.Duration, err error) error {
	s := summarize(o.file, from, r, took)
	s.Complete = err == nil
	if statePath != "" && s.Complete {
		if err := os.Remove(statePath); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("import: forget the progress: %w", err)
		}
	} else {
		s.State = statePath
	}
	if a.json {
		if err := a.printJSON(s); err != nil {
			return err
		}
	} else {
		a.printSummary(s)
	}
	if err == nil {
		return nil
	}
	return a.importFailed(o, statePath, r, err)
}

func summarize(file string, from bulk.State, r bulk.Result, took time.Duration) importSummary {
	s := importSummary{
		File: file, Seconds: took.Seconds(), Line: r.At.Line, Resumed: from.Progress.At.Line,
		Records: r.Records - from.Progress.Records, Bytes: r.Bytes - from.Progress.Bytes, Skipped: r.Skipped - from.Progress.Skipped,
		BadLines: r.BadCount, Bad: []badLine{},
	}
	if s.Seconds > 0 {
		s.Rate = float64(s.Records) / s.Seconds
	}
	for _, b := range r.Bad {
		s.Bad = append(s.Bad, badLine{b.Line, b.Err.Error()})
	}
	return s
}

func (a *app) printSummary(s importSummary) {
	for _, b := range s.Bad {
		a.notef("%s:%d: %s", s.File, b.Line, oneLine(b.Error))
	}
	if more := s.BadLines - int64(len(s.Bad)); more > 0 {
		a.notef("and %s more", plural(more, "bad line"))
	}
	a.printf("imported %s (%s) in %.1f s, %.0f a second", plural(s.Records, "record"), byteSize(s.Bytes), s.Seconds, s.Rate)
	if s.Resumed > 0 {
		a.printf(", after line %s", grouped(s.Resumed))
	}
	if s.Skipped > 0 {
		a.printf("; %s skipped", plural(s.Skipped, "bad line"))
	}
	a.printf("\n")
}

// importFailed says why the import stopped and how to go on.
func (a *app) importFailed(o importOptions, statePath string, r bulk.Result, err error) error {
	again := a.withHome("moot import " + shellQuote(o.file))
	if a.api != "" {
		again += " --api " + shellQuote(a.api)
	}
	if o.state != "" {
		again += " --state " + shellQuote(o.state)
	}
	resume := "go on with: " + again + " --resume"
	if statePath == "" {
		resume = "give --state FILE next time to be able to go on"
	}
	what := fmt.Sprintf("import %s: stopped after line %d", quoteKey(o.file), r.At.Line)
	switch {
	case r.BadCount > 0 && !o.skipBad && fault.KindOf(err) == fault.Invalid:
		err := fault.New(fault.Invalid, "%s: %s; the first is %w", what, plural(r.BadCount, "bad line"), err)
		return advise(err, "mend or --skip-bad, then %s", resume)
	case fault.KindOf(err) == fault.Conflict:
		return advise(fmt.Errorf("import %s: %w", quoteKey(o.file), err), "leave --resume out to begin anew")
	}
	return advise(fmt.Errorf("%s: %w", what, err), "%s", resume)
}
