package records_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
)

// settle waits until what goes on in the background has ended.
func settle() { time.Sleep(6 * time.Second) }

func put(t *testing.T, n *node, key, value string, level records.Consistency) records.Written {
	t.Helper()
	w, err := n.Put(t.Context(), key, []byte(value), records.PutOptions{Consistency: level})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return w
}

func wantValue(t *testing.T, n *node, key, want string) {
	t.Helper()
	r, err := n.Get(t.Context(), key, records.GetOptions{})
	if err != nil || string(r.Value) != want {
		t.Errorf("get %q = %q, %v; want %q", key, r.Value, err, want)
	}
}

func wantKind(t *testing.T, what string, err error, want fault.Kind, texts ...string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("%s: %v (%s), want %s", what, err, fault.KindOf(err), want)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v; want it to say %q", what, err, text)
		}
	}
}

// within fails the test when f takes longer, in simulated time.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %s, want at most %s", what, took, limit)
	}
}

// TestFrozenHolder: one holder takes requests and never answers, and no detector has found out yet.
func TestFrozenHolder(t *testing.T) {
	simulate(t, 8, func(t *testing.T, s *simulation) {
		for i := range 20 { // with connections open to everybody, and a usual latency
			put(t, s.nodes[0], fmt.Sprint("warm", i), "v", records.All)
		}
		for i, frozen := range s.nodes[1:] {
			frozen.frozen.Store(true)
			key := fmt.Sprint("key", i)
			within(t, 100*time.Millisecond, "put", func() { put(t, s.nodes[0], key, "value", records.Quorum) })
			within(t, 500*time.Millisecond, "get", func() { wantValue(t, s.nodes[0], key, "value") })
			within(t, 500*time.Millisecond, "get of an old key", func() { wantValue(t, s.nodes[0], "warm3", "v") })
			within(t, time.Second, "get of nothing", func() {
				_, err := s.nodes[0].Get(t.Context(), key+"?", records.GetOptions{})
				wantKind(t, "get", err, fault.NotFound)
			})
			within(t, 1500*time.Millisecond, "list", func() {
				page, err := s.nodes[0].List(t.Context(), records.ListOptions{Prefix: "warm"})
				if err != nil || len(page.Entries) != 20 || !page.Complete || len(page.Missing) != 1 || page.Missing[0] != frozen.host.ID() {
					t.Errorf("list = %d entries, complete %v, missing %v, %v", len(page.Entries), page.Complete, page.Missing, err)
				}
			})
			frozen.frozen.Store(false)
			settle()
		}
	})
}

// TestTooFewHolders: two of three holders are gone, nobody knows it yet.
func TestTooFewHolders(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "key", "value", records.All)
		s.nodes[1].frozen.Store(true)
		s.nodes[2].frozen.Store(true)
		within(t, 1500*time.Millisecond, "put", func() {
			_, err := s.nodes[0].Put(t.Context(), "key", nil, records.PutOptions{})
			wantKind(t, "put", err, fault.Unavailable, "1 of 2 copies needed for quorum", "wanted 3", s.nodes[1].host.ID().String()+" did not answer",
				"may still take effect", "moot peers")
		})
		within(t, 1500*time.Millisecond, "get", func() {
			_, err := s.nodes[0].Get(t.Context(), "key", records.GetOptions{})
			wantKind(t, "get", err, fault.Unavailable, "1 of 2 holders needed answered")
		})
		within(t, 1500*time.Millisecond, "providers", func() {
			_, err := s.nodes[0].Providers(t.Context(), "key")
			wantKind(t, "providers", err, fault.Unavailable, "1 of 2 holders needed answered")
		})
		if w := put(t, s.nodes[0], "key", "one copy", records.One); w.Stored != 1 {
			t.Errorf("written = %+v", w)
		}
		page, err := s.nodes[0].List(t.Context(), records.ListOptions{})
		if err != nil || page.Complete || len(page.Missing) != 2 {
			t.Errorf("list = %+v, %v", page, err)
		}
		within(t, 1500*time.Millisecond, "put all", func() {
			_, err := s.nodes[0].Put(t.Context(), "key", nil, records.PutOptions{Consistency: records.All})
			wantKind(t, "put", err, fault.Unavailable, "1 of 3 copies needed for all")
		})
	})
}

