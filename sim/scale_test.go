//go:build sim

package sim_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/internal/wires"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	scaleRecords = 2000
	scaleCallers = 16
	scaleIdle    = 30 * time.Second
)

// TestCrowdScale measures how costs grow with the network: processor time, which does not care that time is simulated, and round trips. Its table is for docs/measurements.md; it fails when peers do not
// find one another, or an operation fails.
func TestCrowdScale(t *testing.T) {
	for _, n := range []int{8, 32, 128, 256, 512} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			seed := seedOf(t, 0)
			t.Logf("seed %d", seed)
			synctest.Test(t, func(t *testing.T) { measureScale(t, n, mathrand.New(mathrand.NewPCG(seed, 0))) })
		})
	}
}

func measureScale(t *testing.T, n int, rng *mathrand.Rand) {
	id, err := swarm.OpenNetwork("scale")
	if err != nil {
		t.Fatal(err)
	}
	empty := heap()
	c := &crowd{t: t, rng: rng, wires: wires.New(crowdLatency), network: id}
	defer c.end()
	began := cpu(t)
	for range n {
		c.add()
		time.Sleep(20 * time.Millisecond)
	}
	c.awaitMesh(n)
	c.awaitSynced()
	formed := cpu(t) - began

	idle := cpu(t)
	time.Sleep(scaleIdle)
	idle = (cpu(t) - idle) / time.Duration(n) / time.Duration(scaleIdle/time.Second)
	memory, conns := float64(heap()-empty)/float64(n)/(1<<20), 0
	for _, p := range c.peers {
		conns += len(p.host.Network().Conns())
	}
	put, putTrips := c.load(idle*time.Duration(n), func(p *crowdPeer, key string) error {
		_, err := p.Put(t.Context(), key, make([]byte, 256), records.PutOptions{})
		return err
	})
	get, getTrips := c.load(idle*time.Duration(n), func(p *crowdPeer, key string) error {
		_, err := p.Get(t.Context(), key, records.GetOptions{})
		return err
	})
	t.Logf("| %d | %.1f MiB | %d | %.0f ms | %.2f ms/s | %.2f ms | %.1f | %.2f ms | %.1f |", n, memory, conns/n, ms(formed)/float64(n), ms(idle),
		ms(put), quantile(putTrips, 0.99), ms(get), quantile(getTrips, 0.99))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func cpu(t *testing.T) time.Duration {
	d, err := measure.CPU()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// awaitMesh waits until every peer has all n in view.
func (c *crowd) awaitMesh(n int) {
	c.t.Helper()
	c.await("not all peers see one another", func(p *crowdPeer) bool { return p.membership.View().Count(routing.Alive) == n })
}

// awaitSynced waits until every store is in sync.
func (c *crowd) awaitSynced() {
	c.t.Helper()
	c.await("not all stores are in sync", func(p *crowdPeer) bool {
		s := p.Stats()
		return s.ShardsHeld > 0 && s.ShardsSynced == s.ShardsHeld
	})
}

func (c *crowd) await(otherwise string, holds func(p *crowdPeer) bool) {
	c.t.Helper()
	for range 600 {
		if !slices.ContainsFunc(c.peers, func(p *crowdPeer) bool { return !holds(p) }) {
			return
		}
		time.Sleep(time.Second)
	}
	c.t.Fatal(otherwise)
}

// load has callers do something with each record through random peers. It returns the processor time of each, less what all peers take when idle, and how long they took in round trips, sorted.
func (c *crowd) load(idle time.Duration, do func(p *crowdPeer, key string) error) (each time.Duration, roundTrips []float64) {
	c.t.Helper()
	var mu sync.Mutex
	var callers sync.WaitGroup
	next, start, before := 0, time.Now(), cpu(c.t)
	for range scaleCallers {
		callers.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				p := c.pick()
				mu.Unlock()
				if i >= scaleRecords {
					return
				}
				began := time.Now()
				if err := do(p, fmt.Sprint("key", i)); err != nil {
					c.t.Error(err)
				}
				mu.Lock()
				roundTrips = append(roundTrips, float64(time.Since(began))/float64(2*crowdLatency))
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	used := cpu(c.t) - before - time.Duration(time.Since(start).Seconds()*float64(idle))
	slices.Sort(roundTrips)
	return used / scaleRecords, roundTrips
}
