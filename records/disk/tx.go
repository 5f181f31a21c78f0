package disk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// tx is a group of writes in the making. It is used by the committer alone.
type tx struct {
	d *Disk
	// batch is indexed: a write sees those before it in the group. Records have a batch of their own, without an index, which costs as much as all the
	// rest: they are looked up in heads.
	batch, records *pebble.Batch
	// heads are those that the group has changed, nil where one is removed.
	heads map[Hash]*Head
	// live is by how much the group changes the count of records.
	live   int64
	totals totals  // as the group leaves them; stored is the time of what it stores
	deltas []delta // what the group changes in the digests
}

func (d *Disk) newTx() *tx {
	tx := &tx{d: d, batch: d.db.NewIndexedBatch(), records: d.db.NewBatch(), heads: map[Hash]*Head{}, totals: d.totals, deltas: d.deltas[:0]}
	tx.totals.stored = max(tx.totals.stored, d.millis())
	return tx
}

func (tx *tx) size() int { return tx.batch.Len() + tx.records.Len() }

// finish gathers all writes in one batch.
func (tx *tx) finish() error {
	if !tx.batch.Empty() {
		if err := tx.records.Apply(tx.batch, nil); err != nil {
			return fmt.Errorf("gather the writes: %w", err)
		}
	}
	if !tx.counts() {
		return nil
	}
	if err := tx.records.Set(metaKey(metaTotals), tx.totals.marshal(), nil); err != nil {
		return fmt.Errorf("note the totals: %w", err)
	}
	return nil
}

// counts reports whether the totals change.
func (tx *tx) counts() bool { return len(tx.deltas) > 0 || tx.totals.records != tx.d.totals.records }

func (tx *tx) close() error { return errors.Join(tx.batch.Close(), tx.records.Close()) }

// head returns the head of a record as the group leaves it.
func (tx *tx) head(hash Hash) (Head, bool, error) {
	if head, ok := tx.heads[hash]; ok {
		if head == nil {
			return Head{}, false, nil
		}
		return *head, true, nil
	}
	return readHead(tx.d.db, hash)
}

// whole reports whether the envelope that goes with a head can be read.
func (tx *tx) whole(hash Hash, head *Head) bool {
	if tx.heads[hash] != nil {
		return true
	}
	value, closer, err := tx.d.db.Get(envelopeKey(hash))
	if err != nil {
		return false
	}
	sequence, _, err := splitEnvelope(value)
	return err == nil && sequence == head.Sequence && closer.Close() == nil
}

// put sets a record in the group unless there is one of the same or a greater rank, and returns the one that there is then.
func (tx *tx) put(hash Hash, head Head, envelope []byte) (Head, error) {
	old, found, err := tx.head(hash)
	if err != nil {
		tx.d.damaged("replace a damaged record", head.Key, err)
		err = nil
	}
	if found && old.Rank.Compare(head.Rank) >= 0 && (old.Rank != head.Rank || tx.whole(hash, &old)) {
		return old, nil
	}
	tx.totals.sequence++
	head.Sequence, head.Stored = tx.totals.sequence, tx.totals.stored
	c := delta{hash: hash, new: head.Rank, has: true}
	tx.live += liveness(&head)
	if found {
		c.old, c.had = old.Rank, true
		tx.live -= liveness(&old)
		err = tx.records.SingleDelete(changeKey(old.Sequence), nil)
	} else {
		tx.totals.add(1)
	}
	tx.deltas = append(tx.deltas, c)
	tx.heads[hash] = &head
	return head, errors.Join(err, tx.setRecord(hash, &head, envelope, !found))
}

// setRecord writes the keys and values straight into the batch.
func (tx *tx) setRecord(hash Hash, head *Head, envelope []byte, isNew bool) error {
	op := tx.records.SetDeferred(1+len(hash), head.size())
	op.Key[0] = spaceHead
	copy(op.Key[1:], hash[:])
	head.append(op.Value[:0])
	err := op.Finish()

	op = tx.records.SetDeferred(1+len(hash), sequenceSize+len(envelope))
	op.Key[0] = spaceEnvelope
	copy(op.Key[1:], hash[:])
	binary.BigEndian.PutUint64(op.Value, head.Sequence)
	copy(op.Value[sequenceSize:], envelope)
	err = errors.Join(err, op.Finish(), tx.records.Set(changeKey(head.Sequence), hash[:], nil))
	if !isNew {
		return err
	}
	return errors.Join(err, tx.records.Set(nameKey(head.Key), hash[:], nil))
}

// remove removes a record if it is there and due.
func (tx *tx) remove(hash Hash, due func(*Head) bool) (bool, error) {
	head, found, err := tx.head(hash)
	if err != nil || !found || !due(&head) {
		return false, err
	}
	tx.live -= liveness(&head)
	tx.totals.add(-1)
	tx.deltas = append(tx.deltas, delta{hash: hash, old: head.Rank, had: true})
	tx.heads[hash] = nil
	return true, errors.Join(
		tx.records.Delete(headKey(hash), nil),
		tx.records.Delete(envelopeKey(hash), nil),
		tx.records.Delete(nameKey(head.Key), nil),
		tx.records.SingleDelete(changeKey(head.Sequence), nil))
}