// TestHalfANetworkIsNotTheWhole: peers known to be dead count among the wanted until they are forgotten.
func TestHalfANetworkIsNotTheWhole(t *testing.T) {
	simulate(t, 4, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "key", "value", records.All)
		dead := map[*node]routing.State{s.nodes[2]: routing.Dead, s.nodes[3]: routing.Dead}
		s.nodes[2].frozen.Store(true)
		s.nodes[3].frozen.Store(true)
		s.setViews(s.nodes, dead)
		within(t, 100*time.Millisecond, "what can't succeed", func() {
			_, err := s.nodes[0].Put(t.Context(), "key", nil, records.PutOptions{})
			wantKind(t, "put", err, fault.Unavailable, "3 copies are needed", "2 of the 4 peers known are dead", "nothing was written")
			if page, err := s.nodes[0].List(t.Context(), records.ListOptions{Local: true}); err != nil || len(page.Entries) != 1 || page.Entries[0].Size == 0 {
				t.Errorf("something was written all the same: %+v, %v", page, err)
			}
			_, err = s.nodes[0].Get(t.Context(), "key", records.GetOptions{})
			wantKind(t, "get", err, fault.Unavailable, "2 of the 4 peers known are dead")
		})
		s.setViews(s.nodes[:2], nil) // forgotten
		put(t, s.nodes[0], "key", "two of two", records.All)
		wantValue(t, s.nodes[1], "key", "two of two")
	})
}

func TestBackgroundReachesTheSlow(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "warm", "v", records.All)
		late := s.nodes[4]
		late.frozen.Store(true)
		w := put(t, s.nodes[0], "key", "value", records.Quorum)
		if _, ok := late.Holds("key"); ok {
			t.Fatal("a frozen peer has it")
		}
		time.Sleep(time.Second)
		late.frozen.Store(false)
		settle()
		for i, n := range s.nodes {
			if v, ok := n.Holds("key"); !ok || v != w.Version {
				t.Errorf("node %d has %s, %v; want %s", i, v, ok, w.Version)
			}
		}
	})
}

func TestLossyLinks(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "warm", "v", records.All)
		s.loss.Store(50) // one packet in twenty
		for i := range 100 {
			n := s.nodes[i%len(s.nodes)]
			key, value := fmt.Sprint("key", i%7), fmt.Sprint("value", i)
			put(t, n, key, value, records.Quorum)
			wantValue(t, s.nodes[(i+1)%len(s.nodes)], key, value)
		}
	})
}

// TestClockSkew: a peer whose clock is behind overwrites what one whose clock is ahead wrote.
func TestClockSkew(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		ahead, behind := s.nodes[1], s.nodes[2]
		ahead.skew.Store(int64(12 * time.Second))
		behind.skew.Store(int64(-12 * time.Second))
		for i := range 3 {
			put(t, ahead, "key", fmt.Sprint("ahead", i), records.Quorum)
			put(t, behind, "key", fmt.Sprint("behind", i), records.Quorum)
			wantValue(t, s.nodes[0], "key", fmt.Sprint("behind", i))
		}
		ahead.skew.Store(int64(45 * time.Second))
		_, err := ahead.Put(t.Context(), "key", []byte("from the future"), records.PutOptions{})
		wantKind(t, "put from the future", err, fault.Unavailable, "put off")
		wantValue(t, s.nodes[0], "key", "behind2")
		settle()
		wantValue(t, behind, "key", "behind2")
	})
}

// TestClocksAreCompared: a peer knows that its clock is ahead of the others', or behind, also where nobody writes; the others, which are right, know that theirs are.
func TestClocksAreCompared(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		ahead, behind := s.nodes[1], s.nodes[2]
		ahead.skew.Store(int64(time.Minute))
		behind.skew.Store(int64(-20 * time.Second))
		time.Sleep(7 * time.Minute)
		for i, want := range []time.Duration{0, time.Minute, -20 * time.Second, 0, 0} {
			by, peers := s.nodes[i].ClockAhead()
			if peers < 3 || (by-want).Abs() > time.Second {
				t.Errorf("peer %d: ahead by %s of %d peers, want %s of 3 or 4", i, by, peers, want)
			}
		}
	})
}

