package records_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
)

func watch(t *testing.T, n *node, opts records.WatchOptions) *records.Watcher {
	t.Helper()
	w, err := n.Watch(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// nextChange returns the next change that the watch tells within a minute.
func nextChange(t *testing.T, w *records.Watcher) records.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := w.Next(ctx)
	if err != nil || e.Kind != records.Changed {
		t.Fatalf("next = %+v, %v; want a change", e, err)
	}
	return e.Record
}

// wantQuiet checks that the watch tells nothing for a while.
func wantQuiet(t *testing.T, w *records.Watcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if e, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("next = %+v, %v; want nothing", e, err)
	}
}

func TestWatch(t *testing.T) {
	simulate(t, 6, func(t *testing.T, s *simulation) {
		put(t, s.nodes[1], "a/old", "before the watch", records.All)
		w := watch(t, s.nodes[0], records.WatchOptions{Prefix: "a/", Values: true})
		put(t, s.nodes[2], "b/other", "another prefix", records.All)
		written := put(t, s.nodes[3], "a/new", "value", records.Quorum)
		within(t, 200*time.Millisecond, "an event", func() {
			r := nextChange(t, w)
			if r.Key != "a/new" || string(r.Value) != "value" || r.Version != written.Version || r.Author != s.nodes[3].host.ID() || r.Deleted {
				t.Errorf("change = %+v", r)
			}
		})
		if _, err := s.nodes[4].Delete(t.Context(), "a/old", records.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if r := nextChange(t, w); r.Key != "a/old" || !r.Deleted || len(r.Value) > 0 {
			t.Errorf("change = %+v", r)
		}
		wantQuiet(t, w)
		cursor := w.Cursor()
		w.Close()
		if _, err := w.Next(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("next of a closed watch: %v", err)
		}

		put(t, s.nodes[1], "a/meanwhile", "nobody watches", records.All)
		w = watch(t, s.nodes[5], records.WatchOptions{Prefix: "a/", Cursor: cursor}) // at another peer
		if r := nextChange(t, w); r.Key != "a/meanwhile" || r.Value != nil {
			t.Errorf("change = %+v", r)
		}
		wantQuiet(t, w)
		w.Close()
	})
}

func TestWatchCursors(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *simulation) {
		w := watch(t, s.nodes[0], records.WatchOptions{})
		cursor := w.Cursor()
		w.Close()
		for what, opts := range map[string]records.WatchOptions{
			"garbage":        {Cursor: "garbage!"},
			"cut off":        {Cursor: cursor[:len(cursor)-4]},
			"another prefix": {Cursor: cursor, Prefix: "x"},
			"too long":       {Cursor: strings.Repeat("A", 1<<20)},
		} {
			_, err := s.nodes[1].Watch(t.Context(), opts)
			wantKind(t, what, err, fault.Invalid, "cursor")
		}
		_, err := s.nodes[1].Watch(t.Context(), records.WatchOptions{Prefix: strings.Repeat("p", records.MaxKey+1)})
		wantKind(t, "prefix", err, fault.TooLarge)

		s.advance(8 * 24 * time.Hour)
		for what, cursor := range map[string]string{"old": cursor, "of a newer program": "_w"} {
			w := watch(t, s.nodes[1], records.WatchOptions{Cursor: cursor})
			if e, err := w.Next(t.Context()); err != nil || e.Kind != records.Lost || e.Reason == "" {
				t.Errorf("%s: %+v, %v", what, e, err)
			}
			put(t, s.nodes[2], what, "value", records.Quorum)
			if r := nextChange(t, w); r.Key != what {
				t.Errorf("%s: %+v", what, r)
			}
			w.Close()
		}
	})
}

