package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

// Restorer makes a store of a snapshot. It is not safe for concurrent use.
type Restorer struct {
	store  *Store
	last   []byte // the last key of an entry
	recent int64  // the height of the last results, after which no entries come; 0: none yet
	want   Tip
}

// Restore begins to make a store, in a folder without one, of the snapshot of a state that is known to have the given tip. What an earlier attempt left half done is removed.
func Restore(cfg Config, tip Tip) (*Restorer, error) {
	s, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("restore a snapshot in %s: %w", cfg.Dir, err)
	}
	if s.tip != (Tip{}) {
		return nil, errors.Join(fault.New(fault.Conflict, "restore a snapshot in %s: there is a ledger at block %d", cfg.Dir, s.tip.Height), s.Close())
	}
	if err := s.clear(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Restorer{store: s, want: tip}, nil
}

// clear removes what a restore left, and notes that another has begun.
func (s *Store) clear() error {
	b := s.db.NewBatch()
	var errs []error
	for _, prefix := range []byte{prefixEntry, prefixPage, prefixID, prefixResults, prefixSorted} {
		errs = append(errs, b.DeleteRange([]byte{prefix}, []byte{prefix + 1}, nil))
	}
	return errors.Join(append(errs, b.Set(metaKey(metaRestore), nil, nil), b.Commit(pebble.Sync), b.Close())...)
}

// Apply takes the next chunk. It is fault.Invalid, or fault.TooLarge, for what can't be that of a snapshot; then the restore has failed.
func (r *Restorer) Apply(chunk []byte) error {
	if len(chunk) > MaxChunk {
		return fault.New(fault.TooLarge, "a chunk of %d bytes: at most %d", len(chunk), MaxChunk)
	}
	b := r.store.db.NewBatch()
	err := r.read(b, chunk)
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	return errors.Join(err, b.Close())
}

var errChunk = fault.New(fault.Invalid, "malformed chunk of a snapshot")

func (r *Restorer) read(b *pebble.Batch, chunk []byte) error {
	for s := cryptobyte.String(chunk); !s.Empty(); {
		var key, value cryptobyte.String
		if !s.ReadUint8LengthPrefixed(&key) || len(key) == 0 || len(key) > maxKey || !s.ReadUint16LengthPrefixed(&value) || len(value) > ledger.MaxEntry {
			return errChunk
		}
		var err error
		if len(value) > 0 {
			err = r.entry(b, key, value)
		} else {
			err = r.results(b, key, &s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entry takes an entry of the state.
func (r *Restorer) entry(b *pebble.Batch, key, value []byte) error {
	if r.recent > 0 || r.last != nil && string(key) <= string(r.last) {
		return errChunk
	}
	r.last = append(r.last[:0], key...)
	e := tree.NewEntry(key, value)
	return errors.Join(b.Set(entryKey(nil, key), value, nil), b.Set(append([]byte{prefixSorted}, e.Key[:]...), e.Value[:], nil))
}

// results takes those of a recent block. Each block comes once: of what came before for the same one the ids would stay.
func (r *Restorer) results(b *pebble.Batch, key []byte, s *cryptobyte.String) error {
	if len(key) != len(ledger.RecentKey(0)) {
		return errChunk
	}
	height := int64(binary.BigEndian.Uint64(key[1:]))
	before := *s
	results, ok := readResults(s)
	if !ok || height <= r.recent || !bytes.Equal(key, ledger.RecentKey(height)) {
		return errChunk
	}
	r.recent = height
	errs := []error{b.Set(resultsKey(height), before[:len(before)-len(*s)], nil)}
	for i := range results {
		errs = append(errs, b.Set(idKey(&results[i].ID), Position{height, uint32(i)}.appendTo(nil), nil))
	}
	return errors.Join(errs...)
}

// Finish returns the store once all chunks were applied. It is fault.Invalid when they were not those of the state that has the tip; then the restore has failed.
func (r *Restorer) Finish() (*Store, error) {
	if err := r.finish(); err != nil {
		return nil, errors.Join(fmt.Errorf("restore block %d: %w", r.want.Height, err), r.store.Close())
	}
	return r.store, nil
}

// Abandon ends a restore that is not to be finished.
func (r *Restorer) Abandon() error { return r.store.Close() }

func (r *Restorer) finish() error {
	if err := r.build(); err != nil {
		return err
	}
	s := r.store
	s.tip = r.want
	v := s.View()
	if err := errors.Join(v.checkResults(), v.Close()); err != nil {
		return err
	}
	b := s.db.NewBatch()
	err := errors.Join(
		b.DeleteRange([]byte{prefixSorted}, []byte{prefixSorted + 1}, nil),
		b.Delete(metaKey(metaRestore), nil),
		b.Set(metaKey(metaFirst), binary.BigEndian.AppendUint64(nil, uint64(r.want.Height)+1), nil),
		b.Set(metaKey(metaTip), r.want.marshal(), nil),
		b.Commit(pebble.Sync))
	return errors.Join(err, b.Close())
}

// build makes the tree, of entries sorted by the hashes of their keys, and compares its root.
func (r *Restorer) build() error {
	b := r.store.db.NewBatch()
	root, err := tree.Build(r.sorted(), func(key, page []byte) error {
		err := b.Set(pageKey(nil, key), page, nil)
		if err == nil && b.Len() > ChunkSize {
			err = errors.Join(b.Commit(pebble.NoSync), b.Close())
			b = r.store.db.NewBatch()
		}
		return err
	})
	if err == nil && root != r.want.Root {
		err = fault.New(fault.Invalid, "the chunks are not of the state that they were said to be of")
	}
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	return errors.Join(err, b.Close())
}

func (r *Restorer) sorted() iter.Seq2[tree.Entry, error] {
	return func(yield func(tree.Entry, error) bool) {
		err := ascend(r.store.db, []byte{prefixSorted}, []byte{prefixSorted}, func(key, value []byte) (bool, error) {
			return yield(tree.Entry{Key: tree.Hash(key[1:]), Value: tree.Hash(value)}, nil), nil
		})
		if err != nil {
			yield(tree.Entry{}, err)
		}
	}
}

// checkResults compares the results of each recent block, which chunks brought, with the root that its entry has of them, and refuses results of other blocks.
func (v *View) checkResults() error {
	wrong := fault.New(fault.Invalid, "the chunks lack what became of transactions of the last hour, or tell it wrongly")
	count := 0
	var failed error
	err := v.Ascend(ledger.RecentBlocks(), func(key, value []byte) bool {
		var recent ledger.Recent
		results, err := v.results(key)
		if err == nil {
			err = recent.Unmarshal(value)
		}
		if err != nil || ledger.ResultsRoot(results) != recent.Results {
			failed = wrong
			return false
		}
		count++
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	return ascend(v.snap, []byte{prefixResults}, []byte{prefixResults}, func(_, _ []byte) (bool, error) {
		if count--; count < 0 {
			return false, wrong
		}
		return true, nil
	})
}
