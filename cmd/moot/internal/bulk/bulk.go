// Package bulk stores many records from a text of lines: in parallel, with later lines of a key after earlier ones, and so
// that a run that did not finish can be gone on with.
package bulk

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// MaxConcurrency bounds the records under way at once.
	MaxConcurrency = 1024
	// maxBytesAhead bounds the bytes of records read and not yet stored.
	maxBytesAhead = 64 << 20
	// queueLength is how many records wait for one worker, so that none idles when keys fall unevenly.
	queueLength = 8
	// saveInterval is how often the state is kept.
	saveInterval = time.Second
	// reportInterval is how often progress is reported.
	reportInterval = 100 * time.Millisecond
	// MaxBadShown is how many bad lines are reported one by one.
	MaxBadShown = 20
)

// Config describes an import.
type Config struct {
	// Put stores a record; it is called from several goroutines, but for one key only in the order of lines. Errors of
	// kind fault.Unavailable are tried again; fault.Invalid and fault.TooLarge make the line a bad one; others end the import.
	Put func(context.Context, Record) error
	// Check returns an error for a record that can never be stored, or nil.
	Check func(Record) error
	// Format is how the input is written; Auto finds out.
	Format Format
	// Concurrency is how many records are under way at once, 1 to MaxConcurrency.
	Concurrency int
	// SkipBad leaves bad lines out. Otherwise nothing after the first one is written.
	SkipBad bool
	// From is where an earlier run came to; its zero value is the beginning.
	From State
	// Save keeps how far the import has come, about every second and at the end when it did not finish; nil keeps nothing.
	Save func(State) error
	// Report is told of progress several times a second; nil is not.
	Report func(Progress)
}

// Validate returns a fault.Invalid error for what cannot be accepted.
func (c *Config) Validate() error {
	switch {
	case c.Put == nil || c.Check == nil:
		return fault.New(fault.Invalid, "Put and Check must be set")
	case c.Concurrency < 1 || c.Concurrency > MaxConcurrency:
		return fault.New(fault.Invalid, "concurrency: want 1 to %d, got %d", MaxConcurrency, c.Concurrency)
	case c.Format != Auto && c.Format != JSONLines && c.Format != TSV:
		return fault.New(fault.Invalid, "format %q", c.Format)
	}
	return nil
}

// BadLine is a line that holds no record that can be stored.
type BadLine struct {
	Line int64
	Err  error
}

// Result is what an import did. Its progress counts earlier runs too.
type Result struct {
	Progress
	Bad      []BadLine // the first MaxBadShown, by line
	BadCount int64
}

// Import stores the records of in. When it fails, Result says how far it came; the error is fault.Invalid for bad lines,
// fault.Conflict when in does not begin as it did when From was saved, and what Put returned when that failed.
func Import(ctx context.Context, in io.Reader, cfg Config) (Result, error) {
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	im := newRun(cfg)
	lines := newLines(in)
	if err := lines.skipTo(im.window.progress().At); err != nil {
		return im.result(), err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	im.fail = cancel
	writing, stop := context.WithCancel(ctx)
	defer stop()
	im.stop = stop
	var workers, reporter sync.WaitGroup
	for _, queue := range im.queues {
		workers.Go(func() { im.work(ctx, queue) })
	}
	finished := make(chan struct{})
	reporter.Go(func() { im.report(finished) })
	err := im.feed(ctx, writing, lines)
	for _, queue := range im.queues {
		close(queue)
	}
	workers.Wait()
	close(finished)
	reporter.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return im.end(err)
}

// run is an import under way.
type run struct {
	cfg    Config
	window *window
	bytes  *semaphore.Weighted // of records read and not yet settled
	queues []chan job          // one for each worker; a key always goes to the same
	seed   maphash.Seed
	fail   context.CancelCauseFunc
	stop   context.CancelFunc // ends the handing out of lines after a bad one

	mu     sync.Mutex
	format Format    // guarded by mu; Auto until the first line is read
	bad    []BadLine // guarded by mu; sorted, at most MaxBadShown
	badAll int64     // guarded by mu
}

type job struct {
	record Record
	slot   *slot
}

func (j job) size() int64 { return int64(len(j.record.Key) + len(j.record.Value)) }

func newRun(cfg Config) *run {
	im := &run{
		cfg: cfg, format: cfg.Format, window: newWindow(cfg.From.Progress),
		bytes: semaphore.NewWeighted(maxBytesAhead), seed: maphash.MakeSeed(),
	}
	if cfg.From.Format != "" {
		im.format = cfg.From.Format
	}
	for range cfg.Concurrency {
		im.queues = append(im.queues, make(chan job, queueLength))
	}
	return im
}

// feed reads lines and hands them to the workers while writing lasts. After a bad line that must not be skipped writing
// has ended, and it only looks for more of them.
func (im *run) feed(ctx, writing context.Context, lines *lines) error {
	for {
		line, err := lines.next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, errLong):
			return err
		case err == nil && blank(line):
			continue
		}
		var record Record
		if err == nil {
			record, err = im.read(line)
		}
		if err != nil {
			im.addBad(lines.at.Line, err)
		}
		if writing.Err() == nil {
			im.hand(writing, job{record: record}, lines.at, err != nil)
		}
	}
}

