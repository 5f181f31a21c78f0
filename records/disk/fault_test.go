package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs"
	"github.com/folkmoot/folkmoot/internal/guardfs/guardfstest"
)

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause atomic.Pointer[error]
		mem := vfs.NewCrashableMem()
		d := mustOpen(t, Config{FS: guardfstest.Failing(mem, &cause)})
		mustPut(t, d, "before", 1)

		full := error(syscall.ENOSPC)
		cause.Store(&full)
		hash, head, envelope := record("stuck", 1)
		if _, err := d.Put(t.Context(), hash, head, envelope); fault.KindOf(err) != fault.Full {
			t.Fatalf("write on a full disk: %v", err)
		}
		checkRecord(t, d, "before", 1)
		hash, head, envelope = record("refused", 1)
		if _, err := d.Put(t.Context(), hash, head, envelope); fault.KindOf(err) != fault.Full {
			t.Errorf("next write on a full disk: %v", err)
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{})

		cause.Store(nil)
		time.Sleep(2 * guardfs.RetryEvery) // virtual time
		synctest.Wait()
		refused := hash
		mustPut(t, d, "after", 1)
		checkRecord(t, d, "stuck", 1) // it had been taken: not acknowledged, but not lost either
		if _, found, err := d.Head(refused); found || err != nil {
			t.Errorf("the refused write is there: %v, %v", found, err)
		}
		closeDisk(t, d)

		d = mustOpen(t, Config{FS: mem})
		for _, key := range []string{"before", "stuck", "after"} {
			checkRecord(t, d, key, 1)
		}
		closeDisk(t, d)
		d = mustOpen(t, Config{FS: crashed})
		checkRecord(t, d, "before", 1)
		closeDisk(t, d)
	})
}

func TestCloseOnAFullDisk(t *testing.T) {
	var cause atomic.Pointer[error]
	mem := vfs.NewMem()
	d := mustOpen(t, Config{FS: guardfstest.Failing(mem, &cause)})
	mustPut(t, d, "before", 1)
	full := error(syscall.ENOSPC)
	cause.Store(&full)
	hash, head, envelope := record("stuck", 1)
	if _, err := d.Put(t.Context(), hash, head, envelope); fault.KindOf(err) != fault.Full {
		t.Fatalf("write on a full disk: %v", err)
	}
	if err := d.Close(); fault.KindOf(err) != fault.Full {
		t.Errorf("close on a full disk: %v", err)
	}
	if !d.fs.Ended() {
		t.Error("what is left behind may write")
	}
	cause.Store(nil)
	d = mustOpen(t, Config{FS: mem})
	mustPut(t, d, "after", 1)
	closeDisk(t, d)
	d = mustOpen(t, Config{FS: mem})
	checkRecord(t, d, "before", 1)
	checkRecord(t, d, "after", 1)
	if _, found, err := d.Head(hash); found || err != nil {
		t.Errorf("the closed store went on writing: %v, %v", found, err)
	}
	closeDisk(t, d)
}

func TestLowDiskTakesDeletionsOnly(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: minFreeBytes - 1, TotalBytes: 1 << 30})
	d := mustOpen(t, Config{FS: mem})
	defer closeDisk(t, d)
	hash, head, envelope := record("key", 1)
	if _, err := d.Put(t.Context(), hash, head, envelope); fault.KindOf(err) != fault.Full {
		t.Errorf("write: %v", err)
	}
	head.Deleted = true
	if _, err := d.Put(t.Context(), hash, head, envelope); err != nil {
		t.Errorf("deletion: %v", err)
	}
}

func TestFailedDiskAcknowledgesNothing(t *testing.T) {
	var cause atomic.Pointer[error]
	mem := vfs.NewCrashableMem()
	d := mustOpen(t, Config{FS: guardfstest.Failing(mem, &cause)})
	mustPut(t, d, "before", 1)
	broken := error(syscall.EIO)
	cause.Store(&broken)

	var wg sync.WaitGroup
	for i := range 50 { // large enough to fill blocks of the log and to rotate it: the places where pebble panics
		wg.Go(func() {
			hash, head, _ := record(fmt.Sprint("lost", i), 1)
			if _, err := d.Put(t.Context(), hash, head, make([]byte, 512<<10)); err == nil {
				t.Errorf("write %d on a broken disk was acknowledged", i)
			}
		})
	}
	wg.Wait()
	<-d.Failed()
	if err := d.Err(); err == nil || !strings.Contains(err.Error(), "records") {
		t.Errorf("failure: %v", err)
	}
	checkRecord(t, d, "before", 1)
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	cause.Store(nil)
	hash, head, envelope := record("later", 1)
	if _, err := d.Put(t.Context(), hash, head, envelope); err == nil {
		t.Error("a failed store takes writes again without having been opened anew")
	}
	if err := d.Close(); err == nil {
		t.Error("closed as if nothing had happened")
	}
	for _, fs := range []vfs.FS{crashed, mem} {
		d = mustOpen(t, Config{FS: fs})
		checkRecord(t, d, "before", 1)
		mustPut(t, d, "after", 1)
		closeDisk(t, d)
	}
}

func TestCrashKeepsWhatWasAcknowledged(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewCrashableMem()
	acknowledged := map[string]uint64{}
	version := uint64(0)
	for range 5 {
		d := mustOpen(t, Config{FS: fs})
		for key, v := range acknowledged {
			hash, _, _ := record(key, v)
			head, found, err := d.Head(hash)
			if err != nil || !found || head.Rank.Compare(rank(v)) < 0 {
				t.Fatalf("%q at %d was acknowledged; after the crash %+v, %v, %v", key, v, head, found, err)
			}
			if got, err := d.Envelope(hash); err != nil || !strings.HasPrefix(string(got), key+" at ") {
				t.Fatalf("%q is half-written: %q, %v", key, got, err)
			}
		}
		var mu sync.Mutex // guards acknowledged
		var wg sync.WaitGroup
		enough := make(chan struct{}, 8*1000)
		ctx, stop := context.WithCancel(t.Context())
		for w := range 8 {
			base := version + uint64(w)
			wg.Go(func() {
				for i := range uint64(1000) {
					key, v := fmt.Sprint("key", (base+i)%97), base+i*8+1
					hash, head, envelope := record(key, v)
					_, err := d.Put(ctx, hash, head, envelope)
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					if err != nil {
						return
					}
					mu.Lock()
					acknowledged[key] = max(acknowledged[key], v)
					mu.Unlock()
					enough <- struct{}{}
				}
			})
		}
		for range 300 {
			<-enough
		}
		mu.Lock() // what is acknowledged from here on need not be in the clone
		version += 10_000
		snapshot := maps.Clone(acknowledged)
		mu.Unlock()
		fs2 := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
		stop()
		wg.Wait()
		closeDisk(t, d)
		fs, acknowledged = fs2, snapshot
	}
}
