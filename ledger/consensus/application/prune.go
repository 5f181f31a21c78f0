package application

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// MinKept is the least number of blocks that a node may be told to keep.
	MinKept = 100
	// pruneStep is how many blocks are removed at once at least, since what was committed is synced before, and maxPruned how many at most, so that blocks are not held up where there are many.
	pruneStep, maxPruned = 100, 500
)

// prune removes the oldest blocks where there are more than are to be kept, and returns the lowest that is left; 0: none was removed. The blocks of the hour before the last transaction stay, since those in them must not come again, and those
// from that of the oldest snapshot on: who fetches it needs them.
func (a *Application) prune(height int64) (int64, error) {
	if a.cfg.Kept == 0 {
		return 0, nil
	}
	first, recent, err := a.bounds(height)
	if err != nil {
		return 0, err
	}
	to := min(height-a.cfg.Kept+1, recent)
	if list := a.List(); len(list) > 0 {
		to = min(to, list[0].Height)
	}
	if to-first < pruneStep {
		return 0, nil
	}
	to = min(to, first+maxPruned)
	// Blocks that are not on disk here are handed in again after a power cut: so they are on disk before they go elsewhere.
	if err := errors.Join(a.cfg.Store.Sync(), a.cfg.Store.Prune(to)); err != nil {
		return 0, fmt.Errorf("remove the blocks below %d: %w", to, err)
	}
	return to, nil
}

// bounds returns the lowest block that is kept, and the lowest of the last hour with transactions, or the given one if there is none.
func (a *Application) bounds(height int64) (first, recent int64, err error) {
	v := a.cfg.Store.View()
	first, err = v.First()
	recent = height
	if err == nil {
		err = v.Ascend(ledger.RecentBlocks(), func(key, _ []byte) bool {
			recent = int64(binary.BigEndian.Uint64(key[1:]))
			return false
		})
	}
	return max(first, 1), recent, errors.Join(err, v.Close())
}
