package bulk

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// ExportConfig describes an export.
type ExportConfig struct {
	// List returns a page of the listing of what is exported, in the order of keys. It and Get are tried again when they fail with fault.Unavailable.
	List func(context.Context, v1.ListOptions) (v1.Page, error)
	// Get reads a record; it is called from several goroutines. What is fault.NotFound was removed since it was listed, and is left out.
	Get func(ctx context.Context, key string) (v1.Record, error)
	// Prefix selects the records; After begins behind a key.
	Prefix, After string
	// Concurrency is how many records are read at once, 1 to MaxConcurrency.
	Concurrency int
	// SkipUnreadable leaves out what can't be read now. Otherwise the export ends before it, so that a later one can go on there.
	SkipUnreadable bool
	// Report is told of progress several times a second; nil is not.
	Report func(Exported)
}

// Validate returns a fault.Invalid error for what cannot be accepted.
func (c *ExportConfig) Validate() error {
	switch {
	case c.List == nil || c.Get == nil:
		return fault.New(fault.Invalid, "List and Get must be set")
	case c.Concurrency < 1 || c.Concurrency > MaxConcurrency:
		return fault.New(fault.Invalid, "concurrency: want 1 to %d, got %d", MaxConcurrency, c.Concurrency)
	}
	return nil
}

// MaxUnreadableShown is how many keys that could not be read are reported one by one.
const MaxUnreadableShown = 20

// Exported is what an export has written.
type Exported struct {
	Records, Bytes int64
	// Last is the key of the last record.
	Last string
	// Unreadable counts the records that were listed and could not be read, Keys holds the first of their keys.
	Unreadable int64
	Keys       []string
	// Partial says that so many peers were missing from the listing that it may lack keys; Missing names them.
	Partial bool
	Missing []string
}

// Export writes the records as lines of JSON, in the order of their keys, in the form that Import reads. When it fails, what was written are whole lines.
func Export(ctx context.Context, out io.Writer, cfg ExportConfig) (Exported, error) {
	if err := cfg.Validate(); err != nil {
		return Exported{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &export{
		cfg: cfg, bytes: semaphore.NewWeighted(maxBytesAhead), slots: semaphore.NewWeighted(int64(cfg.Concurrency)),
		reading: make(chan *reading, cfg.Concurrency), out: bufio.NewWriterSize(out, 256<<10),
	}
	var readers sync.WaitGroup
	var listErr error // valid once the readers are waited for
	readers.Go(func() {
		defer close(e.reading)
		listErr = e.list(ctx, &readers)
	})
	err := e.write(ctx) // all that was listed, also where the listing failed
	cancel()
	for range e.reading { // list may be waiting
	}
	readers.Wait()
	if err == nil {
		err = listErr
	}
	if flushErr := e.out.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("write the export: %w", flushErr)
	}
	e.report()
	return e.exported(), err
}

// export is an export under way.
type export struct {
	cfg     ExportConfig
	bytes   *semaphore.Weighted // of records being read and not yet written
	slots   *semaphore.Weighted // a token for each record that is being read
	reading chan *reading       // in the order of keys
	out     *bufio.Writer       // used by write alone

	mu   sync.Mutex
	done Exported // guarded by mu
}

// reading is a record on its way.
type reading struct {
	key    string
	weight int64
	record v1.Record // valid once done is closed, as is err
	err    error
	done   chan struct{}
}

// list reads the listing, and starts to read each record of it.
func (e *export) list(ctx context.Context, readers *sync.WaitGroup) error {
	opts := v1.ListOptions{Prefix: e.cfg.Prefix, After: e.cfg.After}
	for {
		var page v1.Page
		err := Retry(ctx, func(ctx context.Context) (err error) {
			page, err = e.cfg.List(ctx, opts)
			return err
		})
		if err != nil {
			return err
		}
		if err := e.note(page); err != nil {
			return err
		}
		for _, entry := range page.Records {
			if err := e.start(ctx, readers, entry); err != nil {
				return err
			}
		}
		switch page.Cursor {
		case "":
			return nil
		case opts.Cursor:
			return fault.New(fault.Internal, "the node answered the same cursor twice")
		}
		opts.Cursor = page.Cursor
	}
}

// note remembers who was missing from a page; a page that may lack keys ends the export unless such may be left out.
func (e *export) note(page v1.Page) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range page.Missing {
		if !slices.Contains(e.done.Missing, p) {
			e.done.Missing = append(e.done.Missing, p)
		}
	}
	if page.Complete {
		return nil
	}
	e.done.Partial = true
	if e.cfg.SkipUnreadable {
		return nil
	}
	return fault.New(fault.Unavailable, "so many peers (%d) do not answer that keys may be missing", len(page.Missing))
}

func (e *export) start(ctx context.Context, readers *sync.WaitGroup, entry v1.Entry) error {
	r := &reading{key: entry.Key, weight: min(max(entry.Size, 0)+int64(len(entry.Key)), maxBytesAhead), done: make(chan struct{})}
	if err := e.bytes.Acquire(ctx, r.weight); err != nil {
		return err
	}
	if err := e.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	readers.Go(func() {
		defer e.slots.Release(1)
		defer close(r.done)
		r.err = Retry(ctx, func(ctx context.Context) (err error) {
			r.record, err = e.cfg.Get(ctx, r.key)
			return err
		})
	})
	select {
	case e.reading <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write writes the records in order until there are no more.
func (e *export) write(ctx context.Context) error {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for r := range e.reading {
		for waiting := true; waiting; {
			select {
			case <-r.done:
				waiting = false
			case <-tick.C:
				e.report()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		e.bytes.Release(r.weight)
		if err := e.writeOne(r); err != nil {
			return err
		}
	}
	return nil
}

func (e *export) writeOne(r *reading) error {
	switch kind := fault.KindOf(r.err); {
	case r.err == nil:
	case kind == fault.NotFound:
		return nil
	case kind == fault.Unavailable && e.cfg.SkipUnreadable:
		e.mu.Lock()
		defer e.mu.Unlock()
		e.done.Unreadable++
		if len(e.done.Keys) < MaxUnreadableShown {
			e.done.Keys = append(e.done.Keys, r.key)
		}
		return nil
	default:
		return fmt.Errorf("read %q: %w", r.key, r.err)
	}
	line, err := json.Marshal(r.record)
	if err == nil {
		_, err = e.out.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done.Records++
	e.done.Bytes += int64(len(r.key) + len(r.record.Bytes()))
	e.done.Last = r.key
	return nil
}

func (e *export) exported() Exported {
	e.mu.Lock()
	defer e.mu.Unlock()
	done := e.done
	done.Keys, done.Missing = slices.Clone(done.Keys), slices.Clone(done.Missing)
	return done
}

func (e *export) report() {
	if e.cfg.Report != nil {
		e.cfg.Report(e.exported())
	}
}
