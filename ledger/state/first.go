package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// firstDir is, behind the name of the store's folder, that of the folder with the state before the first block while one that was fetched takes its place. It stays until a block follows that one: what was fetched
// may yet be dropped, and the first state of a ledger that goes on from another one can't be made of its genesis.
const firstDir = "-first"

// copyBatch is about how many bytes are brought back at once.
const copyBatch = 4 << 20

// allOfBlocks are the prefixes of all that belongs to a block.
var allOfBlocks = []byte{prefixEntry, prefixPage, prefixBlock, prefixID, prefixAccount, prefixAnchor, prefixResults, prefixProof, prefixChange, prefixSorted}

// hasFirst reports whether there is a copy of the state before the first block.
func (s *Store) hasFirst() bool {
	_, err := s.fs.Stat(s.dir + firstDir)
	return err == nil
}

// keepFirst makes a copy of the state before the first block, if there is one. It is on disk before anything is removed, and shares files with the store.
func (s *Store) keepFirst() error {
	if err := s.dropFirst(); err != nil || s.tip == (Tip{}) {
		return err
	}
	if err := s.checkpoint(s.dir+firstDir, s.fs.Await); err != nil {
		return errors.Join(err, s.dropFirst())
	}
	return nil
}

// dropFirst removes the copy.
func (s *Store) dropFirst() error {
	if err := s.fs.RemoveAll(s.dir + firstDir); err != nil {
		return fmt.Errorf("remove the copy of the first state: %w", err)
	}
	return nil
}

// goBack makes the state that of before the first block again: the one of which there is a copy, or an empty one. Until that is done the store is marked as half restored, so that a crash begins it anew. The caller holds mu.
func (s *Store) goBack() (tip Tip, err error) {
	if err := s.clear(); err != nil {
		return tip, err
	}
	end := s.db.NewBatch()
	if s.hasFirst() {
		if tip, err = s.bringBack(end); err != nil {
			return tip, errors.Join(fmt.Errorf("bring the first state back: %w", err), end.Close())
		}
	}
	err = errors.Join(end.Delete(metaKey(metaRestore), nil), s.write(end, pebble.Sync))
	if err == nil {
		err = s.dropFirst()
	}
	return tip, err
}

// bringBack copies the first state into the store, but for what makes it the state, which it adds to end.
func (s *Store) bringBack(end *pebble.Batch) (tip Tip, err error) {
	from, err := pebble.Open(s.dir+firstDir, &pebble.Options{FS: s.fs, ReadOnly: true, Logger: logger{s, s.log}, FormatMajorVersion: pebbleFormat})
	if err != nil {
		return tip, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	for _, prefix := range allOfBlocks {
		if err := s.copyAll(from, prefix); err != nil {
			return tip, err
		}
	}
	for _, name := range []string{metaTip, metaFirst} {
		value, err := get(from, metaKey(name))
		if err != nil {
			return tip, err
		}
		if value == nil {
			continue
		}
		if err := end.Set(metaKey(name), value, nil); err != nil {
			return tip, err
		}
		if name == metaTip {
			if tip, err = parseTip(value); err != nil {
				return tip, err
			}
		}
	}
	return tip, nil
}

// copyAll copies what has a prefix.
func (s *Store) copyAll(from pebble.Reader, prefix byte) error {
	b := s.db.NewBatch()
	err := ascend(from, []byte{prefix}, []byte{prefix}, func(key, value []byte) (bool, error) {
		err := b.Set(key, value, nil)
		if err == nil && b.Len() > copyBatch {
			err = s.write(b, pebble.NoSync)
			b = s.db.NewBatch()
		}
		return true, err
	})
	if err != nil {
		return errors.Join(err, b.Close())
	}
	return s.write(b, pebble.NoSync)
}
