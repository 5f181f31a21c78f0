package state

import "github.com/cockroachdb/pebble/v2"

// DropProof removes the proof of a block, as if a crash had come before it was written.
func (s *Store) DropProof(height int64) error { return s.db.Delete(proofKey(height), pebble.Sync) }