// TestNewerVersionAtHoldersIsOvertaken: through whatever peers, a write that was acknowledged before another began is never seen instead of it.
func TestNewerVersionAtHoldersIsOvertaken(t *testing.T) {
	simulate(t, 8, func(t *testing.T, s *simulation) {
		for i, n := range s.nodes {
			n.skew.Store(int64(time.Duration(i*i) * 200 * time.Millisecond))
		}
		for i := range 60 {
			n := s.nodes[s.rng.IntN(len(s.nodes))]
			value := fmt.Sprint("value", i)
			put(t, n, "key", value, records.Quorum)
			wantValue(t, s.nodes[s.rng.IntN(len(s.nodes))], "key", value)
		}
	})
}

func TestViewGrows(t *testing.T) {
	simulate(t, 12, func(t *testing.T, s *simulation) {
		// The first peers lie in one corner of the key space, so that keys in others lose all of their holders.
		first := slices.SortedFunc(slices.Values(s.nodes), func(a, b *node) int {
			x, y := sha256.Sum256([]byte(a.host.ID())), sha256.Sum256([]byte(b.host.ID()))
			return bytes.Compare(x[:], y[:])
		})[:3]
		s.setViews(first, nil)
		const n = 100
		for i := range n {
			put(t, first[i%3], fmt.Sprint("key", i), "value", records.Quorum)
		}
		if _, err := first[0].Provide(t.Context(), "file"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.know() // nine peers join: most keys have other holders now, who know nothing
		moved := 0
		for i := range n {
			key := fmt.Sprint("key", i)
			holders, _ := s.holders(key)
			if !slices.ContainsFunc(holders, func(n *node) bool { _, ok := n.Holds(key); return ok }) {
				moved++
			}
		}
		for i := range n {
			key := fmt.Sprint("key", i)
			for _, reader := range []int{0, 7, 11} {
				wantValue(t, s.nodes[reader], key, "value")
			}
		}
		if moved == 0 {
			t.Error("no key lost all of its holders: the test shows nothing")
		}
		list, err := s.nodes[9].Providers(t.Context(), "file")
		if err != nil || len(list) != 1 {
			t.Errorf("providers = %v, %v", list, err)
		}
	})
}

func TestZones(t *testing.T) {
	zones := []string{"a", "a", "a", "a", "b", "b"}
	simulateZones(t, zones, func(t *testing.T, s *simulation) {
		for i := range 20 {
			key := fmt.Sprint("key", i)
			put(t, s.nodes[0], key, "v", records.All)
			byZone := map[string]int{}
			for j, n := range s.nodes {
				if _, ok := n.Holds(key); ok {
					byZone[zones[j]]++
				}
			}
			if byZone["a"] > 3 || byZone["b"] < 2 {
				t.Errorf("%s: copies by zone %v", key, byZone)
			}
		}
		s.nodes[4].frozen.Store(true)
		s.nodes[5].frozen.Store(true)
		_, err := s.nodes[0].Put(t.Context(), "key", nil, records.PutOptions{})
		wantKind(t, "put with a zone unreachable", err, fault.Unavailable, "all in one zone though two are alive")
		s.setViews(s.nodes, map[*node]routing.State{s.nodes[4]: routing.Dead, s.nodes[5]: routing.Dead})
		put(t, s.nodes[0], "key", "the zone is known to be dead", records.Quorum)

		// The holders in zone b are away; the other peer there lends the second zone.
		s.nodes[5].frozen.Store(false)
		s.setViews(s.nodes, map[*node]routing.State{s.nodes[4]: routing.Away})
		settle()
		for i := range 5 {
			put(t, s.nodes[0], fmt.Sprint("again", i), "v", records.Quorum)
		}
	})
}

func TestProvidersLeaveOutWhoIsGone(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		for _, n := range s.nodes {
			if _, err := n.Provide(t.Context(), "file"); err != nil {
				t.Fatal(err)
			}
		}
		s.setViews(s.nodes, map[*node]routing.State{s.nodes[1]: routing.Dead, s.nodes[2]: routing.Away, s.nodes[3]: routing.Suspect})
		list, err := s.nodes[0].Providers(t.Context(), "file")
		if err != nil || len(list) != 3 {
			t.Errorf("providers = %v, %v; want three", list, err)
		}
	})
}

