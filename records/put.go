package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// backgroundTimeout bounds how long a write goes on after its caller has been answered towards holders that have not answered.
const backgroundTimeout = 5 * time.Second

// Put writes a record and returns when as many copies are on disk as opts.Consistency says. Errors are of kind fault.Invalid, fault.TooLarge or
// fault.Forbidden when the record can't be accepted as it is; fault.Conflict when opts.If is not met; fault.Full when holders have no room, and fault.Unavailable when too few could be reached: the write may then still
// take effect. value is not used after Put has returned.
func (s *Store) Put(ctx context.Context, key string, value []byte, opts PutOptions) (Written, error) {
	if opts.TTL < 0 || opts.TTL > 0 && opts.TTL < time.Millisecond {
		return Written{}, fault.New(fault.Invalid, "time to live %s: want 0, which is for ever, or at least 1ms", opts.TTL)
	}
	return s.write(ctx, "put", key, value, false, opts)
}

// Delete writes a tombstone over a record, whether there is one or not. Errors are those of Put.
func (s *Store) Delete(ctx context.Context, key string, opts PutOptions) (Written, error) {
	if opts.TTL != 0 {
		return Written{}, fault.New(fault.Invalid, "a deletion has no time to live")
	}
	return s.write(ctx, "delete", key, nil, true, opts)
}

