package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

// get returns a copy of what is under key, or nil when there is nothing.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	value = bytes.Clone(value)
	return value, closer.Close()
}

// errMeta says that one of the store's own facts can't be read.
var errMeta = errors.New("damaged facts of the store")

func (d *Disk) meta(name string) ([]byte, error) {
	value, err := get(d.db, metaKey(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return value, nil
}

// metaUint64 returns 0 when there is no value.
func (d *Disk) metaUint64(name string) (uint64, error) {
	value, err := d.meta(name)
	if err != nil || value == nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("read %s: %w", name, errMeta)
	}
	return binary.BigEndian.Uint64(value), nil
}

// Clock returns what SetClock stored last, or 0.
func (d *Disk) Clock() (uint64, error) { return d.metaUint64(metaClock) }

// SetClock keeps the time that the node's clock must not fall behind after a restart.
func (d *Disk) SetClock(ctx context.Context, t uint64) error {
	return d.update(ctx, func(tx *tx) error {
		return tx.batch.Set(metaKey(metaClock), binary.BigEndian.AppendUint64(nil, t), nil)
	})
}

// SetProvided notes that this node provides key.
func (d *Disk) SetProvided(ctx context.Context, key string) error {
	return d.update(ctx, func(tx *tx) error { return tx.batch.Set(providedKey(key), nil, nil) })
}

// Provided returns up to limit keys after the given one that this node provides, in order.
func (d *Disk) Provided(after string, limit int) ([]string, error) {
	it, err := d.iterate([]byte{spaceProvided})
	if err != nil {
		return nil, fmt.Errorf("list the provided keys: %w", err)
	}
	var keys []string
	for ok := it.SeekGE(append(providedKey(after), 0)); ok && len(keys) < limit; ok = it.Next() {
		keys = append(keys, string(it.Key()[1:]))
	}
	return keys, it.Close()
}

// iterate walks the keys that start with prefix.
func (d *Disk) iterate(prefix []byte) (*pebble.Iterator, error) {
	return d.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
}

const (
	maxNoteName = 256
	maxNote     = 1 << 20
)

// Note returns what SetNote stored under name, or nil.
func (d *Disk) Note(name string) ([]byte, error) { return d.meta(metaNote + name) }

// SetNote keeps a small fact of the layer above. An empty value removes it.
func (d *Disk) SetNote(ctx context.Context, name string, value []byte) error {
	if len(name) > maxNoteName || len(value) > maxNote {
		return fault.New(fault.TooLarge, "note of %d bytes under a name of %d: want at most %d and %d", len(value), len(name), maxNote, maxNoteName)
	}
	return d.update(ctx, func(tx *tx) error {
		if len(value) == 0 {
			return tx.batch.Delete(metaKey(metaNote+name), nil)
		}
		return tx.batch.Set(metaKey(metaNote+name), value, nil)
	})
}

// totals are the figures that are kept with the records.
type totals struct {
	sequence uint64 // the last that was given out
	stored   uint64 // the greatest Head.Stored
	records  uint64 // how many heads there are: fewer are a sign of damage that pebble does not see
}

// unknownRecords stands for the number of records while damage is cut out.
const unknownRecords = math.MaxUint64

func (t *totals) add(records int64) {
	if t.records != unknownRecords {
		t.records += uint64(records)
	}
}

func (t *totals) marshal() []byte {
	b := make([]byte, 0, 24)
	for _, n := range []uint64{t.sequence, t.stored, t.records} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func unmarshalTotals(data []byte) (t totals, err error) {
	s := cryptobyte.String(data)
	if !s.ReadUint64(&t.sequence) || !s.ReadUint64(&t.stored) || !s.ReadUint64(&t.records) || !s.Empty() {
		return totals{}, errMeta
	}
	return t, nil
}

func (d *Disk) setTotals(t totals) {
	d.totals = t
	d.sequence.Store(t.sequence)
}

func (d *Disk) millis() uint64 { return uint64(max(d.now().UnixMilli(), 0)) }

// Epoch is random and made with the store: sequences of another epoch are of another order of changes.
func (d *Disk) Epoch() [16]byte { return d.epoch }

// Salvaged returns the folder to which the files of a damaged store were moved when this one was opened, or "".
func (d *Disk) Salvaged() string { return d.salvaged }
