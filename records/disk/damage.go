package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// maxReports bounds the reports of damage that wait. What is dropped is met again.
	maxReports = 64
	// mendRetry is how long damage is left alone after mending has failed.
	mendRetry = time.Minute
)

// damageMap holds one bit per shard.
type damageMap [Shards / 64]atomic.Uint64

func (m *damageMap) set(s Shard)      { m[s/64].Or(1 << (s % 64)) }
func (m *damageMap) clear(s Shard)    { m[s/64].And(^uint64(1 << (s % 64))) }
func (m *damageMap) has(s Shard) bool { return m[s/64].Load()&(1<<(s%64)) != 0 }

func (m *damageMap) setAll() {
	for i := range m {
		m[i].Store(^uint64(0))
	}
}

func (m *damageMap) marshal() []byte {
	b := make([]byte, 0, Shards/8)
	for i := range m {
		b = binary.BigEndian.AppendUint64(b, m[i].Load())
	}
	return b
}

func (m *damageMap) unmarshal(data []byte) error {
	if len(data) != Shards/8 {
		return errMeta
	}
	for i := range m {
		m[i].Store(binary.BigEndian.Uint64(data[8*i:]))
	}
	return nil
}

// Damaged reports whether records of the shard were lost on this disk, by damage to its files, since SetWhole was last called for it. What can be read of such a
// shard is right, but that it lacks a record says nothing: Head returns ErrDamaged rather than "not found". It survives restarts. It costs next to nothing, and may
// become true at any time.
func (d *Disk) Damaged(s Shard) bool { return d.damage.has(s) }

// SetWhole notes that shards have been compared with their other holders since they were damaged, and that what was missing has been put.
func (d *Disk) SetWhole(ctx context.Context, shards ...Shard) error {
	err := d.update(ctx, func(tx *tx) error {
		for _, s := range shards {
			d.damage.clear(s)
		}
		return tx.batch.Set(metaKey(metaDamage), d.damage.marshal(), nil)
	})
	if err != nil {
		return fmt.Errorf("note that shards are whole: %w", err)
	}
	return nil
}

// report asks the keeper to look at a span of keys in which something could not be read.
func (d *Disk) report(s span) {
	select {
	case d.reports <- s:
	default:
	}
}

// reportKey is report for the key of a look-up that failed.
func (d *Disk) reportKey(key []byte, err error) {
	if isDamage(err) {
		d.report(span{key, append(bytes.Clone(key), 0)})
	}
}

// end closes an iterator over a span, and reports what it met.
func (d *Disk) end(it *pebble.Iterator, s span) error {
	err := it.Close()
	if isDamage(err) {
		d.report(s)
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// corrupted is called by pebble, which has found a damaged table.
func (d *Disk) corrupted(i pebble.DataCorruptionInfo) {
	if d.mending.Load() {
		return // known: its edges are being felt for
	}
	d.logger.Error("record store: damaged file", "dir", d.dir, "path", i.Path, "error", i.Details.Error())
	d.report(span{i.Bounds.Start, append(bytes.Clone(i.Bounds.End.Key), 0)})
}

// keepLoop is the keeper: it mends damage and keeps the label up to date. It ends when the store closes.
func (d *Disk) keepLoop() {
	defer close(d.kept)
	var rest <-chan time.Time // while it is not nil, reports are dropped
	for {
		select {
		case s := <-d.reports:
			if rest != nil {
				continue
			}
			d.mending.Store(true)
			err := d.mendSpan(s, d.mendAlone)
			d.mending.Store(false)
			if err != nil {
				d.logger.Error("record store: damage could not be mended; tried again later", "dir", d.dir, "error", err)
				rest = time.After(mendRetry)
			}
		case <-rest:
			rest = nil
		case <-d.flushed:
			d.noteSequence()
		case <-d.closing:
			return
		}
	}
}

var errMuchDamage = errors.New("there is always more damage")

// mendRounds bounds how often a span is looked at again after it was mended.
const mendRounds = 4

// mendSpan has gaps in a span mended until there are none.
func (d *Disk) mendSpan(s span, mend func([]span) error) error {
	for range mendRounds {
		gaps, err := surveyDB(d.db, s, func(_, _ []byte) error { return nil })
		if err != nil || len(gaps) == 0 {
			return err
		}
		if err := mend(gaps); err != nil {
			return err
		}
	}
	return errMuchDamage
}

// mendAlone has the committer mend gaps.
func (d *Disk) mendAlone(gaps []span) error {
	done := make(chan error, 1)
	select {
	case d.alone <- func() { done <- d.mend(gaps) }:
	case <-d.closing:
		return nil
	}
	select {
	case err := <-done:
		return err
	case <-d.committed:
		return nil
	}
}

// surveyDB is survey of an open store.
func surveyDB(db *pebble.DB, s span, visit func(key, value []byte) error) ([]span, error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return nil, err
	}
	gaps, err := survey(it, s, visit)
	_ = it.Close() // returns the damage that was met last
	return gaps, err
}