func (s *Store) write(ctx context.Context, operation, text string, value []byte, deleted bool, opts PutOptions) (w Written, err error) {
	if err := s.enter(); err != nil {
		return Written{}, err
	}
	defer s.tasks.Done()
	ctx, span := tracing.Start(ctx, operation)
	defer tracing.End(span, &err)
	defer s.metrics.begin(operation)(&err)
	defer s.pace.begin()()
	key, err := ParseKey(text)
	if err != nil {
		return Written{}, err
	}
	if err := key.check(s.self, value, deleted); err != nil {
		return Written{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	hash := key.hash()
	place, err := s.locate(ctx, disk.ShardOf(hash))
	if err != nil {
		return Written{}, fmt.Errorf("write %q: %w", text, err)
	}
	if err := place.enough(text, opts.Consistency); err != nil {
		return Written{}, err
	}
	if err := s.holder.clock.observe(opts.Session.newest(hash)); err != nil { // what the session has seen comes before what it writes
		return Written{}, fmt.Errorf("write %q: %w", text, err)
	}
	p := payload{deleted: deleted, key: []byte(text), value: value}
	var rec signed
	var t *tally
	if opts.If == (Condition{}) {
		rec, t, err = s.writePlain(ctx, key, &p, &place, opts)
	} else {
		rec, t, err = s.writeIf(ctx, key, hash, &p, &place, opts)
	}
	if err != nil {
		return Written{}, err
	}
	s.floors.raise(hash, rec.head.Rank)
	w = s.written(t, text, rec.version())
	w.Session = opts.Session.with(hash, rec.head.Rank)
	w.Expires = timeOf(rec.head.Expires)
	return w, nil
}

// writePlain stamps and writes; where it meets a newer version it does so once more.
func (s *Store) writePlain(ctx context.Context, key Key, p *payload, place *placement, opts PutOptions) (_ signed, _ *tally, err error) {
	for _, final := range []bool{false, true} {
		// A record of its own for each attempt: what was sent first may still be stored while the second is stamped.
		rec, err2 := s.stamp(ctx, key, p, opts.TTL)
		if err2 != nil {
			return signed{}, nil, err2
		}
		t := s.replicateRecord(ctx, place, opts.Consistency, final, &rec)
		if t.acknowledged() {
			return rec, t, nil
		}
		if err = t.err(key.text); !t.superseded() || s.holder.clock.observe(versionOf(t.newest).Time) != nil {
			break
		}
	}
	return signed{}, nil, err
}

func (s *Store) replicateRecord(ctx context.Context, place *placement, level Consistency, final bool, rec *signed) *tally {
	return s.replicate(ctx, place, level, final, opPut, rec.envelope, func(ctx context.Context) response {
		return s.holder.put(ctx, rec)
	})
}

func (s *Store) written(t *tally, key string, v Version) Written {
	return Written{Key: key, Version: v, Author: s.self, Stored: len(t.stored), Wanted: t.wanted, Copies: s.cfg.Copies}
}

// stamp gives the payload the present time and signs it.
func (s *Store) stamp(ctx context.Context, key Key, p *payload, ttl time.Duration) (signed, error) {
	var err error
	if p.time, err = s.holder.clock.next(ctx); err != nil {
		return signed{}, fmt.Errorf("stamp %q: %w", key.text, err)
	}
	if ttl > 0 {
		p.expires = millis(p.time.Time()) + uint64(ttl.Milliseconds())
	}
	rec, err := s.holder.records.seal(s.cfg.Key, s.author, key, p)
	if err != nil {
		return signed{}, fmt.Errorf("sign %q: %w", key.text, err)
	}
	return rec, nil
}

// replicate sends an envelope to all that should have it and returns when it is acknowledged, or can't be any more, or ctx is over. What has not answered by then goes on in the background. local
// stores this peer's copy.
func (s *Store) replicate(ctx context.Context, p *placement, level Consistency, final bool, to op, envelope []byte, local func(context.Context) response) *tally {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTally(p, level, final)
	t.alone = !to.standingTells() // provider records are not compared: nobody is in sync in them, or behind
	d := s.newSending(ctx, p, to, envelope, local)
	d.start(t.targets)
	for !t.acknowledged() && !t.hopeless() && !t.outdated() {
		if t.missing() > 0 {
			d.start(s.findSubstitutes(ctx, p, t))
			continue
		}
		select {
		case o := <-d.results:
			t.add(o)
		case <-ctx.Done():
			return t
		}
	}
	t.addReady(d.results)
	if t.acknowledged() {
		d.acknowledged.Store(time.Now().UnixNano())
	}
	return t
}

// findSubstitutes looks for members beside the holders whose answers count, adds as many as are missing to the targets and returns them. Where all who are there were asked and they are too few,
// the write is acknowledged by those that count.
func (s *Store) findSubstitutes(ctx context.Context, p *placement, t *tally) []int {
	req := request{op: opGetVersion, hash: p.shard.First()} // any key of the shard shows the standpoint
	encoded := req.marshal()
	rest := slices.DeleteFunc(slices.Clone(p.others()), func(i int) bool { return slices.Contains(t.targets, i) })
	missing := t.missing()
	outcomes := gather(s, ctx, p.topology, rest, missing, func(ctx context.Context, i int, _ bool) (standpoint, error) {
		resp, err := s.ask(ctx, p.member(i), &req, encoded)
		if err == nil && !resp.standing.level.counts() {
			err = errBehind
		}
		return resp.standing, err
	})
	var found []int
	silent := false
	for _, o := range outcomes {
		switch {
		case o.err == nil && len(found) < missing:
			found = append(found, o.member)
		case o.err != nil && o.err != errBehind && p.members[o.member].state == routing.Alive:
			silent = true
		}
	}
	t.behind -= len(found)
	t.targets = append(t.targets, found...)
	t.alone = len(found) < missing && !silent && ctx.Err() == nil
	if len(found) < missing && !t.alone {
		t.behind = 0 // nothing more can be had
	}
	return found
}

// A sending is one envelope on its way to members.
type sending struct {
	s       *Store
	ctx     context.Context // of the caller, who waits for room in backlogs
	p       *placement
	to      op
	encoded []byte
	local   func(context.Context) response
	results chan outcome[response] // has room for every member

	stored       atomic.Int32 // holders that have it
	acknowledged atomic.Int64 // Unix nanoseconds; 0: not yet
}

// count notes that a holder has it, and measures how long after the acknowledgement all wanted have.
func (d *sending) count() {
	if int(d.stored.Add(1)) != d.p.wanted {
		return
	}
	after := time.Duration(0) // before it
	if at := d.acknowledged.Load(); at != 0 {
		after = time.Since(time.Unix(0, at))
	}
	d.s.metrics.full(after)
}

func (s *Store) newSending(ctx context.Context, p *placement, to op, envelope []byte, local func(context.Context) response) *sending {
	req := request{op: to, envelope: envelope}
	return &sending{s: s, ctx: ctx, p: p, to: to, encoded: req.marshal(), local: local, results: make(chan outcome[response], len(p.members))}
}

// start sends to members; those who wait for the results may leave earlier.
func (d *sending) start(members []int) {
	background, done := d.s.background(len(members))
	for _, i := range members {
		d.s.tasks.Go(func() {
			defer done()
			resp, err := d.s.deliver(d.ctx, background, d.p.member(i), d.to, d.encoded, d.local)
			if d.to.standingTells() {
				d.s.heed(d.p, i, resp.standing, err)
			}
			if err == nil && d.to == opPut && slices.Contains(d.p.holders, i) {
				d.count()
			}
			d.results <- outcome[response]{i, resp, err}
			if err != nil && d.to == opPut {
				d.failed(background, i, err)
			}
		})
	}
}

// failed is what is done about a member that a record did not reach. Where the connection was lost the record is sent once more: unless this peer is a holder, nobody else knows that the member
// lacks it.
func (d *sending) failed(background context.Context, i int, err error) {
	if errors.Is(err, rpc.ErrStreamLost) || errors.Is(err, rpc.ErrUnreachable) {
		select {
		case <-time.After(retryPause):
			again := tracing.Carry(background, d.ctx)
			_, err = d.s.deliver(again, again, d.p.member(i), d.to, d.encoded, d.local)
		case <-background.Done():
		}
	}
	if err != nil {
		d.s.table.differ(d.p.shard, d.p.id(i), d.s.cfg.Now())
	} else if slices.Contains(d.p.holders, i) {
		d.count()
	}
}

// send brings a record to members, in the background.
func (s *Store) send(ctx context.Context, p *placement, members []int, rec *signed) <-chan outcome[response] {
	d := s.newSending(ctx, p, opPut, rec.envelope, func(ctx context.Context) response { return s.holder.put(ctx, rec) })
	d.start(members)
	return d.results
}

// background returns a context for n deliveries that outlive their caller; each calls done at its end.
func (s *Store) background(n int) (ctx context.Context, done func()) {
	ctx, cancel := context.WithTimeout(s.ctx, backgroundTimeout)
	left := new(atomic.Int32)
	left.Store(int32(n))
	if n == 0 {
		cancel()
	}
	return ctx, func() {
		if left.Add(-1) == 0 {
			cancel()
		}
	}
}

// deliver brings a write to one member. ctx bounds the waiting for a place in the member's backlog, background all the rest: what was sent is waited for though
// ctx is over.
func (s *Store) deliver(ctx, background context.Context, m *routing.Member, to op, encoded []byte, local func(context.Context) response) (resp response, err error) {
	background = tracing.Carry(background, ctx)
	leave, err := s.backlogs.enter(ctx, m.ID, len(encoded)) // a disk may be slow as well
	if err != nil {
		return response{}, err
	}
	defer leave()
	if m.ID == s.self {
		background, span := tracing.Start(background, to.serveName())
		defer tracing.End(span, &err)
		resp = local(background)
		return resp, resp.err()
	}
	resp, err = s.call(background, m, to, encoded)
	if err == nil && resp.status == statusNewer {
		err = checkAhead(versionOf(resp.rank).Time, s.cfg.Now())
	}
	return resp, err
}

// addReady counts the answers that have come already.
func (t *tally) addReady(results <-chan outcome[response]) {
	for {
		select {
		case o := <-results:
			t.add(o)
		default:
			return
		}
	}
}
