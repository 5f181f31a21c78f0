package sim_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

// crowdTrips is the most round trips that 99 % of operations take.
const crowdTrips = 10

// TestLosingATenth: so many peers form one network, a tenth of which is lost at once while records are written.
func TestLosingATenth(t *testing.T) {
	t.Run("all in view", func(t *testing.T) { loseATenth(t, sized(20, 64), sized(60, 500), 0) })
	t.Run("some in view", func(t *testing.T) { loseATenth(t, 64, 60, 48) })
}

// loseATenth puts so many records in a network of n peers whose views hold at most maxView, or 0 where they hold all.
func loseATenth(t *testing.T, n, count, maxView int) {
	inCrowd(t, maxView, func(t *testing.T, c *crowd) {
		for range n {
			c.add()
			time.Sleep(joinEvery)
		}
		start := time.Now()
		c.awaitViews()
		t.Logf("%d peers have one another in view, or as many as they may, %v after the last began", n, time.Since(start))
		c.awaitSynced()
		t.Logf("all are in sync %v after the last began", time.Since(start))

		before := newAcknowledged(c, "before")
		c.checkTrips("PUT", c.load(count, before.put))
		before.complete = true
		c.awaitPlacement("written", before.list(), crowdRepair)
		c.checkTrips("GET", c.load(count, before.get))

		during := newAcknowledged(c, "during")
		var begun atomic.Int64
		c.load(count, func(p *crowdPeer, key string) {
			if begun.Add(1) == int64(count/2) {
				c.kill(c.some(n / 10)...)
			}
			during.put(p, key)
		})
		for _, after := range []time.Duration{0, 3 * time.Second, 10 * time.Second} {
			time.Sleep(after)
			t.Logf("%v later, of those from before: %v; of those written meanwhile: %v", after, before.read(), during.read())
		}
		c.awaitViews()
		var kept []string
		for _, a := range []*acknowledged{before, during} {
			kept = append(kept, a.kept()...)
		}
		c.awaitPlacement(fmt.Sprintf("%d of %d lost", n/10, n), kept, crowdRepair)
		before.check()
		during.check()
		c.checkTrips("PUT after the loss", c.load(count, newAcknowledged(c, "after").put))
	})
}

// checkTrips fails unless nearly all operations were quick.
func (c *crowd) checkTrips(what string, trips []float64) {
	c.t.Helper()
	p99 := quantile(trips, 0.99)
	c.t.Logf("%s: p50 %.1f, p99 %.1f, worst %.1f round trips", what, quantile(trips, 0.5), p99, trips[len(trips)-1])
	if p99 >= crowdTrips {
		c.t.Errorf("%s: p99 is %.1f round trips, want less than %d", what, p99, crowdTrips)
	}
}

// acknowledged are records that were written, and what is promised of them.
type acknowledged struct {
	c        *crowd
	prefix   string
	complete bool // all were at full count before anybody was lost

	mu   sync.Mutex
	keys map[string][]*crowdPeer // guarded by mu; those acknowledged to a peer that lived, with their holders when they were written
}

func newAcknowledged(c *crowd, prefix string) *acknowledged {
	return &acknowledged{c: c, prefix: prefix, keys: map[string][]*crowdPeer{}}
}

func (a *acknowledged) put(p *crowdPeer, key string) {
	key = a.prefix + key
	holders := a.c.holders(key)
	lost := a.c.lost()
	w, err := p.Put(a.c.t.Context(), key, []byte("value of "+key), records.PutOptions{})
	switch {
	case !a.c.lives(p):
		return // nobody hears what it was told
	case err != nil && lost == 0 && a.c.lost() == 0:
		a.c.t.Errorf("put %q: %v", key, err)
		return
	case err != nil:
		return
	case w.Stored < w.Wanted/2+1:
		a.c.t.Errorf("put %q: %d of %d copies", key, w.Stored, w.Wanted)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[key] = holders
}

// get reads a record that must be there.
func (a *acknowledged) get(p *crowdPeer, key string) {
	key = a.prefix + key
	if r, err := p.Get(a.c.t.Context(), key, records.GetOptions{}); err != nil || string(r.Value) != "value of "+key {
		a.c.t.Errorf("get %q = %q, %v", key, r.Value, err)
	}
}

func (a *acknowledged) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := make([]string, 0, len(a.keys))
	for key := range a.keys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// kept returns those that are promised to survive: not those that were acknowledged by a quorum and lost one, nor those all of whose holders were lost.
func (a *acknowledged) kept() []string {
	return slices.DeleteFunc(a.list(), func(key string) bool {
		lost := 0
		for _, p := range a.keys[key] {
			if !a.c.lives(p) {
				lost++
			}
		}
		most := 2
		if a.complete {
			most = 4
		}
		return lost > most
	})
}

// found is what reads came to.
type found struct{ read, unavailable int }

func (f found) String() string {
	return fmt.Sprintf("%d read, %d unavailable", f.read, f.unavailable)
}

// read reads all through any peers that live, at once. Nobody is told that there is no such record.
func (a *acknowledged) read() (f found) {
	var mu sync.Mutex
	keys := a.list()
	next := 0
	a.c.load(len(keys), func(p *crowdPeer, _ string) {
		mu.Lock()
		key := keys[next]
		next++
		mu.Unlock()
		r, err := p.Get(a.c.t.Context(), key, records.GetOptions{})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil && string(r.Value) == "value of "+key:
			f.read++
		case fault.KindOf(err) == fault.Unavailable:
			f.unavailable++
		default:
			a.c.t.Errorf("get %q = %q, %v", key, r.Value, err)
		}
	})
	return f
}

// check fails unless what is promised to survive has.
func (a *acknowledged) check() {
	a.c.t.Helper()
	all, kept, f := a.list(), a.kept(), a.read()
	a.c.t.Logf("%s: of %d acknowledged %d are promised to survive; %v", a.prefix, len(all), len(kept), f)
	if f.read < len(kept) {
		a.c.t.Errorf("%s: %d of %d that were to survive can be read", a.prefix, f.read, len(kept))
	}
}

// lives says whether a peer is there still.
func (c *crowd) lives(p *crowdPeer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !p.dead
}

// lost returns how many peers were lost.
func (c *crowd) lost() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.peers {
		if p.dead {
			n++
		}
	}
	return n
}
