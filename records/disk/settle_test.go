package disk

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestSettle reads a record while the disk takes its time to sync it: it is not counted yet, and is once Settle returns.
func TestSettle(t *testing.T) {
	const delay = time.Second
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		d := mustOpen(t, Config{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
				if slow.Load() {
					time.Sleep(delay)
				}
			}
			return nil
		}))})
		hash, head, envelope := record("key", 1)
		shard := ShardOf(hash)
		slow.Store(true)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := d.Put(t.Context(), hash, head, envelope); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(delay / 2)
		items, _, err := d.Heads(shard, Hash{}, 1)
		if err != nil || len(items) != 1 {
			t.Fatalf("while it is synced: %d records, %v", len(items), err)
		}
		if digest, _ := d.Digest(shard, math.MaxUint64); digest.Records != 0 {
			t.Fatal("counted before it is synced: nothing is to be waited for")
		}
		if err := d.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		if digest, _ := d.Digest(shard, math.MaxUint64); digest.Records != 1 {
			t.Errorf("settled, and %d records are counted", digest.Records)
		}
		slow.Store(false)
		wg.Wait()
		closeDisk(t, d)
	})
}
