package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

// View is the state after one block, whatever the store does meanwhile. It may be used by many goroutines, and is to be closed.
type View struct {
	// Tip is the block.
	Tip     Tip
	network ledger.Hash
	snap    *pebble.Snapshot
	tree    *tree.Tree
	entries *entries
	ids     *recentIDs
	store   *Store
	frozen  *frozen // whose snap is, nil: the view's own
}

// View returns the state after the last block.
func (s *Store) View() *View {
	s.mu.RLock()
	if s.frozen == nil {
		defer s.mu.RUnlock()
		return s.view()
	}
	s.mu.RUnlock()
	s.mu.Lock() // frozen counts its views
	defer s.mu.Unlock()
	return s.view()
}

// view returns it while s.mu is held.
func (s *Store) view() *View {
	if s.frozen == nil {
		return s.viewOf(s.tip)
	}
	s.frozen.views++
	return &View{Tip: s.frozen.tip, network: s.network, snap: s.frozen.snap, tree: tree.At(pages{s.frozen.snap}, s.frozen.tip.Root, s.pages), entries: s.entries, ids: s.ids, store: s, frozen: s.frozen}
}

// viewOf returns a view of what is on disk, which is the state of a tip.
func (s *Store) viewOf(tip Tip) *View {
	snap := s.db.NewSnapshot()
	return &View{Tip: tip, network: s.network, snap: snap, tree: tree.At(pages{snap}, tip.Root, s.pages), entries: s.entries, ids: s.ids, store: s}
}

// Close ends the view.
func (v *View) Close() error {
	if v.frozen == nil {
		return v.snap.Close()
	}
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	if v.frozen.views--; v.frozen.views == 0 && v.frozen.over {
		return v.frozen.snap.Close()
	}
	return nil
}

// Get returns the value under a key of the state, nil where there is none. The caller does not change it.
func (v *View) Get(key []byte) ([]byte, error) {
	if value, ok := v.entries.get(v.Tip, key); ok {
		return value, nil
	}
	var room [64]byte
	value, err := get(v.snap, entryKey(room[:], key))
	if err == nil {
		v.entries.add(v.Tip, key, value)
	}
	return value, err
}

// Ascend calls f for the entries whose keys begin with prefix, in the order of keys, until it returns false. Key and value are good during the call.
func (v *View) Ascend(prefix []byte, f func(key, value []byte) bool) error {
	return ascend(v.snap, entryKey(nil, prefix), entryKey(nil, prefix), func(key, value []byte) (bool, error) { return f(key[1:], value), nil })
}

// Prove returns the value under a key, nil where there is none, and the proof that this is so in the tree of Tip.Root.
func (v *View) Prove(key []byte) (value []byte, proof *tree.Proof, err error) {
	if value, err = v.Get(key); err != nil {
		return nil, nil, err
	}
	proof, err = v.tree.Prove(tree.HashKey(key))
	return value, proof, err
}

// Find returns where a transaction is; ok is false where it is in no block that is kept.
func (v *View) Find(id ledger.TransactionID) (at Position, ok bool, err error) {
	data, err := get(v.snap, idKey(&id))
	if err != nil || data == nil {
		return Position{}, false, err
	}
	if len(data) != positionSize {
		return Position{}, false, errDamaged("index of transactions")
	}
	return positionFrom(data), true, nil
}

// Seen reports whether a transaction that no block before a time may hold, in milliseconds since 1970, is in a block that has an entry among the recent ones.
func (v *View) Seen(id ledger.TransactionID, from int64) (bool, error) {
	if v.ids.absent(v.Tip, &id, from) {
		return false, nil
	}
	at, ok, err := v.Find(id)
	if err != nil || !ok {
		return false, err
	}
	recent, err := v.Get(ledger.RecentKey(at.Height))
	return recent != nil, err
}

// History returns where the transactions of an account are, newest first: at most limit of those before a position, of which the zero value means the end.
func (v *View) History(account ledger.AccountID, before Position, limit int) ([]Position, error) {
	first := append([]byte{prefixAccount}, account[:]...)
	last := above(first)
	if before != (Position{}) {
		last = accountKey(&account, before)
	}
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: last})
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", account, err)
	}
	var found []Position
	for ok := it.Last(); ok && len(found) < limit; ok = it.Prev() {
		if key := it.Key(); len(key) == len(first)+positionSize {
			found = append(found, positionFrom(key[len(first):]))
		}
	}
	return found, errors.Join(it.Error(), it.Close())
}

// Anchors returns where transactions are that anchored a digest, oldest first, at most limit, of the blocks that are kept.
func (v *View) Anchors(digest ledger.Hash, limit int) (found []Position, err error) {
	prefix := append([]byte{prefixAnchor}, digest[:]...)
	err = ascend(v.snap, prefix, prefix, func(key, _ []byte) (bool, error) {
		if len(key) != len(prefix)+positionSize {
			return false, errDamaged("index of anchors")
		}
		found = append(found, positionFrom(key[len(prefix):]))
		return len(found) < limit, nil
	})
	return found, err
}

// Block returns a block that is kept, nil where there is none of that height.
func (v *View) Block(height int64) (*Block, error) {
	data, err := get(v.snap, blockKey(height))
	if err != nil || data == nil {
		return nil, err
	}
	b, err := parseBlock(v.network, data)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", height, err)
	}
	b.Height = height
	return b, nil
}

// First returns the height of the lowest block that is kept; 0: none is missing.
func (v *View) First() (int64, error) {
	data, err := get(v.snap, metaKey(metaFirst))
	if err != nil || data == nil {
		return 0, err
	}
	if len(data) != 8 {
		return 0, errDamaged("lowest block")
	}
	return int64(binary.BigEndian.Uint64(data)), nil
}

// ValidatorChanges returns the heights from first to last of the blocks that changed a validator, in ascending order. Those of blocks that were pruned are among them.
func (v *View) ValidatorChanges(first, last int64) (heights []int64, err error) {
	err = ascend(v.snap, []byte{prefixChange}, changeKey(first), func(key, _ []byte) (bool, error) {
		height := int64(binary.BigEndian.Uint64(key[1:]))
		if height > last {
			return false, nil
		}
		heights = append(heights, height)
		return true, nil
	})
	return heights, err
}

// ascend calls f for the keys from first on that begin with prefix, until it returns false or an error.
func ascend(r pebble.Reader, prefix, first []byte, f func(key, value []byte) (bool, error)) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: above(prefix)})
	if err != nil {
		return fmt.Errorf("read the ledger's state: %w", err)
	}
	more := true
	for ok := it.First(); ok && more && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			more, err = f(it.Key(), value)
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

var (
	_ ledger.View = (*View)(nil)
	_ ledger.Seen = (*View)(nil)
	_ ledger.Many = (*View)(nil)
)

// pages are those of the tree in pebble.
type pages struct{ pebble.Reader }

// Page returns one.
func (p pages) Page(key []byte) ([]byte, error) {
	var room [64]byte
	return get(p, pageKey(room[:], key))
}
