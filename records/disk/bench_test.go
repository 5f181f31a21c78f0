package disk

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// benchmarkRecords are the keys that the benchmarks write to in turn, so that most writes replace a record.
const benchmarkRecords = 20_000

func benchmarkUpdate(i int) Update {
	key := fmt.Sprintf("bench/key-%06d", i%benchmarkRecords)
	return Update{sha256.Sum256([]byte(key)), Head{Key: key, Rank: rank(uint64(i + 1)), Size: 256}, make([]byte, 400)}
}

func benchmarkOpen(b *testing.B, cfg Config) *Disk {
	b.Helper()
	d, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return d
}

// reportCPU reports the CPU that the process spends until the returned function is called, compactions included.
func reportCPU(b *testing.B) func() {
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := spent()
	return func() { b.ReportMetric(float64(spent()-start)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkPut measures writes by 64 callers at a time, synced.
func BenchmarkPut(b *testing.B) {
	benchmarkPut(b, benchmarkOpen(b, Config{Dir: b.TempDir()}))
}

// BenchmarkPutUnsynced measures them without the disk's share.
func BenchmarkPutUnsynced(b *testing.B) {
	benchmarkPut(b, benchmarkOpen(b, Config{Dir: "records", FS: vfs.NewMem(), NoSync: true}))
}

func benchmarkPut(b *testing.B, d *Disk) {
	var next atomic.Int64
	defer reportCPU(b)()
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			u := benchmarkUpdate(int(next.Add(1)))
			if _, err := d.Put(b.Context(), u.Hash, u.Head, u.Envelope); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkPutMany(b *testing.B) {
	d := benchmarkOpen(b, Config{Dir: "records", FS: vfs.NewMem(), NoSync: true})
	updates := make([]Update, 256)
	defer reportCPU(b)()
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(updates) {
		for j := range updates {
			updates[j] = benchmarkUpdate(i + j)
		}
		if _, err := d.PutMany(b.Context(), updates); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDigest asks for a shard's digest of a moment ago while there are many changes.
func BenchmarkDigest(b *testing.B) {
	d := benchmarkOpen(b, Config{Dir: "records", FS: vfs.NewMem(), NoSync: true})
	for i := 0; i < maxLogged; i += 256 {
		var updates []Update
		for j := range 256 {
			updates = append(updates, benchmarkUpdate(i+j))
		}
		if _, err := d.PutMany(b.Context(), updates); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		d.Digest(Shard(rand.N(Shards)), maxLogged/2)
	}
}
