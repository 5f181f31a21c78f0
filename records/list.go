package records

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// maxListCalls bounds the members that are asked at once for one listing.
	maxListCalls = 16
	// listTimeout bounds how long a listing waits for one member's answer; who does not answer is not asked again for the same page.
	listTimeout = time.Second
	// pageTimeout bounds a whole page of a listing.
	pageTimeout = 10 * time.Second
	// minShare is the least number of entries asked of one member at once.
	minShare = 50
)

// List returns a page of the records whose keys start with opts.Prefix, in the order of the keys' bytes. Entries are as the members tell; reading a record
// checks its signature. Members that did not answer are named in the page; an error is returned for an impossible request or when ctx is over.
func (s *Store) List(ctx context.Context, opts ListOptions) (page Page, err error) {
	if err := s.enter(); err != nil {
		return Page{}, err
	}
	defer s.tasks.Done()
	defer s.metrics.begin("list")(&err)
	switch {
	case opts.Limit < 0 || opts.Limit > maxPage:
		return Page{}, fault.New(fault.Invalid, "limit %d: want 1 to %d", opts.Limit, maxPage)
	case len(opts.Prefix) > MaxKey || len(opts.Cursor) > MaxKey:
		return Page{}, fault.New(fault.TooLarge, "prefix or cursor of more than %d bytes", MaxKey)
	}
	if opts.Limit == 0 {
		opts.Limit = maxPage
	}
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	t := s.currentTopology()
	l := listing{store: s, opts: opts, topology: t, now: millis(s.cfg.Now()), share: opts.Limit}
	for i := range t.view.Members {
		m := t.member(i)
		switch {
		case opts.Local && m.ID != s.self:
		case m.State == routing.Dead:
			l.missing = append(l.missing, m.ID)
		default:
			l.members = append(l.members, i)
		}
	}
	if n := len(l.members); n > s.cfg.Copies { // a member has about Copies of n records
		l.share = min(opts.Limit, max(minShare, 2*opts.Limit*s.cfg.Copies/n))
	}
	return l.page(ctx)
}

// A listing is one page of a listing in the making.
type listing struct {
	store    *Store
	opts     ListOptions
	topology *topology
	now      uint64
	share    int   // entries asked of each member at once
	members  []int // those that have answered so far
	missing  []peer.ID
}

// page asks rounds of parts until there are enough entries or no more.
func (l *listing) page(ctx context.Context) (Page, error) {
	var entries []Entry
	cursor := l.opts.Cursor
	for {
		merged, more := l.round(ctx, cursor)
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		for i := range merged {
			h := &merged[i]
			if len(entries) == l.opts.Limit {
				return l.finish(entries, cursor), nil
			}
			cursor = h.Key
			if !h.Deleted && !expired(h, l.now) {
				entries = append(entries, entryOf(h))
			}
		}
		if !more {
			return l.finish(entries, ""), nil
		}
	}
}

func entryOf(h *disk.Head) Entry {
	return Entry{Key: h.Key, Version: versionOf(h.Rank), Author: peerIDOf(h.Author), Size: int64(h.Size), Expires: timeOf(h.Expires)}
}

func (l *listing) finish(entries []Entry, cursor string) Page {
	slices.Sort(l.missing)
	return Page{
		Entries: entries, Cursor: cursor, Missing: l.missing,
		// Of a network that is not all in view, members are missing whose names are not even known.
		Complete: l.opts.Local && len(l.missing) == 0 || !l.opts.Local && !l.topology.view.Partial && len(l.missing) < l.topology.quorum,
	}
}

// A part is what one member has after the cursor.
type part struct {
	heads []disk.Head
	more  bool
	err   error
}

// round asks every member that has answered so far for what comes after the cursor, and merges the answers as far as all of them reach. Where one was cut short,
// there is more.
func (l *listing) round(ctx context.Context, cursor string) (merged []disk.Head, more bool) {
	parts := make([]part, len(l.members))
	req := request{op: opList, limit: l.share, prefix: l.opts.Prefix, after: cursor}
	encoded := req.marshal()
	var group errgroup.Group
	group.SetLimit(maxListCalls)
	for n, i := range l.members {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, listTimeout)
			defer cancel()
			resp, err := l.store.ask(ctx, l.topology.member(i), &req, encoded)
			parts[n] = part{heads: resp.heads, more: resp.more, err: err}
			return nil
		})
	}
	_ = group.Wait() // members' errors are in the parts
	l.dropSilent(parts)
	parts = slices.DeleteFunc(parts, func(p part) bool { return p.err != nil })
	return mergeParts(parts)
}

// dropSilent moves the members that did not answer to the missing ones.
func (l *listing) dropSilent(parts []part) {
	answered := l.members[:0]
	for n, i := range l.members {
		if parts[n].err != nil {
			l.missing = append(l.missing, l.topology.id(i))
		} else {
			answered = append(answered, i)
		}
	}
	l.members = answered
}

// mergeParts returns the newest head of every key up to the first key at which a part was cut short, in order. Parts are sorted and one that is cut short is not empty.
func mergeParts(parts []part) (merged []disk.Head, more bool) {
	horizon := ""
	for i := range parts {
		if p := &parts[i]; p.more {
			if last := p.heads[len(p.heads)-1].Key; !more || last < horizon {
				horizon = last
			}
			more = true
		}
	}
	for i := range parts {
		for _, h := range parts[i].heads {
			if more && h.Key > horizon {
				break
			}
			merged = append(merged, h)
		}
	}
	slices.SortFunc(merged, func(a, b disk.Head) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), b.Rank.Compare(a.Rank))
	})
	return slices.CompactFunc(merged, func(a, b disk.Head) bool { return a.Key == b.Key }), more
}
