package disk

import (
	"context"
	"errors"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// maxQueued bounds the writes that wait for the committer; more callers block.
	maxQueued = 256
	// maxGroup and maxGroupBytes bound the writes that share one sync. A single write may be larger.
	maxGroup      = 256
	maxGroupBytes = 1 << 20
)

// errClosed is the end of a write that met the store closing.
var errClosed = fault.New(fault.Unavailable, "the record store is closed")

// update is one write on its way through the committer.
type update struct {
	// apply compares and sets. What it has set is written even if it returns an error.
	apply func(*tx) error
	err   error         // set before done is closed
	done  chan struct{} // closed once the write is synced or has failed
}

// update lets the committer run apply and returns when the disk has what it set. An error of kind fault.Full or of the context leaves open
// whether it will yet be set.
func (d *Disk) update(ctx context.Context, apply func(*tx) error) error {
	if err := d.Err(); err != nil {
		return err
	}
	full := d.fs.Full()
	select {
	case <-full:
		return errFull
	default:
	}
	u := &update{apply: apply, done: make(chan struct{})}
	select {
	case d.queue <- u:
	case <-full:
		return errFull
	case <-d.failed:
		return d.failure
	case <-d.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-u.done:
		return u.err
	case <-full:
		return errFull
	case <-d.failed:
		return d.failure
	case <-d.committed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Settle returns once all that could be read when it was called is counted in the shards' digests: a group can be read while it is synced, and is counted after that.
func (d *Disk) Settle(ctx context.Context) error {
	return d.update(ctx, func(*tx) error { return nil })
}

// commitLoop is the committer. It ends when the store closes; who still waits then gets errClosed.
func (d *Disk) commitLoop() {
	defer close(d.committed)
	for {
		select {
		case u := <-d.queue:
			d.commitGroup(u)
		case work := <-d.alone:
			work()
		case <-d.closing:
			return
		}
	}
}

// commitGroup carries out first and whatever waits behind it.
func (d *Disk) commitGroup(first *update) {
	t := d.newTx()
	group := append(d.group[:0], first)
	first.err = first.apply(t)
gather:
	for len(group) < maxGroup && t.size() < maxGroupBytes {
		select {
		case u := <-d.queue:
			group = append(group, u)
			u.err = u.apply(t)
		default:
			break gather
		}
	}
	err := d.commit(t)
	for _, u := range group {
		if u.err == nil {
			u.err = err
		}
		close(u.done)
	}
	clear(group)
	d.group = group
}

// commit writes the group to the disk and waits for the sync.
func (d *Disk) commit(t *tx) error {
	if t.records.Empty() && t.batch.Empty() && !t.counts() {
		return t.close()
	}
	if err := d.Err(); err != nil {
		return err
	}
	if err := t.finish(); err != nil {
		return err
	}
	// After what pebble holds to be fatal, of which it tells only its logger, Apply returns nil.
	if err := errors.Join(d.db.Apply(t.records, d.write), d.Err()); err != nil {
		return err
	}
	if t.counts() {
		d.setTotals(t.totals)
	}
	if len(t.deltas) > 0 {
		d.count.Add(t.live)
		d.tally.apply(t.deltas, t.totals.stored)
		d.announce()
	}
	d.deltas = t.deltas
	return t.close()
}
