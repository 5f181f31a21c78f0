package disk

import (
	"context"
	"fmt"
)

// Purge removes the records that are due by their heads, tombstones among them. due is called from one goroutine at a time, perhaps twice for a record. It returns how many it removed.
func (d *Disk) Purge(ctx context.Context, due func(head *Head) bool) (removed int, err error) {
	dueHead := func(key, value []byte) bool {
		head, err := unmarshalHead(value)
		if err != nil {
			d.damaged("purge", fmt.Sprintf("%x", key[1:]), err)
			return false
		}
		return due(&head)
	}
	removed, err = d.sweep(ctx, spaceHead, dueHead, func(tx *tx, key []byte) error {
		_, err := tx.remove(Hash(key[1:]), due)
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("purge records: %w", err)
	}
	return removed, nil
}
