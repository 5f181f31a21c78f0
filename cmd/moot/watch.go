package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
)

// keepCursorEvery is how often the place of a watch is written to its file, at most.
const keepCursorEvery = time.Second

func newWatch(a *app) *cobra.Command {
	w := watching{app: a}
	cmd := a.command("watch [PREFIX]", "Print records as they change, anywhere in the network", wants(0, 1), func(ctx context.Context, args []string) error {
		if len(args) == 1 {
			w.opts.Prefix = args[0]
		}
		return w.run(ctx)
	})
	cmd.Long = `Print the records whose keys begin with PREFIX, or all, as they are written and removed, through whichever node. It goes on until it is stopped.

Every change that was acknowledged is printed at least once, and a key's versions never go back; versions that are replaced quickly may be left out.
With --cursor FILE the place is kept: the next watch prints what changed meanwhile, up to 7 days. When the node can't be reached the watch
waits and goes on where it was. With --json each event is a document on a line of its own.`
	cmd.Example = `  moot watch
  moot watch config/ --values
  moot watch orders/ --cursor orders.cursor --json | while read -r event; do ./handle "$event"; done
  moot watch ready/ --max-events 1 && echo somebody is ready`
	cmd.Flags().BoolVar(&w.opts.Values, "values", false, "print the values too")
	cmd.Flags().StringVar(&w.file, "cursor", "", "`FILE` that keeps the place, so that the next watch goes on there; made when it does not exist")
	cmd.Flags().IntVar(&w.limit, "max-events", 0, "stop after `N` changes (default: never)")
	cmd.ValidArgsFunction = a.completeKeys(1)
	return cmd
}

// watching is a watch of the command line.
type watching struct {
	*app
	opts  client.WatchOptions
	file  string
	limit int

	shown     int
	connected bool
	kept      string // the cursor that the file holds
	keptAt    time.Time
}

func (w *watching) run(ctx context.Context) error {
	if w.limit < 0 {
		return fault.New(fault.Invalid, "option --max-events: %d is negative", w.limit)
	}
	if err := checkPrefix(w.opts.Prefix); err != nil {
		return err
	}
	if w.file != "" {
		var err error
		if w.opts.Cursor, err = readCursor(w.file); err != nil {
			return fmt.Errorf("read the place of the watch: %w", err)
		}
		w.kept = w.opts.Cursor
	}
	c, err := w.client()
	if err != nil {
		return err
	}
	cursor, err := w.follow(ctx, c)
	return errors.Join(err, w.keep(cursor))
}

// follow prints events until there were enough, and returns from where to go on.
func (w *watching) follow(ctx context.Context, c *client.Client) (cursor string, err error) {
	cursor = w.opts.Cursor
	wasHeard := false
	for e, err := range c.Events(ctx, w.opts) {
		switch {
		case err != nil && ctx.Err() != nil:
			return cursor, ctx.Err()
		case err != nil && (!wasHeard || fault.KindOf(err) != fault.Unavailable):
			return cursor, w.failed(err)
		case err != nil:
			if w.connected {
				w.notef("moot: %s; the watch goes on when the node answers again", oneLine(err.Error()))
			}
			w.connected = false
			continue
		}
		if wasHeard && !w.connected {
			w.notef("moot: the node answers again")
		}
		wasHeard, w.connected = true, true
		if err := w.print(&e); err != nil {
			return cursor, fmt.Errorf("print the change: %w", err)
		}
		cursor = e.Cursor
		if w.limit > 0 && w.shown == w.limit {
			return cursor, nil
		}
		if time.Since(w.keptAt) >= keepCursorEvery {
			if err := w.keep(cursor); err != nil {
				return cursor, err
			}
		}
	}
	return cursor, nil
}

func (w *watching) failed(err error) error {
	err = w.askFailed("watch", w.opts.Prefix, err)
	if fault.KindOf(err) == fault.Invalid && w.kept != "" {
		return advise(err, "name another file with --cursor, or remove %s to begin at the present", shellQuote(w.file))
	}
	return err
}

func (w *watching) print(e *v1.Event) error {
	if e.Event == v1.EventChange {
		w.shown++
	}
	if w.json {
		return w.printLine(e)
	}
	switch e.Event {
	case v1.EventChange:
		_, err := io.WriteString(w.stdout, w.line(e))
		return err
	case v1.EventLost:
		w.notef("moot: changes may have been lost: %s; \"moot ls\" lists what there is", printable(e.Detail))
	case v1.EventIncomplete:
		w.notef("moot: %s can't be heard: changes may be late", plural(len(e.Missing), "peer"))
	case v1.EventComplete:
		w.notef("moot: enough peers are heard again")
	}
	return nil
}

// printLine writes an event as JSON; a cursor alone is none.
func (w *watching) printLine(e *v1.Event) error {
	if e.Event == v1.EventCursor {
		return nil
	}
	enc := json.NewEncoder(w.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(e)
}

// line is a change as a person reads it: time, what was done, key, size and value.
func (w *watching) line(e *v1.Event) string {
	fields := []string{time.Now().Format(time.TimeOnly), "put", printable(e.Key), byteSize(e.Size)}
	switch {
	case e.Deleted:
		fields = append(fields[:1], "rm", printable(e.Key))
	case w.opts.Values && isText(e.Bytes()):
		fields = append(fields, strconv.Quote(string(e.Bytes())))
	case w.opts.Values:
		fields = append(fields, "(not text)")
	}
	return strings.Join(fields, "  ") + "\n"
}

// cursorText is what a cursor looks like; the node knows whether it is one.
var cursorText = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

func readCursor(file string) (string, error) {
	return readToken(file, v1.MaxCursor, cursorText, "place of a watch", "name a new file with --cursor")
}

// keep writes the place to its file when it went on.
func (w *watching) keep(cursor string) error {
	if w.file == "" || cursor == w.kept {
		return nil
	}
	if err := atomicfile.Write(w.file, []byte(cursor+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the place of the watch: %w", err)
	}
	w.kept, w.keptAt = cursor, time.Now()
	return nil
}
