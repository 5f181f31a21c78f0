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

// Restorer makes the state of a store anew, of a snapshot. It is not safe for concurrent use, and is either finished or abandoned.
type Restorer struct {
	store  *Store
	last   []byte // the last key of an entry
	recent int64  // the height of the last results, after which no entries come; 0: none yet
	want   Tip
}

// frozen is the state that views are of while the next one is restored under it.
type frozen struct {
	tip   Tip
	snap  *pebble.Snapshot
	views int  // guarded by Store.mu
	over  bool // guarded by Store.mu; the last view closes snap
}

// Restore begins to make the state of a snapshot that is known to have the given tip. Until it is finished, views are of the state before, to which the store goes back when the restore is abandoned, or the process ends. It is fault.Conflict when the store has a block, or another restore is under way.
func (s *Store) Restore(tip Tip) (*Restorer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.frozen != nil:
		return nil, fault.New(fault.Conflict, "restore a snapshot: another is being restored")
	case s.tip.Height > 0:
		return nil, fault.New(fault.Conflict, "restore a snapshot: there is a ledger at block %d", s.tip.Height)
	}
	if err := s.keepFirst(); err != nil {
		return nil, fmt.Errorf("restore a snapshot: %w", err)
	}
	before := &frozen{tip: s.tip, snap: s.db.NewSnapshot()}
	if err := s.clear(); err != nil {
		return nil, errors.Join(fmt.Errorf("restore a snapshot: %w", err), before.snap.Close())
	}
	s.frozen = before
	return &Restorer{store: s, want: tip}, nil
}

// Reset makes the store what it was before the first block: before the last snapshot was restored, or empty where a block was committed since. Before the first block nothing changes.
func (s *Store) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		return fault.New(fault.Conflict, "empty the ledger's state: a snapshot is being restored")
	}
	if s.tip.Height == 0 {
		return nil
	}
	tip, err := s.goBack()
	if err != nil {
		return fmt.Errorf("drop the ledger's state: %w", err)
	}
	s.tip = tip
	s.ids.reset(tip)
	return nil
}

// clear removes all that belongs to a block, and marks the store as half restored.
func (s *Store) clear() error {
	b := s.db.NewBatch()
	var errs []error
	for _, prefix := range allOfBlocks {
		errs = append(errs, b.DeleteRange([]byte{prefix}, []byte{prefix + 1}, nil))
	}
	errs = append(errs, b.Delete(metaKey(metaTip), nil), b.Delete(metaKey(metaFirst), nil), b.Set(metaKey(metaRestore), nil, nil))
	return errors.Join(append(errs, s.write(b, pebble.Sync))...)
}

// thaw ends a restore: from now on views are of the given state. The caller holds mu.
func (s *Store) thaw(tip Tip) error {
	before := s.frozen
	s.tip, s.frozen = tip, nil
	s.ids.reset(tip)
	if before.over = true; before.views > 0 {
		return nil
	}
	return before.snap.Close()
}

// Apply takes the next chunk. It is fault.Invalid, or fault.TooLarge, for what can't be that of a snapshot; then the restore has failed.
func (r *Restorer) Apply(chunk []byte) error {
	if len(chunk) > MaxChunk {
		return fault.New(fault.TooLarge, "a chunk of %d bytes: at most %d", len(chunk), MaxChunk)
	}
	b := r.store.db.NewBatch()
	if err := r.read(b, chunk); err != nil {
		return errors.Join(err, b.Close())
	}
	return r.store.write(b, pebble.NoSync)
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

// Finish makes the state that was restored the store's, once all chunks were applied; it is on disk then. It is fault.Invalid when the chunks were not those of the state that has the tip; then the restore is to be abandoned.
func (r *Restorer) Finish() error {
	if err := r.finish(); err != nil {
		return fmt.Errorf("restore block %d: %w", r.want.Height, err)
	}
	return nil
}

// Abandon ends a restore that is not to be finished. The store is as it was before.
func (r *Restorer) Abandon() error {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	tip, err := s.goBack()
	if err = errors.Join(err, s.thaw(tip)); err != nil {
		return fmt.Errorf("abandon a restore: %w", err)
	}
	return nil
}

func (r *Restorer) finish() error {
	if err := r.build(); err != nil {
		return err
	}
	s := r.store
	v := s.viewOf(r.want)
	if err := errors.Join(v.checkResults(), v.Close()); err != nil {
		return err
	}
	b := s.db.NewBatch()
	err := errors.Join(
		b.DeleteRange([]byte{prefixSorted}, []byte{prefixSorted + 1}, nil),
		b.Delete(metaKey(metaRestore), nil),
		b.Set(metaKey(metaFirst), binary.BigEndian.AppendUint64(nil, uint64(r.want.Height)+1), nil),
		b.Set(metaKey(metaTip), r.want.marshal(), nil),
		s.write(b, pebble.Sync))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched = true
	return s.thaw(r.want)
}

// build makes the tree, of entries sorted by the hashes of their keys, and compares its root.
func (r *Restorer) build() error {
	b := r.store.db.NewBatch()
	root, err := tree.Build(r.sorted(), func(key, page []byte) error {
		err := b.Set(pageKey(nil, key), page, nil)
		if err == nil && b.Len() > ChunkSize {
			err = r.store.write(b, pebble.NoSync)
			b = r.store.db.NewBatch()
		}
		return err
	})
	if err == nil && root != r.want.Root {
		err = fault.New(fault.Invalid, "the chunks are not of the state that they were said to be of")
	}
	if err != nil {
		return err
	}
	return r.store.write(b, pebble.NoSync)
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
