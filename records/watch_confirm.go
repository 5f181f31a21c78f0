package records

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// retriesPerRound bounds the changes put off that are tried again in one round.
	retriesPerRound = 32
	// maxUnconfirmed is how often a change that no quorum knows of is tried again. The write was not acknowledged by then, and when it reaches the others they tell of it too.
	maxUnconfirmed = 20
)

// errUnconfirmed is the end of looking up a change that a quorum does not know of.
var errUnconfirmed = errors.New("no quorum knows the version")

// A postponed is a change that could not be confirmed yet.
type postponed struct {
	key         Key
	rank        disk.Rank
	after       uint64 // the member's place before it
	gone        bool   // the place is of a disk that is gone
	due         time.Time
	unconfirmed int // times that a quorum did not know it
}

// handOver looks up the changes that a member told of, and hands Next what they were. What can't be looked up is put off.
func (f *follower) handOver(heads []disk.Head) {
	late := make([]*postponed, 0, len(heads))
	for i := range heads {
		h := &heads[i]
		key, err := ParseKey(h.Key)
		if err != nil || !strings.HasPrefix(h.Key, f.w.opts.Prefix) || f.w.has(key.hash(), h.Rank) {
			continue
		}
		late = append(late, &postponed{key: key, rank: h.Rank, after: f.now.after})
	}
	f.lookUp(late)
}

// retry looks up some of the changes that were put off.
func (f *follower) retry() {
	now := time.Now()
	var due []*postponed
	for hash, p := range f.putOff {
		if len(due) < retriesPerRound && !now.Before(p.due) {
			due = append(due, p)
			delete(f.putOff, hash)
		}
	}
	f.lookUp(due)
}

// lookUp looks changes up. Those for which that fails are put off.
func (f *follower) lookUp(found []*postponed) {
	errs := make([]error, len(found))
	var group errgroup.Group
	group.SetLimit(maxConfirmsPerMember)
	for i, p := range found {
		group.Go(func() error {
			errs[i] = f.w.confirm(f.ctx, p)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	for i, p := range found {
		if errs[i] == errUnconfirmed {
			p.unconfirmed++
		}
		if errs[i] == nil || p.unconfirmed > maxUnconfirmed {
			continue
		}
		p.due = time.Now().Add(putOffWait)
		hash := p.key.hash()
		if old := f.putOff[hash]; old != nil {
			p.after, p.gone = min(p.after, old.after), p.gone || old.gone
			if old.rank.Compare(p.rank) > 0 {
				p.rank = old.rank
			}
		}
		f.putOff[hash] = p
	}
}

// confirm makes sure that a change was handed to Next, or a later version of the same key. What is handed over was read from a quorum, which wrote it back where it was missing, so that no
// later read goes behind it.
func (w *Watcher) confirm(ctx context.Context, p *postponed) error {
	hash := p.key.hash()
	for {
		w.mu.Lock()
		if w.hasLocked(hash, p.rank) {
			w.mu.Unlock()
			return nil
		}
		busy := w.confirms[hash]
		if busy == nil {
			done := make(chan struct{})
			w.confirms[hash] = done
			w.mu.Unlock()
			err := w.read(ctx, hash, p)
			w.mu.Lock()
			delete(w.confirms, hash)
			w.mu.Unlock()
			close(done)
			return err
		}
		w.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read reads the newest version of a key and hands it over unless it was. Only one goroutine reads a key at once.
func (w *Watcher) read(ctx context.Context, hash disk.Hash, p *postponed) error {
	select {
	case w.reads <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	rec, err := w.store.newestVersion(ctx, p.key, hash, p.rank)
	<-w.reads
	if err != nil {
		return err
	}
	if rec == nil {
		return errUnconfirmed
	}
	if !w.has(hash, rec.head.Rank) {
		if err := w.handRecord(ctx, rec); err != nil {
			return err
		}
		w.mu.Lock()
		w.forwarded.Add(hash, rec.head.Rank)
		w.mu.Unlock()
	}
	if rec.head.Rank.Compare(p.rank) < 0 {
		return errUnconfirmed
	}
	return nil
}

// has reports whether a version of a key, or a later one, was handed over.
func (w *Watcher) has(hash disk.Hash, rank disk.Rank) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hasLocked(hash, rank)
}

// hasLocked is has. mu is held.
func (w *Watcher) hasLocked(hash disk.Hash, rank disk.Rank) bool {
	last, ok := w.forwarded.Get(hash)
	return ok && last.Compare(rank) >= 0
}

func (w *Watcher) handRecord(ctx context.Context, rec *signed) error {
	e := &Event{Kind: Changed, Record: rec.record(), Size: int64(len(rec.value))}
	var weight int64
	if w.opts.Values {
		weight = int64(len(rec.value))
	} else {
		e.Record.Value = nil
	}
	if err := w.room.Acquire(ctx, weight); err != nil {
		return err
	}
	return w.hand(ctx, delivery{event: e, weight: weight})
}

// hand hands a delivery to Next.
func (w *Watcher) hand(ctx context.Context, f delivery) error {
	select {
	case w.found <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newestVersion returns the newest version of a key that a quorum knows, tombstones and expired ones included, or nil when it knows none. Where that is older than the version that a member
// told of, every holder is asked.
func (s *Store) newestVersion(ctx context.Context, key Key, hash disk.Hash, told disk.Rank) (*signed, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	place, err := s.locate(ctx, disk.ShardOf(hash))
	if err != nil {
		return nil, err
	}
	f, err := s.readFor(ctx, key, hash, &place, GetOptions{})
	if err == nil && f.rank().Compare(told) < 0 {
		if all, err := s.readFor(ctx, key, hash, &place, GetOptions{Consistency: All}); err == nil {
			f = all
		}
	}
	if f.rec != nil {
		_ = s.holder.clock.observe(f.rec.version().Time) // too far ahead: it is told all the same
	}
	return f.rec, err
}