// TestWatchTellsWhoIsMissing: changes may be late, and are not lost.
func TestWatchTellsWhoIsMissing(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		w := watch(t, s.nodes[0], records.WatchOptions{})
		frozen := s.nodes[2:]
		states := map[*node]routing.State{}
		var ids []peer.ID
		for _, n := range frozen {
			n.frozen.Store(true)
			states[n] = routing.Suspect
			ids = append(ids, n.host.ID())
		}
		slices.Sort(ids)
		s.setViews(s.nodes, states)
		if e, err := w.Next(t.Context()); err != nil || e.Kind != records.Incomplete || !slices.Equal(e.Missing, ids) {
			t.Errorf("next = %+v, %v", e, err)
		}
		if _, err := s.nodes[1].Put(t.Context(), "key", []byte("v"), records.PutOptions{Consistency: records.One}); err != nil {
			t.Fatal(err)
		}
		wantQuiet(t, w)
		for _, n := range frozen {
			n.frozen.Store(false)
		}
		s.setViews(s.nodes, nil)
		seen := map[records.EventKind]int{}
		for seen[records.Changed] == 0 || seen[records.Complete] == 0 {
			e, err := w.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seen[e.Kind]++
		}
		w.Close()
	})
}

// A collector takes what a watch tells and holds it to the promise.
type collector struct {
	mu     sync.Mutex
	newest map[string]records.Version // guarded by mu
	events int                        // guarded by mu
}

// follow takes events until ctx is over, and returns from where to go on.
func (c *collector) follow(ctx context.Context, t *testing.T, n *node, cursor string) string {
	w, err := n.Watch(context.WithoutCancel(ctx), records.WatchOptions{Cursor: cursor})
	if err != nil {
		t.Error(err)
		return cursor
	}
	defer w.Close()
	for {
		e, err := w.Next(ctx)
		if err != nil {
			return w.Cursor()
		}
		if e.Kind == records.Lost {
			t.Errorf("lost: %s", e.Reason)
		}
		if e.Kind == records.Changed {
			c.take(t, &e)
		}
	}
}

func (c *collector) take(t *testing.T, e *records.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events++
	if e.Record.Version.Compare(c.newest[e.Record.Key]) < 0 {
		t.Errorf("%q went back from %s to %s", e.Record.Key, c.newest[e.Record.Key], e.Record.Version)
	}
	c.newest[e.Record.Key] = e.Record.Version
}

