package records

import (
	"context"
	"fmt"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// writeTimeout bounds how long a caller waits for a write to be acknowledged.
	writeTimeout = 1200 * time.Millisecond
	// backgroundTimeout bounds how long a write goes on after that towards holders that have not answered.
	backgroundTimeout = 5 * time.Second
	// maxStamps is how often a write is stamped anew because holders have newer versions.
	maxStamps = 5
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
	for attempt := 1; ; attempt++ {
		rec, err := s.stamp(ctx, key, &p, ttl)
		if err != nil {
			return Written{}, err
		}
		tally := s.replicate(ctx, &placement, level, attempt < maxStamps, opPut, rec.envelope, func(ctx context.Context) response {
			return s.holder.put(ctx, &rec)
		})
		if tally.superseded() && attempt < maxStamps && s.catchUp(tally) {
			continue
		}
		if !tally.acknowledged() {
			return Written{}, tally.err(text)
		}
		w := s.written(tally, text, rec.version())
		if !deleted { // when a tombstone goes is of no use to the caller
			w.Expires = timeOf(rec.head.Expires)
		}
		return w, nil
	}
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

// catchUp merges the newest version that holders have into the clock, so that the next stamp is newer. A version that is too far ahead is no reason to try again.
func (s *Store) catchUp(t *tally) bool {
	return s.holder.clock.observe(versionOf(t.newest).Time) == nil
}

// replicate sends an envelope to all that should have it and returns when that is decided or ctx is over, or as soon as a holder has a newer version if the caller minds.
// What has not answered by then goes on in the background. local stores this peer's copy.
func (s *Store) replicate(ctx context.Context, p *placement, level Consistency, mindNewer bool, to op, envelope []byte, local func(context.Context) response) *tally {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTally(p, level)
	req := request{op: to, envelope: envelope}
	encoded := req.marshal()
	results := make(chan outcome[response], len(t.targets))
	for _, i := range t.targets {
		s.tasks.Go(func() {
			resp, err := s.deliver(ctx, p.member(i), to, encoded, local)
			results <- outcome[response]{i, resp, err}
		})
	}
	for !t.acknowledged() && !t.hopeless() {
		select {
		case o := <-results:
			t.add(o)
		case <-ctx.Done():
			return t
		}
		if mindNewer && t.superseded() {
			return t
		}
	}
	t.addReady(results)
	return t
}

// deliver brings a write to one member. ctx bounds the waiting for a place in the member's backlog; what was sent is waited for though ctx is over.
func (s *Store) deliver(ctx context.Context, m *routing.Member, to op, encoded []byte, local func(context.Context) response) (response, error) {
	background, cancel := context.WithTimeout(s.ctx, backgroundTimeout)
	defer cancel()
	if m.ID == s.self {
		resp := local(background)
		return resp, resp.err()
	}
	leave, err := s.backlogs.enter(ctx, m.ID, len(encoded))
	if err != nil {
		return response{}, err
	}
	defer leave()
	return s.call(background, m, to, encoded)
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