// read parses and checks a line.
func (im *run) read(line []byte) (Record, error) {
	im.mu.Lock()
	if im.format == Auto {
		im.format = detect(line)
	}
	format := im.format
	im.mu.Unlock()
	record, err := parse(format, line)
	if err != nil {
		return record, err
	}
	return record, im.cfg.Check(record)
}

// hand gives a line its place in the window and, unless it is to be left out, to its key's worker. It gives up when ctx ends.
func (im *run) hand(ctx context.Context, j job, at Position, leaveOut bool) {
	if im.bytes.Acquire(ctx, j.size()) != nil {
		return
	}
	if j.slot = im.window.add(ctx, at, j.size()); j.slot == nil {
		return
	}
	if leaveOut {
		im.settle(j, skipped)
		return
	}
	select {
	case im.queues[maphash.String(im.seed, j.record.Key)%uint64(len(im.queues))] <- j:
	case <-ctx.Done():
	}
}

func (im *run) settle(j job, state slotState) {
	im.window.settle(j.slot, state)
	im.bytes.Release(j.size())
}

// work stores the records of one queue, in order.
func (im *run) work(ctx context.Context, queue <-chan job) {
	for j := range queue {
		if ctx.Err() != nil || im.stoppedBefore(j.slot.at.Line) {
			continue // drain: feed may be waiting
		}
		err := Retry(ctx, func(ctx context.Context) error { return im.cfg.Put(ctx, j.record) })
		switch kind := fault.KindOf(err); {
		case err == nil:
			im.settle(j, stored)
		case kind == fault.Invalid || kind == fault.TooLarge:
			im.addBad(j.slot.at.Line, err)
			if im.cfg.SkipBad {
				im.settle(j, skipped)
			} // else its slot stays open: nothing counts as done from here on
		default:
			im.fail(fmt.Errorf("line %d: %w", j.slot.at.Line, err))
		}
	}
}

// report keeps the state and reports progress until the import ends.
func (im *run) report(finished <-chan struct{}) {
	save, tick := time.NewTicker(saveInterval), time.NewTicker(reportInterval)
	defer save.Stop()
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return
		case <-tick.C:
			if im.cfg.Report != nil {
				im.cfg.Report(im.window.progress())
			}
		case <-save.C:
			if err := im.save(); err != nil {
				im.fail(err)
			}
		}
	}
}

func (im *run) save() error {
	p := im.window.progress()
	im.mu.Lock()
	format := im.format
	im.mu.Unlock()
	if im.cfg.Save == nil || format == Auto {
		return nil
	}
	return im.cfg.Save(State{Network: im.cfg.From.Network, Format: format, Progress: p})
}

// end returns what came of the import, and keeps the state when it did not finish.
func (im *run) end(err error) (Result, error) {
	if im.cfg.Report != nil {
		im.cfg.Report(im.window.progress())
	}
	result := im.result()
	if err == nil && result.BadCount > 0 && !im.cfg.SkipBad {
		first := result.Bad[0]
		err = fault.New(fault.Invalid, "line %d: %w", first.Line, first.Err)
	}
	if err != nil {
		return result, errors.Join(err, im.save())
	}
	return result, nil
}

func (im *run) result() Result {
	im.mu.Lock()
	defer im.mu.Unlock()
	return Result{Progress: im.window.progress(), Bad: slices.Clone(im.bad), BadCount: im.badAll}
}

// addBad notes a bad line, which ends the writing unless bad lines are skipped.
func (im *run) addBad(line int64, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.badAll++
	i, _ := slices.BinarySearchFunc(im.bad, line, func(b BadLine, line int64) int { return int(b.Line - line) })
	im.bad = slices.Insert(im.bad, i, BadLine{line, err})
	im.bad = im.bad[:min(len(im.bad), MaxBadShown)]
	if !im.cfg.SkipBad {
		im.stop()
	}
}

// stoppedBefore tells whether a bad line before this one ended the writing.
func (im *run) stoppedBefore(line int64) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	return len(im.bad) > 0 && !im.cfg.SkipBad && im.bad[0].Line < line
}