func TestProvidersAreRenewed(t *testing.T) {
	simulate(t, 6, func(t *testing.T, s *simulation) {
		if _, err := s.nodes[0].Provide(t.Context(), "file"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.nodes[1].Provide(t.Context(), "file"); err != nil {
			t.Fatal(err)
		}
		s.crash(s.nodes[0]) // what is provided is known after a restart
		if err := s.nodes[1].Close(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s.advance(10 * time.Hour)
			time.Sleep(2 * time.Minute)
		}
		list, err := s.nodes[3].Providers(t.Context(), "file")
		if err != nil || len(list) != 1 || list[0].ID != s.nodes[0].host.ID() {
			t.Errorf("providers = %v, %v; want only the one that runs", list, err)
		}
		if err := s.nodes[0].Close(); err != nil {
			t.Fatal(err)
		}
		s.advance(records.ProviderTTL)
		if list, err := s.nodes[3].Providers(t.Context(), "file"); err != nil || len(list) != 0 {
			t.Errorf("providers = %v, %v; want none after a day without renewal", list, err)
		}
	})
}

func TestSweepForgetsWhatIsLongExpired(t *testing.T) {
	simulate(t, 1, func(t *testing.T, s *simulation) {
		n := s.nodes[0]
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = n.Run(ctx) })
		if _, err := n.Put(t.Context(), "key", nil, records.PutOptions{TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		put(t, n, "other", "v", records.All)
		s.advance(6 * 24 * time.Hour)
		time.Sleep(2 * time.Hour)
		if _, ok := n.Holds("key"); !ok {
			t.Error("swept after six days")
		}
		s.advance(2 * 24 * time.Hour)
		time.Sleep(2 * time.Hour)
		if _, ok := n.Holds("key"); ok {
			t.Error("not swept after eight days")
		}
		if got := n.Stats().Stored; got != 1 {
			t.Errorf("%d records stored, want 1", got)
		}
		stop()
		running.Wait()
	})
}

// TestPowerCut: acknowledged writes are on disk when all peers lose power at once.
func TestPowerCut(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		acknowledged := map[string]string{}
		for round := range 3 {
			var mu sync.Mutex
			var wg sync.WaitGroup
			for w := range 10 {
				wg.Go(func() {
					for i := range 10 {
						key, value := fmt.Sprintf("key %d/%d", w, i), fmt.Sprint("value ", round)
						put(t, s.nodes[w%5], key, value, records.Quorum)
						mu.Lock()
						acknowledged[key] = value
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			for _, n := range s.nodes {
				s.crash(n)
			}
			settle() // until they know that nobody else comes who may know more
			for key, value := range acknowledged {
				wantValue(t, s.nodes[s.rng.IntN(5)], key, value)
			}
		}
	})
}

func TestClosedStore(t *testing.T) {
	simulate(t, 2, func(t *testing.T, s *simulation) {
		n := s.nodes[0]
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := n.Get(t.Context(), "key", records.GetOptions{})
		wantKind(t, "get", err, fault.Unavailable)
		_, err = n.Put(t.Context(), "key", nil, records.PutOptions{})
		wantKind(t, "put", err, fault.Unavailable)
		_, err = n.List(t.Context(), records.ListOptions{})
		wantKind(t, "list", err, fault.Unavailable)
		wantKind(t, "run", n.Run(t.Context()), fault.Unavailable)
		if stats := n.Stats(); stats.Wanted != 2 {
			t.Errorf("stats = %+v", stats)
		}
		within(t, 1500*time.Millisecond, "put at the other", func() {
			_, err = s.nodes[1].Put(t.Context(), "key", nil, records.PutOptions{})
		})
		wantKind(t, "put at the other", err, fault.Unavailable, "did not answer")
	})
}