// lacks returns the keys whose newest acknowledged version was not told.
func (c *collector) lacks(acknowledged map[string]records.Version) (keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(acknowledged)) {
		if c.newest[key].Compare(acknowledged[key]) < 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

// A workload writes and deletes records at random and remembers what was acknowledged.
type workload struct {
	mu           sync.Mutex
	acknowledged map[string]records.Version // guarded by mu; the newest
}

func (l *workload) run(t *testing.T, s *simulation, n *node, writes int, seed uint64) {
	for i := range writes {
		key := fmt.Sprint("key", (seed+uint64(i)*7919)%40)
		var w records.Written
		var err error
		if (seed+uint64(i))%5 == 0 {
			w, err = n.Delete(t.Context(), key, records.PutOptions{})
		} else {
			w, err = n.Put(t.Context(), key, fmt.Append(nil, seed, i), records.PutOptions{})
		}
		if err == nil {
			l.mu.Lock()
			if w.Version.Compare(l.acknowledged[key]) > 0 {
				l.acknowledged[key] = w.Version
			}
			l.mu.Unlock()
		}
		time.Sleep(time.Duration(20+(seed+uint64(i))%50) * time.Millisecond)
	}
}

// TestWatchMisses nothing that was acknowledged, though writers race, peers crash and freeze, packets are lost, and the watch is taken up again and again, by its cursor alone, at other
// peers.
func TestWatchMissesNothing(t *testing.T) {
	simulate(t, 8, func(t *testing.T, s *simulation) {
		c := collector{newest: map[string]records.Version{}}
		l := workload{acknowledged: map[string]records.Version{}}
		watching, stop := context.WithCancel(t.Context())
		var watchers, writers sync.WaitGroup
		cursor := watch(t, s.nodes[0], records.WatchOptions{}).Cursor() // what is written from now on is told
		lives := make([]time.Duration, 1000)
		for i := range lives {
			lives[i] = time.Duration(s.rng.Int64N(int64(3 * time.Second)))
		}
		watchers.Go(func() {
			for i := 0; watching.Err() == nil; i++ {
				ctx, cancel := context.WithTimeout(watching, lives[i%len(lives)])
				cursor = c.follow(ctx, t, s.nodes[i%4], cursor)
				cancel()
			}
		})
		for i := range 4 { // these don't crash
			seed := s.rng.Uint64N(1 << 20)
			writers.Go(func() { l.run(t, s, s.nodes[i], 200, seed) })
		}
		for range 6 {
			n := s.nodes[4+s.rng.IntN(4)]
			s.loss.Store(s.rng.Int64N(50))
			time.Sleep(time.Second)
			if s.rng.IntN(2) == 0 {
				s.crash(n)
			} else {
				n.frozen.Store(true)
				time.Sleep(time.Second)
				n.frozen.Store(false)
			}
		}
		s.loss.Store(0)
		writers.Wait()
		for range 120 {
			if len(c.lacks(l.acknowledged)) == 0 {
				break
			}
			time.Sleep(time.Second)
		}
		if lacks := c.lacks(l.acknowledged); len(lacks) > 0 {
			t.Errorf("never told: %q", lacks)
		}
		stop()
		watchers.Wait()
		t.Logf("%d keys, %d events", len(l.acknowledged), c.events)
	})
}

// TestWatchWhilePeersAreReplaced one by one until none of the first is left but the one that watches: copies move, nothing is missed, and what moves is not told again as if it had changed.
func TestWatchWhilePeersAreReplaced(t *testing.T) {
	simulate(t, 12, func(t *testing.T, s *simulation) {
		members := slices.Clone(s.nodes[:6])
		s.setViews(members, nil)
		time.Sleep(warmUp)
		for i := range 50 {
			put(t, s.nodes[0], fmt.Sprint("old", i), "v", records.All)
		}
		s.advance(time.Hour)
		watching, stop := context.WithCancel(t.Context())
		c := collector{newest: map[string]records.Version{}}
		l := workload{acknowledged: map[string]records.Version{}}
		var watcher, writers sync.WaitGroup
		cursor := watch(t, s.nodes[0], records.WatchOptions{}).Cursor()
		watcher.Go(func() {
			for watching.Err() == nil {
				ctx, cancel := context.WithTimeout(watching, 20*time.Second)
				cursor = c.follow(ctx, t, s.nodes[0], cursor)
				cancel()
			}
		})
		seed := s.rng.Uint64N(1 << 20)
		writers.Go(func() { l.run(t, s, s.nodes[0], 1200, seed) })
		for i := 1; i < 6; i++ {
			members = append(members, s.nodes[5+i])
			s.setViews(members, nil)
			time.Sleep(5 * time.Second)
			gone := members[slices.Index(members, s.nodes[i])]
			gone.frozen.Store(true)
			s.setViews(members, map[*node]routing.State{gone: routing.Dead})
			time.Sleep(5 * time.Second)
			members = slices.DeleteFunc(members, func(n *node) bool { return n == gone })
			s.setViews(members, nil)
		}
		writers.Wait()
		for range 60 {
			if len(c.lacks(l.acknowledged)) == 0 {
				break
			}
			time.Sleep(time.Second)
		}
		if lacks := c.lacks(l.acknowledged); len(lacks) > 0 {
			t.Errorf("never told: %q", lacks)
		}
		stop()
		watcher.Wait()
		for key := range c.newest {
			if strings.HasPrefix(key, "old") {
				t.Errorf("%q was told, which did not change", key)
			}
		}
		t.Logf("%d keys, %d events", len(l.acknowledged), c.events)
	})
}
