package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/records/disk"
)

// errLiar marks a member that told of a version and could not show it.
var errLiar = fault.New(fault.Unavailable, "told of a version that it does not have")

// A reply is what one member knows of a record.
type reply struct {
	standpoint
	found bool
	rank  disk.Rank
	rec   *signed // nil when only the rank was asked for
}

// errBehind marks the answer of a member that does not count: it is catching up, or holds no copy by right.
var errBehind = errors.New("is not in sync yet")

// Get returns the newest version that a quorum of holders knows. It is fault.NotFound when a quorum that is in sync says that there is none, or that it was deleted or has expired;
// fault.Unavailable when too few answered, or not enough of them are in sync, or what they have is older than what the session, or this node, has seen.
func (s *Store) Get(ctx context.Context, text string, opts GetOptions) (r Record, err error) {
	if err := s.enter(); err != nil {
		return Record{}, err
	}
	defer s.tasks.Done()
	if isForeign(text) {
		return s.foreign.get(ctx, text, opts)
	}
	ctx, span := tracing.Start(ctx, "get")
	defer tracing.End(span, &err)
	defer s.metrics.begin("get")(&err)
	defer s.pace.begin()()
	key, err := ParseKey(text)
	if err != nil {
		return Record{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	hash := key.hash()
	place, err := s.locate(ctx, disk.ShardOf(hash))
	if err != nil {
		return Record{}, fmt.Errorf("read %q: %w", text, err)
	}
	found, err := s.readFor(ctx, key, hash, &place, opts)
	if err != nil {
		return Record{}, err
	}
	rec := found.rec
	session := opts.Session
	if rec != nil {
		_ = s.holder.clock.observe(rec.version().Time) // too far ahead: read it all the same
		session = session.with(hash, rec.head.Rank)
	}
	if rec == nil || rec.head.Deleted || expired(&rec.head, millis(s.cfg.Now())) {
		return Record{}, fault.New(fault.NotFound, "no record %q", text)
	}
	r = rec.record()
	r.Stored, r.Wanted, r.Copies, r.Session = found.stored, place.wanted, s.cfg.Copies, session
	return r, nil
}

// A finding is what a read found.
type finding struct {
	rec    *signed // nil: none; may be a tombstone or have expired
	stored int     // holders that are known to have exactly this version
}

func (f *finding) rank() disk.Rank {
	if f.rec == nil {
		return disk.Rank{}
	}
	return f.rec.head.Rank
}

// readFor reads as the session allows: what it, or anybody through this node, has seen is not taken back.
func (s *Store) readFor(ctx context.Context, key Key, hash disk.Hash, p *placement, opts GetOptions) (finding, error) {
	f, err := s.read(ctx, key, hash, p, opts.Consistency)
	if err != nil || s.allows(opts.Session, hash, f.rank()) {
		return f, err
	}
	// A quorum knows less than was seen: the rest may know it.
	if f, err = s.read(ctx, key, hash, p, All); err == nil && s.allows(opts.Session, hash, f.rank()) {
		return f, nil
	}
	return finding{}, fault.New(fault.Unavailable, "read %q: a newer version was seen before, and the holders that have it do not answer; try again or check `moot holders`", key.text)
}

// allows reports whether a version may be shown. The seen one may be gone once it may have been swept.
func (s *Store) allows(session Session, hash disk.Hash, rank disk.Rank) bool {
	if rank == (disk.Rank{}) {
		old := timestampOf(s.cfg.Now().Add(-keepExpired))
		return s.floors.allowsNone(hash, old) && session.allowsNone(hash, old)
	}
	if !session.allows(hash, rank) || !s.floors.allows(hash, rank) {
		return false
	}
	s.floors.raise(hash, rank)
	return true
}

// read returns the newest version, tombstones and expired ones included.
func (s *Store) read(ctx context.Context, key Key, hash disk.Hash, p *placement, level Consistency) (finding, error) {
	order := s.askOrder(p.topology, p.holders)
	need := level.needed(p.topology)
	ask := func(ctx context.Context, i int, extra bool) (reply, error) {
		return s.askReply(ctx, key, hash, p, i, !extra, level)
	}
	outcomes := gather(s, ctx, p.topology, order, need, ask)
	for {
		answered, _ := newest(outcomes)
		switch {
		case answered < need && bringForward(outcomes):
			continue
		case answered < need && anyBehind(outcomes) && !asked(outcomes, p):
			rest := p.others()
			outcomes = append(outcomes, gather(s, ctx, p.topology, rest, need-answered, ask)...)
			if len(rest) > 0 {
				continue
			}
		}
		answered, best := newest(outcomes)
		if best == nil {
			return finding{}, s.absent(key, p, answered, outcomes)
		}
		// Where too few count, as in a network that has just begun, as many holders as are needed say what there is.
		if answered < need && heard(p, outcomes, answered > 0) < need {
			return finding{}, s.tooFew(key, p, answered, need, outcomes)
		}
		rec := best.rec
		if rec == nil {
			var err error
			if rec, err = s.fetch(ctx, key, hash, p, best.rank, outcomes); err != nil {
				return finding{}, err
			}
		}
		if rec == nil {
			outcomes = s.replaceLiars(ctx, p, order, best.rank, outcomes, need, ask)
			continue
		}
		stored, ok := s.writeBack(ctx, p, rec, outcomes, level)
		if !ok {
			return finding{}, fault.New(fault.Unavailable, "read %q: version %s is at %d of %d holders, and the others could not be brought it in time; try again",
				key.text, rec.version(), stored, p.quorum)
		}
		return finding{rec, stored}, nil
	}
}

// asked reports whether members beside the holders were asked already.
func asked(outcomes []outcome[reply], p *placement) bool {
	return slices.ContainsFunc(outcomes, func(o outcome[reply]) bool { return !slices.Contains(p.holders, o.member) })
}

func anyBehind(outcomes []outcome[reply]) bool {
	return slices.ContainsFunc(outcomes, func(o outcome[reply]) bool { return o.err == errBehind })
}

// heard returns how many holders answered that call themselves holders, those that do not count yet included. Where somebody counts the network has not just begun, and it has not stopped at once:
// those that were synced before they stopped, or were cut off, may then have missed what others acknowledged.
func heard(p *placement, outcomes []outcome[reply], others bool) (n int) {
	for _, o := range outcomes {
		said := o.answer.standpoint
		if !slices.Contains(p.holders, o.member) || o.err == errBehind && (said.level == LevelNone || others && said.resumed) {
			continue
		}
		if o.err == nil || o.err == errBehind {
			n++
		}
	}
	return n
}

// absent decides about a key that nobody who answered knows: nil says that there is no record.
func (s *Store) absent(key Key, p *placement, answered int, outcomes []outcome[reply]) error {
	certain := 0
	for _, o := range outcomes {
		if (o.err == nil || o.err == errBehind) && o.answer.certain() {
			certain++
		}
	}
	if certain >= p.quorum {
		return nil
	}
	if !p.shadowed && !p.view.Partial && s.joined() && s.everybodyAnswered(p, outcomes) {
		return nil // all who are there were asked
	}
	return s.tooFew(key, p, certain, p.quorum, outcomes)
}

func (s *Store) everybodyAnswered(p *placement, outcomes []outcome[reply]) bool {
	for i := range p.members {
		if i >= maxWalk {
			return false
		}
		if !p.members[i].here() {
			continue
		}
		if !slices.ContainsFunc(outcomes, func(o outcome[reply]) bool { return o.member == i && (o.err == nil || o.err == errBehind) }) {
			return false
		}
	}
	return true
}

// askReply asks one member for the record or its rank.
func (s *Store) askReply(ctx context.Context, key Key, hash disk.Hash, p *placement, i int, whole bool, level Consistency) (reply, error) {
	req := request{op: opGetVersion, hash: hash}
	if whole {
		req.op = opGet
	}
	m := p.member(i)
	resp, err := s.ask(ctx, m, &req, req.marshal())
	if ctx.Err() == nil { // else nobody waited for it
		s.heed(p, i, resp.standing, err)
	}
	if err != nil {
		return reply{}, err
	}
	r := reply{found: resp.status != statusNone, standpoint: resp.standing}
	switch {
	case !r.found:
	case !whole:
		r.rank = resp.rank
	default:
		rec, err := s.holder.records.open(resp.envelope, m.ID == s.self)
		if err != nil {
			s.conduct.blame(m.ID, forged)
			return reply{}, fmt.Errorf("record from %s: %w", m.ID, err)
		}
		if rec.head.Key != key.text {
			s.conduct.blame(m.ID, forged)
			return reply{}, fault.New(fault.Invalid, "record from %s: key %q instead of %q", m.ID, rec.head.Key, key.text)
		}
		if err := s.holder.authored(&rec.head); fault.KindOf(err) == fault.Forbidden {
			return reply{standpoint: resp.standing}, err // it is about to be removed there
		}
		r.rank, r.rec = rec.head.Rank, &rec
	}
	if r.found {
		if err := s.putOff(r.rank); err != nil {
			return r, err
		}
	}
	if r.behind(level) {
		return r, errBehind
	}
	return r, nil
}

// behind reports whether a reply does not count.
func (r *reply) behind(level Consistency) bool {
	switch {
	case level == One:
		return !r.found
	case r.found:
		return !r.level.counts()
	}
	return !r.certain()
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

// newest returns how many answers count, and of all that were given the one with the greatest rank, whole if there is a whole one, or nil when nobody knows the record.
func newest(outcomes []outcome[reply]) (answered int, best *reply) {
	for i := range outcomes {
		if outcomes[i].err == nil {
			answered++
		} else if outcomes[i].err != errBehind {
			continue
		}
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
func (s *Store) fetch(ctx context.Context, key Key, hash disk.Hash, p *placement, rank disk.Rank, outcomes []outcome[reply]) (*signed, error) {
	var order []int
	for _, o := range outcomes {
		if (o.err == nil || o.err == errBehind) && o.answer.found && o.answer.rank == rank {
			order = append(order, o.member)
		}
	}
	fetched := gather(s, ctx, p.topology, order, 1, func(ctx context.Context, i int, _ bool) (reply, error) {
		r, err := s.askReply(ctx, key, hash, p, i, true, One)
		switch {
		case err != nil && err != errAhead && err != errBehind:
			return reply{}, err
		case !r.found: // it may have handed it over meanwhile
			return reply{}, errLiar
		case r.rank.Compare(rank) < 0:
			s.conduct.blame(p.id(i), lied)
			return reply{}, errLiar
		}
		return r, nil // a version that is ahead was brought forward, or came in just now
	})
	if _, best := newest(fetched); best != nil {
		return best.rec, nil
	}
	return nil, ctx.Err()
}

// replaceLiars counts those who told of a version and could not show it as not having answered, and asks as many others as are needed.
func (s *Store) replaceLiars(ctx context.Context, p *placement, order []int, rank disk.Rank, outcomes []outcome[reply], need int, ask func(context.Context, int, bool) (reply, error)) []outcome[reply] {
	for i := range outcomes {
		if o := &outcomes[i]; (o.err == nil || o.err == errBehind) && o.answer.rank == rank {
			o.answer, o.err = reply{}, errLiar
		}
	}
	answered, _ := newest(outcomes)
	rest := slices.DeleteFunc(slices.Clone(order), func(i int) bool {
		return slices.ContainsFunc(outcomes, func(o outcome[reply]) bool { return o.member == i })
	})
	return append(outcomes, gather(s, ctx, p.topology, rest, need-answered, func(ctx context.Context, i int, _ bool) (reply, error) {
		return ask(ctx, i, false)
	})...)
}

// writeBack brings a version that was read to the holders that answered and lack it, and returns how many are known to have it. Where those who have it are fewer than a quorum it waits for
// that, so that a later read does not find less than this one: ok is false when that could not be had in time. Holders that refuse to store it, or are cut off, are not waited for.
func (s *Store) writeBack(ctx context.Context, p *placement, rec *signed, outcomes []outcome[reply], level Consistency) (stored int, ok bool) {
	var lacking []int
	for _, o := range outcomes {
		switch {
		case o.err != nil && o.err != errBehind || !slices.Contains(p.holders, o.member):
		case o.answer.found && o.answer.rank == rec.head.Rank:
			stored++
		case !o.answer.found || o.answer.rank.Compare(rec.head.Rank) < 0:
			lacking = append(lacking, o.member)
			s.hold(p, &o, rec.key.hash())
		}
	}
	if len(lacking) == 0 || s.stale(&rec.head) {
		return stored, true
	}
	s.metrics.readRepairs(len(lacking))
	results := s.send(ctx, p, lacking, rec)
	if level == One {
		return stored, true
	}
	for range lacking {
		if stored >= p.quorum {
			break
		}
		select {
		case o := <-results:
			_, refused := errors.AsType[*refusedError](o.err)
			switch {
			case o.err == nil: // stored, or overtaken
				stored++
				s.promises.kept.Add(promise{p.id(o.member), rec.key.hash()}, rec.head.Rank)
			case !refused && !errors.Is(o.err, errSpared):
				return stored, false
			}
		case <-ctx.Done():
			return stored, false
		}
	}
	return stored, true
}

// tooFew is the error of a read for which fewer than needed gave an answer that counts.
func (s *Store) tooFew(key Key, p *placement, answered, need int, outcomes []outcome[reply]) error {
	var b strings.Builder
	fmt.Fprintf(&b, "read %q: %d of %d holders needed answered in sync (wanted %d)", key.text, answered, need, p.wanted)
	if len(p.holders) < p.wanted {
		fmt.Fprintf(&b, "; %d of the %d peers known are dead", p.dead(), len(p.members))
	} else if p.shadowed {
		b.WriteString("; peers that may have it are dead or away")
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
