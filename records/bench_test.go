package records_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

// realNetwork opens n stores on hosts that talk over loopback TCP.
func realNetwork(b *testing.B, n int, noSync bool) []*records.Store {
	b.Helper()
	network, err := swarm.OpenNetwork("bench")
	if err != nil {
		b.Fatal(err)
	}
	hosts := make([]host.Host, n)
	keys := make([]crypto.PrivKey, n)
	var members []routing.Member
	for i := range hosts {
		keys[i], _ = newKey(b)
		hosts[i], err = swarm.NewHost(swarm.Config{Key: keys[i], Network: network, Listen: loopback(b)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { hosts[i].Close() })
		members = append(members, routing.Member{ID: hosts[i].ID(), Addrs: hosts[i].Addrs(), State: routing.Alive})
	}
	slices.SortFunc(members, func(a, b routing.Member) int { return cmp.Compare(a.ID, b.ID) })
	stores := make([]*records.Store, n)
	for i := range stores {
		v := new(viewer)
		v.set(&routing.View{Self: hosts[i].ID(), Members: members})
		stores[i], err = records.Open(records.Config{Host: hosts[i], Key: keys[i], Network: network, Viewer: v, Dir: b.TempDir(), NoSync: noSync})
		if err != nil {
			b.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() {
			if err := stores[i].Run(context.Background()); err != nil { // until it is closed
				b.Error(err)
			}
		})
		b.Cleanup(func() {
			if err := stores[i].Close(); err != nil {
				b.Error(err)
			}
			running.Wait()
		})
	}
	for _, s := range stores {
		for st := s.Stats(); st.ShardsHeld == 0 || st.ShardsSynced < st.ShardsHeld; st = s.Stats() {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return stores
}

// cpuTime is the processor time of the whole process, which is all peers.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// measure runs op b.N times from the given number of callers and reports operations a second and processor time for each, over all peers.
func measure(b *testing.B, callers int, op func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := op(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "ops/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
}

// BenchmarkStore measures 200-byte records; BenchmarkStore/peers=32 with 64 callers is comparable with the prototypes.
func BenchmarkStore(b *testing.B) {
	const keys = 2000
	value := make([]byte, 200)
	for _, peers := range []int{1, 5, 32} {
		for _, sync := range []bool{false, true} {
			b.Run(fmt.Sprintf("peers=%d/sync=%v", peers, sync), func(b *testing.B) {
				stores := realNetwork(b, peers, !sync)
				put := func(i int) error {
					_, err := stores[i%peers].Put(b.Context(), fmt.Sprint("key", i%keys), value, records.PutOptions{})
					return err
				}
				get := func(i int) error {
					_, err := stores[i*7%peers].Get(b.Context(), fmt.Sprint("key", i%keys), records.GetOptions{})
					return err
				}
				for i := range keys {
					if err := put(i); err != nil {
						b.Fatal(err)
					}
				}
				for _, callers := range []int{1, 64} {
					b.Run(fmt.Sprint("put/callers=", callers), func(b *testing.B) { measure(b, callers, put) })
					b.Run(fmt.Sprint("get/callers=", callers), func(b *testing.B) { measure(b, callers, get) })
				}
			})
		}
	}
}
