package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
)

// ErrDamaged says that what is stored can't be read. A record that is written anew is whole again.
var ErrDamaged = errors.New("this copy is damaged")

// An Update is a record to be stored. The disk sets Head.Stored and Head.Sequence itself.
type Update struct {
	Hash     Hash
	Head     Head
	Envelope []byte
}

// Put stores a record unless there is one of the same or a greater rank, and returns the head of the one that is there afterwards. Once it returns nil, that record
// is synced. Errors are of kind fault.Full when there is no room; a deletion is taken on the last of it.
func (d *Disk) Put(ctx context.Context, hash Hash, head Head, envelope []byte) (_ Head, err error) {
	if err := d.admit(&head); err != nil {
		return Head{}, err
	}
	ctx, span := tracing.Start(ctx, "commit") // with the wait for others that share the sync
	defer tracing.End(span, &err)
	winner := new(Head) // read only after update says that the committer is done with it
	err = d.update(ctx, func(tx *tx) (err error) {
		*winner, err = tx.put(hash, head, envelope)
		return err
	})
	if err != nil {
		return Head{}, fmt.Errorf("store a record: %w", err)
	}
	return *winner, nil
}

// PutMany is Put for each of the updates, with one sync for all. Callers bound them: what is written at once waits in memory. Where Put would refuse records for want of
// room, PutMany does, but stores the deletions among them all the same; the winners of those refused are zero.
func (d *Disk) PutMany(ctx context.Context, updates []Update) (winners []Head, err error) {
	if len(updates) == 0 {
		return nil, nil
	}
	var refused error
	admitted := make([]bool, len(updates))
	for i := range updates {
		err := d.admit(&updates[i].Head)
		if fault.KindOf(err) == fault.Invalid {
			return nil, err
		}
		admitted[i] = err == nil
		if refused == nil {
			refused = err
		}
	}
	winners = make([]Head, len(updates)) // read only after update says that the committer is done with it
	err = d.update(ctx, func(tx *tx) (err error) {
		for i := range updates {
			if !admitted[i] {
				continue
			}
			if winners[i], err = tx.put(updates[i].Hash, updates[i].Head, updates[i].Envelope); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store records: %w", err)
	}
	return winners, refused
}

// admit refuses what can't be stored before it waits for the committer.
func (d *Disk) admit(head *Head) error {
	if len(head.Key) == 0 || len(head.Key) > maxKey {
		return fault.New(fault.Invalid, "key of %d bytes: want 1 to %d", len(head.Key), maxKey)
	}
	if head.Deleted {
		return nil
	}
	return d.room()
}

// sequenceSize is the length of the sequence before each stored envelope. It is that of the head, unless the two are of different versions, of which one was lost.
const sequenceSize = 8

var errEnvelope = errors.New("damaged envelope of a record")

func splitEnvelope(value []byte) (sequence uint64, envelope []byte, err error) {
	if len(value) < sequenceSize {
		return 0, nil, errEnvelope
	}
	return binary.BigEndian.Uint64(value), value[sequenceSize:], nil
}

func liveness(h *Head) int64 {
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

// Head returns the head of the record whose key has the given hash. One that can't be read is ErrDamaged, as is one that is not there while its shard is
// Damaged.
func (d *Disk) Head(hash Hash) (Head, bool, error) {
	head, found, err := readHead(d.db, hash)
	if err != nil {
		d.damaged("read a record's head", fmt.Sprintf("%x", hash), err)
		d.reportKey(headKey(hash), err)
		return Head{}, false, ErrDamaged
	}
	if !found && d.Damaged(ShardOf(hash)) {
		return Head{}, false, ErrDamaged
	}
	return head, found, nil
}

// Envelope returns the signed envelope of the record whose key has the given hash, or nil. One that can't be read is ErrDamaged, as is one that is not there while
// its shard is Damaged.
func (d *Disk) Envelope(hash Hash) ([]byte, error) {
	value, err := get(d.db, envelopeKey(hash))
	if err == nil && value != nil {
		_, value, err = splitEnvelope(value)
	}
	if err != nil {
		d.damaged("read a record", fmt.Sprintf("%x", hash), err)
		d.reportKey(envelopeKey(hash), err)
		return nil, ErrDamaged
	}
	if value == nil && d.Damaged(ShardOf(hash)) {
		return nil, ErrDamaged
	}
	return value, nil
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
	if err := d.end(it, span{[]byte{spaceKey}, []byte{spaceKey + 1}}); err != nil {
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
