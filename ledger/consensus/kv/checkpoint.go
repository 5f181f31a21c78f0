package kv

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Checkpoint makes dir, which must not be there and is on the same disk, a copy of the store with all that was written before. It shares files with the store and so takes hardly any room or time.
func (s *Store) Checkpoint(dir string) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("copy the chain's store: %w", err)
	}
	return nil
}
