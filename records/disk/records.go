package disk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/fault"
)

// ErrDamaged says that what is stored can't be read. A record that is written anew is whole again.
var ErrDamaged = errors.New("this copy is damaged")

// Put stores a record unless there is one of the same or a greater rank, and returns the head of the one that is there afterwards. Once it returns nil, that record
// is synced. Errors are of kind fault.Full when there is no room; a deletion is taken on the last of it.
func (d *Disk) Put(ctx context.Context, hash Hash, head Head, envelope []byte) (Head, error) {
	if len(head.Key) == 0 || len(head.Key) > maxKey {
		return Head{}, fault.New(fault.Invalid, "key of %d bytes: want 1 to %d", len(head.Key), maxKey)
	}
	if !head.Deleted {
		if err := d.room(); err != nil {
			return Head{}, err
		}
	}
	winner := new(Head) // read only after update says that the committer is done with it
	err := d.update(ctx, func(tx *tx) error {
		old, found, err := readHead(tx.batch, hash)
		if err != nil {
			d.damaged("replace a damaged record", head.Key, err)
		}
		if found && old.Rank.Compare(head.Rank) >= 0 && (old.Rank != head.Rank || whole(tx.batch, hash)) {
			*winner = old
			return nil
		}
		*winner = head
		tx.live += live(&head)
		if found {
			tx.live -= live(&old)
		}
		return tx.setRecord(hash, &head, envelope, !found)
	})
	if err != nil {
		return Head{}, fmt.Errorf("store a record: %w", err)
	}
	return *winner, nil
}

// setRecord writes the keys and values straight into the batch.
func (tx *tx) setRecord(hash Hash, head *Head, envelope []byte, isNew bool) error {
	op := tx.batch.SetDeferred(1+len(hash), head.size())
	op.Key[0] = spaceHead
	copy(op.Key[1:], hash[:])
	head.append(op.Value[:0])
	err := op.Finish()

	op = tx.batch.SetDeferred(1+len(hash), len(envelope))
	op.Key[0] = spaceEnvelope
	copy(op.Key[1:], hash[:])
	copy(op.Value, envelope)
	if err = errors.Join(err, op.Finish()); !isNew {
		return err
	}
	return errors.Join(err, tx.batch.Set(nameKey(head.Key), hash[:], nil))
}

// whole reports whether a record's envelope can be read.
func whole(r pebble.Reader, hash Hash) bool {
	envelope, err := get(r, envelopeKey(hash))
	return err == nil && envelope != nil
}

func live(h *Head) int64 {
	if h.Deleted {
		return 0
	}
	return 1
}

func readHead(r pebble.Reader, hash Hash) (Head, bool, error) {
	data, closer, err := r.Get(headKey(hash))
	if err != nil {
		return Head{}, false, ignoreNotFound(err)
	}
	head, err := unmarshalHead(data)
	return head, err == nil, errors.Join(err, closer.Close())
}

// Head returns the head of the record whose key has the given hash. A damaged one is ErrDamaged.
func (d *Disk) Head(hash Hash) (Head, bool, error) {
	head, found, err := readHead(d.db, hash)
	if err != nil {
		d.damaged("read a record's head", fmt.Sprintf("%x", hash), err)
		return Head{}, false, ErrDamaged
	}
	return head, found, nil
}

// Envelope returns the signed envelope of the record whose key has the given hash, or nil. A damaged one is ErrDamaged.
func (d *Disk) Envelope(hash Hash) ([]byte, error) {
	envelope, err := get(d.db, envelopeKey(hash))
	if err != nil {
		d.damaged("read a record", fmt.Sprintf("%x", hash), err)
		return nil, ErrDamaged
	}
	return envelope, nil
}

func (d *Disk) damaged(doing, key string, err error) {
	d.logger.Warn("record store: damaged record", "doing", doing, "key", key, "dir", d.dir, "error", err)
}

// List returns the heads of up to limit records, deleted and expired ones included, with keys that start with prefix and come after the
// given one, in byte order. It stops early, but never before the first, when the keys together are longer than maxBytes. More says that it stopped before the end.
func (d *Disk) List(prefix, after string, limit, maxBytes int) (heads []Head, more bool, err error) {
	it, err := d.iterate(nameKey(prefix))
	if err != nil {
		return nil, false, fmt.Errorf("list the records: %w", err)
	}
	start := nameKey(prefix)
	if after >= prefix {
		start = append(nameKey(after), 0)
	}
	bytes := 0
	for ok := it.SeekGE(start); ok; ok = it.Next() {
		key := string(it.Key()[1:])
		if bytes += len(key); len(heads) == limit || len(heads) > 0 && bytes > maxBytes {
			more = true
			break
		}
		head, found, err := d.named(key, it.Value())
		if err != nil || !found {
			continue // logged; the other holders list it
		}
		heads = append(heads, head)
	}
	if err := it.Close(); err != nil {
		return nil, false, fmt.Errorf("list the records: %w", err)
	}
	return heads, more, nil
}

// named returns the head that an entry of the key index points to.
func (d *Disk) named(key string, value []byte) (Head, bool, error) {
	if len(value) != len(Hash{}) {
		d.damaged("list", key, errHead)
		return Head{}, false, ErrDamaged
	}
	head, found, err := d.Head(Hash(value))
	if found && head.Key != key {
		d.damaged("list", strings.ToValidUTF8(key, "?"), errHead)
		return Head{}, false, ErrDamaged
	}
	return head, found, err
}
