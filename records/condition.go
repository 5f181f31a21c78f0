package records

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// maxRetries bounds how often a write on the condition that there is no record is tried, where the key is written meanwhile.
const maxRetries = 3

// firstTimeout bounds how long a conditional write waits for the first holder before it turns to the next.
const firstTimeout = 400 * time.Millisecond

// check says whether what a read found meets the condition.
func (c Condition) check(key string, f *finding, now uint64) error {
	live := f.rec != nil && !f.rec.head.Deleted && !expired(&f.rec.head, now)
	switch {
	case c.Absent && live:
		return fault.New(fault.Conflict, "write %q: there is a record, of version %s", key, f.rec.version())
	case c.Absent:
		return nil
	case !live:
		return fault.New(fault.Conflict, "write %q: there is no record; version %s was expected", key, c.Version)
	case f.rec.version() != c.Version:
		return fault.New(fault.Conflict, "write %q: the record has version %s; %s was expected", key, f.rec.version(), c.Version)
	}
	return nil
}

// writeIf reads, checks the condition, and replaces what was read at the first live holder before it writes to the others. Writers who reach the same first holder exclude one another.
func (s *Store) writeIf(ctx context.Context, key Key, hash disk.Hash, p *payload, place *placement, opts PutOptions) (rec signed, t *tally, err error) {
	for range maxRetries {
		rec, t, err = s.tryIf(ctx, key, hash, p, place, opts)
		switch {
		case !errors.Is(err, errMeanwhile):
			return rec, t, err
		case !opts.If.Absent:
			return signed{}, nil, fault.New(fault.Conflict, "write %q: the record was written meanwhile; version %s was expected", key.text, opts.If.Version)
		}
		// It may have been deleted once more: that is no reason to refuse.
	}
	return signed{}, nil, fault.New(fault.Unavailable, "write %q: others write it all the time; nothing was written; try again", key.text)
}

func (s *Store) tryIf(ctx context.Context, key Key, hash disk.Hash, p *payload, place *placement, opts PutOptions) (signed, *tally, error) {
	before, err := s.readFor(ctx, key, hash, place, GetOptions{Session: opts.Session})
	if err != nil {
		return signed{}, nil, err
	}
	if err := opts.If.check(key.text, &before, millis(s.cfg.Now())); err != nil {
		return signed{}, nil, err
	}
	if before.rec != nil {
		if err := s.holder.clock.observe(before.rec.version().Time); err != nil {
			return signed{}, nil, err
		}
	}
	rec, err := s.stamp(ctx, key, p, opts.TTL)
	if err != nil {
		return signed{}, nil, err
	}
	if err := s.replaceFirst(ctx, key, place, &before, &rec); err != nil {
		return signed{}, nil, err
	}
	// What is newer than this was written after it.
	t := s.replicateRecord(ctx, place, opts.Consistency, true, &rec)
	if !t.acknowledged() {
		return signed{}, nil, t.err(key.text)
	}
	return rec, t, nil
}

// errMeanwhile says that the record was written between reading it and replacing it.
var errMeanwhile = errors.New("written meanwhile")

// replaceFirst has the first live holder replace what was read by rec; errMeanwhile when it has something else by now. Where a holder before it gave no answer, that something else may have come after
// rec, which that holder stored: it is not known then whether the write took effect.
func (s *Store) replaceFirst(ctx context.Context, key Key, place *placement, before *finding, rec *signed) error {
	req := request{op: opPutIf, envelope: rec.envelope, expected: before.rank()}
	encoded := req.marshal()
	unsure := false
	for _, state := range []routing.State{routing.Alive, routing.Suspect} {
		for _, i := range place.holders {
			if place.members[i].state != state {
				continue
			}
			resp, err := s.askFirst(ctx, place, i, &req, encoded)
			if err == nil && resp.status == statusUnmet && resp.rank.Compare(before.rank()) < 0 && before.rec != nil {
				// It missed what was read.
				<-s.send(ctx, place, []int{i}, before.rec)
				resp, err = s.askFirst(ctx, place, i, &req, encoded)
			}
			switch {
			case err != nil:
				_, refused := errors.AsType[*refusedError](err)
				unsure = unsure || !refused
				continue // the next one
			case resp.status == statusUnmet && unsure:
				return fault.New(fault.Unavailable, "write %q: a holder did not answer, and another has a version by others: this write may have come before it; read it to see", key.text)
			case resp.status == statusUnmet:
				return errMeanwhile
			}
			return nil
		}
	}
	return fault.New(fault.Unavailable, "write %q: no holder answered; the write may still take effect; try again or check `moot peers`", key.text)
}

func (s *Store) askFirst(ctx context.Context, place *placement, i int, req *request, encoded []byte) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, firstTimeout)
	defer cancel()
	return s.ask(ctx, place.member(i), req, encoded)
}

// stripes keep apart the conditional write of a key from all others of it.
type stripes [256]sync.RWMutex

func (s *stripes) of(hash disk.Hash) *sync.RWMutex { return &s[hash[len(hash)-1]] }

// putIf stores a record if expected is what there is, all zeros standing for nothing, or if the record is there already.
func (h *holder) putIf(ctx context.Context, rec *signed, expected disk.Rank) response {
	hash := rec.key.hash()
	lock := h.stripes.of(hash)
	lock.Lock()
	defer lock.Unlock()
	head, found, err := h.disk.Head(hash)
	if err != nil {
		return refusal(err)
	}
	if found && head.Rank != expected && head.Rank != rec.head.Rank || !found && expected != (disk.Rank{}) {
		return response{status: statusUnmet, rank: head.Rank}
	}
	return h.store(ctx, rec)
}
