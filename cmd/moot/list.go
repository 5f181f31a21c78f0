package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func newList(a *app) *cobra.Command {
	var l listing
	var local bool
	cmd := a.command("ls [PREFIX]", "List the keys of the network's records", wants(0, 1), func(ctx context.Context, args []string) error {
		opts := client.ListOptions{Local: local}
		if len(args) == 1 {
			opts.Prefix = args[0]
		}
		return a.list(ctx, opts, l)
	})
	cmd.Long = `List the keys that begin with PREFIX, or all, in byte order, over the whole network.
When so many holders did not answer that keys may be missing, it says so and exits 4.`
	cmd.Example = `  moot ls
  moot ls config/ -l
  moot ls --local --json | jq '.records | length'`
	cmd.Flags().BoolVarP(&l.long, "long", "l", false, "print version, author, size and end of life too")
	cmd.Flags().BoolVar(&local, "local", false, "list what this node's disk holds instead of the whole network")
	cmd.Flags().IntVar(&l.limit, "limit", 0, "stop after `N` records (default: all)")
	cmd.ValidArgsFunction = a.completeKeys(1)
	return cmd
}

// listing is how a listing is printed, and what came of it.
type listing struct {
	long  bool
	limit int

	shown   int
	cut     bool     // the limit ended it
	missing []string // peers that did not answer
	partial bool     // so many were missing that keys may be
}

func (a *app) list(ctx context.Context, opts client.ListOptions, l listing) error {
	if l.limit < 0 {
		return fault.New(fault.Invalid, "option --limit: %d is negative", l.limit)
	}
	if err := checkPrefix(opts.Prefix); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	out := a.listWriter(l)
	err = l.eachPage(ctx, c, opts, out.page)
	if err := out.end(&l, err == nil); err != nil {
		return fmt.Errorf("print the list: %w", err)
	}
	if err != nil {
		return a.askFailed("list", opts.Prefix, err)
	}
	if l.partial {
		return advise(fault.New(fault.Unavailable, "list: incomplete: %s did not answer, keys may be missing", plural(len(l.missing), "peer")),
			`try again; "moot peers" shows who answers`)
	}
	return nil
}

// eachPage hands the entries of every page to show until there are no more or the limit is reached.
func (l *listing) eachPage(ctx context.Context, c *client.Client, opts client.ListOptions, show func([]v1.Entry) error) error {
	opts.Limit = min(l.limit, maxPage)
	for page, err := range c.Pages(ctx, opts) {
		if err != nil {
			return err
		}
		entries := page.Records
		if l.limit > 0 {
			entries = entries[:min(len(entries), l.limit-l.shown)]
			l.cut = l.shown+len(entries) == l.limit && (page.Cursor != "" || len(entries) < len(page.Records))
		}
		l.shown += len(entries)
		l.note(page)
		if err := show(entries); err != nil {
			return err
		}
		if l.cut {
			return nil
		}
	}
	return nil
}

// maxPage is the most entries that a node gives in one answer.
const maxPage = 1000

// note remembers who was missing from a page.
func (l *listing) note(page v1.Page) {
	l.partial = l.partial || !page.Complete
	for _, p := range page.Missing {
		if !slices.Contains(l.missing, p) {
			l.missing = append(l.missing, p)
		}
	}
}

// listWriter prints a listing while it arrives.
type listWriter interface {
	page(entries []v1.Entry) error
	// end is called once, also after a failure: then whole is false.
	end(l *listing, whole bool) error
}

func (a *app) listWriter(l listing) listWriter {
	switch {
	case a.json:
		return &jsonList{w: a.stdout}
	case l.long:
		return &longList{w: a.stdout}
	}
	return &plainList{w: a.stdout}
}

type plainList struct{ w io.Writer }

func (p *plainList) page(entries []v1.Entry) error {
	for _, e := range entries {
		if _, err := fmt.Fprintln(p.w, printable(e.Key)); err != nil {
			return err
		}
	}
	return nil
}

func (p *plainList) end(*listing, bool) error { return nil }

// longList aligns each page by itself, so that it can print before it has seen everything.
type longList struct{ w io.Writer }

func (p *longList) page(entries []v1.Entry) error {
	table := newTable(p.w)
	for _, e := range entries {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", printable(e.Version), e.Size, expiry(e.Expires), printable(e.Author), printable(e.Key))
	}
	return table.Flush()
}

func (p *longList) end(*listing, bool) error { return nil }

// jsonList writes one document however long the list is, without holding it in memory.
type jsonList struct {
	w     io.Writer
	begun bool
}

func (j *jsonList) page(entries []v1.Entry) error {
	for _, e := range entries {
		before := ",\n    "
		if !j.begun {
			before, j.begun = "{\n  \"records\": [\n    ", true
		}
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(j.w, "%s%s", before, b); err != nil {
			return err
		}
	}
	return nil
}

func (j *jsonList) end(l *listing, whole bool) error {
	if !j.begun && !whole {
		return nil // nothing was listed: the error says it all
	}
	missing := l.missing
	if missing == nil {
		missing = []string{}
	}
	b, err := json.Marshal(missing)
	if err != nil {
		return err
	}
	before := "\n  ]"
	if !j.begun {
		before = "{\n  \"records\": []"
	}
	_, err = fmt.Fprintf(j.w, "%s,\n  \"complete\": %t,\n  \"truncated\": %t,\n  \"missing\": %s\n}\n", before, whole && !l.partial, l.cut, b)
	return err
}
