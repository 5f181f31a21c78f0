package records

import (
	"context"
	"fmt"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// authored checks that the author may have written the record when it says that it did.
func (h *holder) authored(head *disk.Head) error {
	if h.author == nil {
		return nil
	}
	return h.author(peerIDOf(head.Author), versionOf(head.Rank).Time.Time())
}

// Disown removes the copies of this peer whose authors may not have written them any more: what an expelled peer wrote after it was expelled. It returns how many they were. All peers remove the same, so that they agree again.
func (s *Store) Disown(ctx context.Context) (removed int, err error) { return s.holder.disown(ctx) }

func (h *holder) disown(ctx context.Context) (removed int, err error) {
	removed, err = h.disk.Purge(ctx, func(head *disk.Head) bool { return fault.KindOf(h.authored(head)) == fault.Forbidden })
	if err != nil {
		return removed, fmt.Errorf("remove what expelled peers wrote: %w", err)
	}
	return removed, nil
}
