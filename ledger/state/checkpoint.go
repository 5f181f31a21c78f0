package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs"
)

// Checkpoint makes dir, which must not be there and is on the same disk, a copy of the store with all that was committed before. It shares files with the store and so takes hardly any room or time. It is fault.Full when the
// disk is full: then dir may be written to yet once there is room.
func (s *Store) Checkpoint(dir string) error { return s.checkpoint(dir, s.fs.Try) }

// checkpoint is Checkpoint; guarded carries it out.
func (s *Store) checkpoint(dir string, guarded func(func() error) error) error {
	err := guarded(func() error { return s.db.Checkpoint(dir, pebble.WithFlushedWAL()) })
	if failed := s.Err(); failed != nil { // pebble may have failed in the middle of it
		err = failed
	}
	switch {
	case err == nil:
		return nil
	case guardfs.IsFull(err):
		return fault.New(fault.Full, "copy the ledger's state: the disk is full: %w", err)
	case errors.Is(err, guardfs.ErrEnded):
		return fault.New(fault.Unavailable, "copy the ledger's state: %w", err)
	}
	return fmt.Errorf("copy the ledger's state: %w", err)
}
