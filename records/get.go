package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// readTimeout bounds how long a caller waits for an answer.
	readTimeout = 1200 * time.Millisecond
	// searchTimeout bounds how long a read looks beyond a quorum that knows nothing before it says "not found".
	searchTimeout = 300 * time.Millisecond
	// searchFactor times the copies configured is how many members besides the holders it asks then.
	searchFactor = 2
)

// errLiar marks a member that told of a version and could not show it.
var errLiar = fault.New(fault.Unavailable, "told of a version that it does not have")

// A reply is what one member knows of a record.
type reply struct {
	found bool
	rank  disk.Rank
	rec   *signed // nil when only the rank was asked for
}

// Get returns the newest version that a quorum of holders knows. It is fault.NotFound when a quorum says that there is none, or that it was
// deleted or has expired, and nobody else who was asked knows better; fault.Unavailable when fewer than a quorum answered.
func (s *Store) Get(ctx context.Context, text string) (r Record, err error) {
	if err := s.enter(); err != nil {
		return Record{}, err
	}
	defer s.tasks.Done()
	defer s.metrics.begin("get")(&err)
	key, err := ParseKey(text)
	if err != nil {
		return Record{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	place := s.currentTopology().place(key.hash())
	rec, err := s.read(ctx, key, &place)
	if err != nil {
		return Record{}, err
	}
	if rec != nil {
		_ = s.holder.clock.observe(rec.version().Time) // too far ahead: read it all the same
	}
	if rec == nil || rec.head.Deleted || expired(&rec.head, millis(s.cfg.Now())) {
		return Record{}, fault.New(fault.NotFound, "no record %q", text)
	}
	return rec.record(), nil
}

// read returns the newest record, tombstones and expired ones included, or nil when there is none.
func (s *Store) read(ctx context.Context, key Key, p *placement) (*signed, error) {
	order := s.askOrder(p.topology, p.holders)
	outcomes := gather(s, ctx, p.topology, order, p.quorum, func(ctx context.Context, i int, extra bool) (reply, error) {
		return s.askReply(ctx, key, p, i, !extra)
	})
	for {
		answered, best := newest(outcomes)
		switch {
		case answered < p.quorum && bringForward(outcomes):
			continue
		case answered < p.quorum:
			return nil, s.tooFew(key, p, answered, outcomes)
		case best == nil:
			return s.search(ctx, key, p, outcomes)
		case best.rec != nil:
			return best.rec, nil
		}
		rec, err := s.fetch(ctx, key, p, best.rank, outcomes)
		if rec != nil || err != nil {
			return rec, err
		}
		outcomes = s.replaceLiars(ctx, key, p, order, best.rank, outcomes)
	}
}

// askReply asks one member for the record or its rank.
func (s *Store) askReply(ctx context.Context, key Key, p *placement, i int, whole bool) (reply, error) {
	req := request{op: opGetVersion, hash: p.hash}
	if whole {
		req.op = opGet
	}
	m := p.member(i)
	resp, err := s.ask(ctx, m, &req, req.marshal())
	if err != nil || resp.status == statusNone {
		return reply{}, err
	}
	if !whole {
		return reply{found: true, rank: resp.rank}, s.putOff(resp.rank)
	}
	rec, err := s.holder.records.open(resp.envelope, m.ID == s.self)
	if err != nil {
		return reply{}, fmt.Errorf("record from %s: %w", m.ID, err)
	}
	if rec.head.Key != key.text {
		return reply{}, fault.New(fault.Invalid, "record from %s: key %q instead of %q", m.ID, rec.head.Key, key.text)
	}
	return reply{found: true, rank: rec.head.Rank, rec: &rec}, s.putOff(rec.head.Rank)
}

// errAhead marks the reply of a member that has a version too far ahead of the clock. The write that left it there was put off by the others, unless all clocks were
// wrong then: so others are asked, and it counts only where they are too few.
var errAhead = errors.New("has a version that is ahead of the clock")

func (s *Store) putOff(rank disk.Rank) error {
	if checkAhead(versionOf(rank).Time, s.cfg.Now()) != nil {
		return errAhead
	}
	return nil
}

// bringForward makes replies count that were put off. It reports whether there were any.
func bringForward(outcomes []outcome[reply]) bool {
	any := false
	for i := range outcomes {
		if outcomes[i].err == errAhead {
			outcomes[i].err = nil
			any = true
		}
	}
	return any
}

// newest returns how many members answered and the reply with the greatest rank, whole if there is a whole one, or nil when nobody knows the record.
func newest(outcomes []outcome[reply]) (answered int, best *reply) {
	for i := range outcomes {
		if outcomes[i].err != nil {
			continue
		}
		answered++
		r := &outcomes[i].answer
		if !r.found {
			continue
		}
		if best == nil || r.rank.Compare(best.rank) > 0 || r.rank == best.rank && best.rec == nil {
			best = r
		}
	}
	return answered, best
}

// fetch gets the whole record from those who said that they have it at the given rank. It returns nil when none of them could show it.
func (s *Store) fetch(ctx context.Context, key Key, p *placement, rank disk.Rank, outcomes []outcome[reply]) (*signed, error) {
	var order []int
	for _, o := range outcomes {
		if o.err == nil && o.answer.found && o.answer.rank == rank {
			order = append(order, o.member)
		}
	}
	fetched := gather(s, ctx, p.topology, order, 1, func(ctx context.Context, i int, _ bool) (reply, error) {
		r, err := s.askReply(ctx, key, p, i, true)
		switch {
		case err != nil && err != errAhead:
			return reply{}, err
		case !r.found || r.rank.Compare(rank) < 0:
			return reply{}, errLiar
		}
		return r, nil // a version that is ahead was brought forward, or came in just now
	})
	if _, best := newest(fetched); best != nil {
		return best.rec, nil
	}
	return nil, ctx.Err()
}

// replaceLiars counts those who told of a version and could not show it as not having answered, and asks as many others as are needed for a quorum.
func (s *Store) replaceLiars(ctx context.Context, key Key, p *placement, order []int, rank disk.Rank, outcomes []outcome[reply]) []outcome[reply] {
	for i := range outcomes {
		if o := &outcomes[i]; o.err == nil && o.answer.rank == rank {
			o.answer, o.err = reply{}, errLiar
		}
	}
	answered, _ := newest(outcomes)
	rest := slices.DeleteFunc(slices.Clone(order), func(i int) bool {
		return slices.ContainsFunc(outcomes, func(o outcome[reply]) bool { return o.member == i })
	})
	return append(outcomes, gather(s, ctx, p.topology, rest, p.quorum-answered, func(ctx context.Context, i int, _ bool) (reply, error) {
		return s.askReply(ctx, key, p, i, true)
	})...)
}

// search looks beyond the quorum that knows nothing: at the other holders, and at the next nearest members, who held the key before the view grew. It returns nil when
// none of them knows the record either.
func (s *Store) search(ctx context.Context, key Key, p *placement, outcomes []outcome[reply]) (*signed, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	members := append(slices.Clone(p.holders), p.further(searchFactor*s.cfg.Copies)...)
	members = slices.DeleteFunc(members, func(i int) bool {
		return slices.ContainsFunc(outcomes, func(o outcome[reply]) bool { return o.member == i && o.err == nil })
	})
	found := gather(s, ctx, p.topology, members, len(members), func(ctx context.Context, i int, _ bool) (reply, error) {
		return s.askReply(ctx, key, p, i, true)
	})
	if _, best := newest(found); best != nil {
		return best.rec, nil
	}
	return nil, nil
}

// tooFew is the error of a read that fewer than a quorum answered.
func (s *Store) tooFew(key Key, p *placement, answered int, outcomes []outcome[reply]) error {
	var b strings.Builder
	fmt.Fprintf(&b, "read %q: %d of %d holders needed answered (wanted %d)", key.text, answered, p.quorum, p.wanted)
	if len(p.holders) < p.wanted {
		fmt.Fprintf(&b, "; %d of the %d peers known are dead", len(p.hashes)-len(p.holders), len(p.hashes))
	}
	for _, i := range p.holders {
		at := slices.IndexFunc(outcomes, func(o outcome[reply]) bool { return o.member == i })
		switch {
		case at < 0:
			fmt.Fprintf(&b, "; %s did not answer", p.id(i))
		case outcomes[at].err != nil:
			fmt.Fprintf(&b, "; %s %s", p.id(i), complaint(outcomes[at].err))
		}
	}
	b.WriteString("; try again or check `moot peers`")
	return fault.New(fault.Unavailable, "%s", b.String())
}
