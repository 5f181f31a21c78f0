package records

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// writeTimeout bounds how long a caller waits for a write to be acknowledged.
	writeTimeout = 1200 * time.Millisecond
	// backgroundTimeout bounds how long a write goes on after that towards holders that have not answered.
	backgroundTimeout = 5 * time.Second
	// tombstoneTTL is how long deletions are kept, besides keepExpired. A peer that was away for longer may bring back what was deleted.
	tombstoneTTL = 30 * 24 * time.Hour
)

// Put writes a record and returns when as many copies are on disk as opts.Consistency says. Errors are of kind fault.Invalid, fault.TooLarge or
// fault.Forbidden when the record can't be accepted as it is; fault.Full when holders have no room, and fault.Unavailable when too few could be reached: the write may then still
// take effect. value is not used after Put has returned.
func (s *Store) Put(ctx context.Context, key string, value []byte, opts PutOptions) (Written, error) {
	if opts.TTL < 0 || opts.TTL > 0 && opts.TTL < time.Millisecond {
		return Written{}, fault.New(fault.Invalid, "time to live %s: want 0, which is for ever, or at least 1ms", opts.TTL)
	}
	return s.write(ctx, "put", key, value, false, opts.TTL, opts.Consistency)
}

// Delete writes a tombstone over a record, whether there is one or not. Errors are those of Put.
func (s *Store) Delete(ctx context.Context, key string, opts PutOptions) (Written, error) {
	if opts.TTL != 0 {
		return Written{}, fault.New(fault.Invalid, "a deletion has no time to live")
	}
	return s.write(ctx, "delete", key, nil, true, tombstoneTTL, opts.Consistency)
}

func (s *Store) write(ctx context.Context, operation, text string, value []byte, deleted bool, ttl time.Duration, level Consistency) (w Written, err error) {
	if err := s.enter(); err != nil {
		return Written{}, err
	}
	defer s.tasks.Done()
	defer s.metrics.begin(operation)(&err)
	key, err := ParseKey(text)
	if err != nil {
		return Written{}, err
	}
	if err := key.check(s.self, value, deleted); err != nil {
		return Written{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	p := payload{deleted: deleted, key: []byte(text), value: value}
	placement := s.currentTopology().place(key.hash())
	if err := placement.enough(text, level); err != nil {
		return Written{}, err
	}
	for _, final := range []bool{false, true} {
		var rec signed
		if rec, err = s.stamp(ctx, key, &p, ttl); err != nil {
			return Written{}, err
		}
		tally := s.replicate(ctx, &placement, level, final, opPut, rec.envelope, func(ctx context.Context) response {
			return s.holder.put(ctx, &rec)
		})
		if tally.acknowledged() {
			w = s.written(tally, text, rec.version())
			if !deleted { // when a tombstone goes is of no use to the caller
				w.Expires = timeOf(rec.head.Expires)
			}
			return w, nil
		}
		if err = tally.err(text); !tally.superseded() || s.holder.clock.observe(versionOf(tally.newest).Time) != nil {
			break
		}
	}
	return Written{}, err
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

// replicate sends an envelope to all that should have it and returns when it is acknowledged, or can't be any more, or ctx is over. What has not answered by then goes on in the background. local stores this peer's copy.
func (s *Store) replicate(ctx context.Context, p *placement, level Consistency, final bool, to op, envelope []byte, local func(context.Context) response) *tally {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTally(p, level, final)
	req := request{op: to, envelope: envelope}
	encoded := req.marshal()
	results := make(chan outcome[response], len(t.targets))
	background, done := s.background(len(t.targets))
	for _, i := range t.targets {
		s.tasks.Go(func() {
			resp, err := s.deliver(ctx, background, p.member(i), to, encoded, local)
			results <- outcome[response]{i, resp, err}
			done()
		})
	}
	for !t.acknowledged() && !t.hopeless() && !t.outdated() {
		select {
		case o := <-results:
			t.add(o)
		case <-ctx.Done():
			return t
		}
	}
	t.addReady(results)
	return t
}

// background returns a context for n deliveries that outlive their caller; each calls done at its end.
func (s *Store) background(n int) (ctx context.Context, done func()) {
	ctx, cancel := context.WithTimeout(s.ctx, backgroundTimeout)
	left := new(atomic.Int32)
	left.Store(int32(n))
	return ctx, func() {
		if left.Add(-1) == 0 {
			cancel()
		}
	}
}

// deliver brings a write to one member. ctx bounds the waiting for a place in the member's backlog, background all the rest: what was sent is waited for though
// ctx is over.
func (s *Store) deliver(ctx, background context.Context, m *routing.Member, to op, encoded []byte, local func(context.Context) response) (response, error) {
	if m.ID == s.self {
		resp := local(background)
		return resp, resp.err()
	}
	leave, err := s.backlogs.enter(ctx, m.ID, len(encoded))
	if err != nil {
		return response{}, err
	}
	defer leave()
	resp, err := s.call(background, m, to, encoded)
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
