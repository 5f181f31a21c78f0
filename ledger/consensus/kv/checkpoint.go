package kv

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Checkpoint makes dir, which must not be there and is on the same disk, a copy of the store with all that was written before. It shares files with the store and so takes hardly any room or time. It is fault.Full when the
// disk is full: then dir may be written to yet once there is room.
func (s *Store) Checkpoint(dir string) error {
	err := only(s.write(func() error { return s.db.Checkpoint(dir, pebble.WithFlushedWAL()) }))
	if err != nil {
		return fmt.Errorf("copy the chain's store: %w", err)
	}
	return nil
}
