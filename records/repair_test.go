package records_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
)

// wantCopies checks that the holders of each key have it, and nobody else of those given has.
func (s *simulation) wantCopies(keys []string, among []*node) {
	s.t.Helper()
	for _, key := range keys {
		holders := s.named(among[0].HoldersOf(key))
		for _, n := range among {
			_, has := n.Holds(key)
			if want := slices.Contains(holders, n); has != want {
				s.t.Errorf("%q at %s: %v, want %v", key, n.host.ID(), has, want)
			}
		}
	}
}

func putMany(t *testing.T, nodes []*node, n int) (keys []string) {
	t.Helper()
	for i := range n {
		key := fmt.Sprint("key", i)
		put(t, nodes[i%len(nodes)], key, "value of "+key, records.Quorum)
		keys = append(keys, key)
	}
	return keys
}

func TestCopiesFollowTheView(t *testing.T) {
	simulate(t, 10, func(t *testing.T, s *simulation) {
		s.setViews(s.nodes[:6], nil)
		time.Sleep(warmUp)
		keys := putMany(t, s.nodes[:6], 60)
		time.Sleep(time.Second)
		s.wantCopies(keys, s.nodes[:6])

		s.know() // four peers join: what they hold moves to them
		time.Sleep(warmUp)
		s.wantCopies(keys, s.nodes)

		dead := map[*node]routing.State{s.nodes[2]: routing.Dead, s.nodes[7]: routing.Dead}
		for n := range dead {
			n.frozen.Store(true)
		}
		s.setViews(s.nodes, dead)
		time.Sleep(warmUp)
		s.wantCopies(keys, slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return dead[n] != 0 }))
		for _, key := range keys {
			wantValue(t, s.nodes[9], key, "value of "+key)
		}
	})
}

func TestLeavingHandsEverythingOver(t *testing.T) {
	simulate(t, 7, func(t *testing.T, s *simulation) {
		keys := putMany(t, s.nodes, 40)
		leaver := s.nodes[3]
		if err := leaver.Leave(t.Context(), nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("leaving without having said so: %v", err)
		}
		s.setLeaving(leaver)
		if leaver.NotedSynced() == 0 {
			t.Error("it was in sync nowhere")
		}
		var left []int64
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := leaver.Leave(ctx, func(n int64) { left = append(left, n) }); err != nil {
			t.Fatal(err)
		}
		if last := left[len(left)-1]; last != 0 || slices.Max(left) == 0 {
			t.Errorf("progress %v", left)
		}
		if n := leaver.NotedSynced(); n != 0 {
			t.Errorf("should it come back, it takes itself for one that has %d shards", n)
		}
		rest := slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return n == leaver })
		s.wantCopies(keys, rest)
	})
}

// setLeaving makes all peers see one as leaving.
func (s *simulation) setLeaving(leaver *node) {
	for _, n := range s.nodes {
		old := n.view.View()
		view := &routing.View{Self: old.Self, Members: slices.Clone(old.Members)}
		for i := range view.Members {
			view.Members[i].Leaving = view.Members[i].ID == leaver.host.ID()
		}
		n.view.set(view)
	}
}

func TestLeavingAloneIsRefused(t *testing.T) {
	simulate(t, 1, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "key", "value", records.Quorum)
		s.setLeaving(s.nodes[0])
		if err := s.nodes[0].Leave(t.Context(), nil); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("leave: %v", err)
		}
		if _, has := s.nodes[0].Holds("key"); !has {
			t.Error("the only copy was removed")
		}
	})
}

func TestHintsBringWhatWasMissed(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		away := s.nodes[4]
		away.frozen.Store(true)
		s.setViews(s.nodes, map[*node]routing.State{away: routing.Away})
		keys := putMany(t, s.nodes[:4], 30)
		time.Sleep(20 * time.Second) // what was sent to it is given up
		compared := s.count(opCompare)
		away.frozen.Store(false)
		s.know()
		time.Sleep(500 * time.Millisecond)
		s.wantCopies(keys, s.nodes)
		if n := s.count(opCompare) - compared; n > 8 {
			t.Errorf("%d comparisons: the hints show nothing", n)
		}
	})
}

// Ops of the records protocol that are counted here.
const opCompare = 8

// calls counts what a peer sends.
type calls struct {
	mu    sync.Mutex
	ops   map[byte]int // guarded by mu
	bytes map[byte]int // guarded by mu; largest request and response of an op together
}

func (c *calls) intercept(next records.CallFunc) records.CallFunc {
	return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
		resp, err := next(ctx, to, request)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ops == nil {
			c.ops, c.bytes = map[byte]int{}, map[byte]int{}
		}
		c.ops[request[0]]++
		c.bytes[request[0]] = max(c.bytes[request[0]], len(request)+len(resp))
		return resp, err
	}
}

func (c *calls) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ops, c.bytes = nil, nil
}

// count returns how many requests of an op all peers have sent.
func (s *simulation) count(op byte) (n int) {
	for _, node := range s.nodes {
		node.sent.mu.Lock()
		n += node.sent.ops[op]
		node.sent.mu.Unlock()
	}
	return n
}

func TestRoundsAreCheapWhenNothingDiffers(t *testing.T) {
	simulate(t, 8, func(t *testing.T, s *simulation) {
		putMany(t, s.nodes, 200)
		time.Sleep(time.Minute)
		for _, n := range s.nodes {
			n.sent.reset()
		}
		time.Sleep(2 * time.Minute)
		pairs := len(s.nodes) * (len(s.nodes) - 1) / 2
		if n := s.count(opCompare); n < pairs || n > 6*pairs {
			t.Errorf("%d comparisons of %d pairs in two minutes", n, pairs)
		}
		for _, n := range s.nodes {
			for op, size := range n.sent.bytes {
				if op != opCompare || size >= 1<<10 {
					t.Errorf("op %d of up to %d bytes", op, size)
				}
			}
		}
	})
}

func TestRoundsFindWhatWasMissed(t *testing.T) {
	simulate(t, 6, func(t *testing.T, s *simulation) {
		lost := s.nodes[1]
		lost.frozen.Store(true) // and nobody notices
		keys := putMany(t, s.nodes[2:], 20)
		time.Sleep(30 * time.Second)
		lost.frozen.Store(false)
		time.Sleep(3 * time.Minute)
		s.wantCopies(keys, s.nodes)
	})
}

func TestReadsRepair(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "key", "old", records.All)
		behind := s.nodes[4]
		behind.frozen.Store(true)
		put(t, s.nodes[0], "key", "new", records.Quorum)
		time.Sleep(10 * time.Second)
		behind.frozen.Store(false)
		old, _ := behind.Holds("key")
		wantValue(t, behind, "key", "new")
		time.Sleep(100 * time.Millisecond)
		if now, _ := behind.Holds("key"); now == old {
			t.Error("a copy that was read as older was not repaired")
		}
	})
}

// TestAbsentThoughDeletedMeanwhile: a deletion between the check of a condition and the write leaves the key absent, and is no reason to refuse.
func TestAbsentThoughDeletedMeanwhile(t *testing.T) {
	simulate(t, 8, func(t *testing.T, s *simulation) {
		_, others := s.holders("key")
		var once sync.Once
		others[0].Intercept(func(next records.CallFunc) records.CallFunc {
			return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
				if records.IsPutIf(request) {
					once.Do(func() {
						if _, err := others[1].Delete(ctx, "key", records.PutOptions{}); err != nil {
							t.Error(err)
						}
					})
				}
				return next(ctx, to, request)
			}
		})
		if _, err := others[0].Put(t.Context(), "key", []byte("value"), records.PutOptions{If: records.Condition{Absent: true}}); err != nil {
			t.Error(err)
		}
		wantValue(t, others[2], "key", "value")
	})
}

func TestConditionalWritesExcludeOneAnother(t *testing.T) {
	simulate(t, 6, func(t *testing.T, s *simulation) {
		if _, err := s.nodes[0].Put(t.Context(), "counter", []byte("0"), records.PutOptions{If: records.Condition{Absent: true}}); err != nil {
			t.Fatal(err)
		}
		_, err := s.nodes[1].Put(t.Context(), "counter", []byte("0"), records.PutOptions{If: records.Condition{Absent: true}})
		if fault.KindOf(err) != fault.Conflict {
			t.Fatalf("a second record where there must be none: %v", err)
		}
		var clients sync.WaitGroup
		var done, lost atomic.Int64
		for _, n := range s.nodes {
			clients.Go(func() {
				for range 15 {
					switch err := increment(t.Context(), n); {
					case err == nil:
						done.Add(1)
					case fault.KindOf(err) == fault.Conflict:
						lost.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		clients.Wait()
		r, err := s.nodes[2].Get(t.Context(), "counter", records.GetOptions{})
		if err != nil || string(r.Value) != fmt.Sprint(done.Load()) || done.Load() == 0 || lost.Load() == 0 {
			t.Errorf("counter %q, %v; %d increments succeeded, %d lost", r.Value, err, done.Load(), lost.Load())
		}
		if _, err := s.nodes[3].Delete(t.Context(), "counter", records.PutOptions{If: records.Condition{Version: r.Version}}); err != nil {
			t.Error(err)
		}
		_, err = s.nodes[3].Put(t.Context(), "counter", []byte("x"), records.PutOptions{If: records.Condition{Version: r.Version}})
		if fault.KindOf(err) != fault.Conflict {
			t.Errorf("a version that was deleted was replaced: %v", err)
		}
		if _, err := s.nodes[3].Put(t.Context(), "counter", []byte("x"), records.PutOptions{If: records.Condition{Absent: true}}); err != nil {
			t.Errorf("a deleted record counts as present: %v", err)
		}
	})
}

func increment(ctx context.Context, n *node) error {
	r, err := n.Get(ctx, "counter", records.GetOptions{})
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(string(r.Value))
	if err != nil {
		return err
	}
	_, err = n.Put(ctx, "counter", []byte(strconv.Itoa(count+1)), records.PutOptions{If: records.Condition{Version: r.Version}})
	return err
}

func TestSessionsAreNotTakenBack(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "key", "old", records.All)
		// One peer is cut off from the rest: its disk has what the others don't.
		s.setViews(s.nodes[:1], nil)
		w, err := s.nodes[0].Put(t.Context(), "key", []byte("new"), records.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.nodes[0].frozen.Store(true)
		s.setViews(s.nodes[1:], nil)
		s.nodes[0].view.set(s.nodes[0].view.View())
		_, err = s.nodes[1].Get(t.Context(), "key", records.GetOptions{Session: w.Session})
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("the session was taken back: %v", err)
		}
		wantValue(t, s.nodes[1], "key", "old") // without the session there is nothing to contradict
		text, err := records.ParseSession(w.Session.String())
		if err != nil {
			t.Fatal(err)
		}
		s.nodes[0].frozen.Store(false)
		s.know()
		time.Sleep(warmUp)
		if r, err := s.nodes[1].Get(t.Context(), "key", records.GetOptions{Session: text}); err != nil || string(r.Value) != "new" {
			t.Errorf("after the peer was back: %q, %v", r.Value, err)
		}
	})
}

// TestForgottenDeletionsDoNotComeBack brings back a peer that was away for longer than deletions are kept.
func TestForgottenDeletionsDoNotComeBack(t *testing.T) {
	simulate(t, 6, func(t *testing.T, s *simulation) {
		long := s.nodes[5]
		put(t, s.nodes[0], "deleted", "value", records.All)
		put(t, s.nodes[0], "kept", "value", records.All)
		time.Sleep(2 * time.Minute) // the levels are noted
		if err := long.Close(); err != nil {
			t.Fatal(err)
		}
		rest := s.nodes[:5]
		s.setViews(rest, nil)
		time.Sleep(warmUp)
		if _, err := s.nodes[0].Delete(t.Context(), "deleted", records.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // all holders agree
		s.advance(9 * 24 * time.Hour)
		time.Sleep(time.Hour + time.Minute) // swept
		for _, n := range rest {
			if v, has := n.Holds("deleted"); has {
				t.Fatalf("the deletion %v was not swept", v)
			}
		}
		s.open(long)
		s.know()
		time.Sleep(5 * time.Minute)
		for _, n := range s.nodes {
			if _, err := n.Get(t.Context(), "deleted", records.GetOptions{}); fault.KindOf(err) != fault.NotFound {
				t.Errorf("a deleted record is back: %v", err)
			}
		}
		wantValue(t, long, "kept", "value")
		s.wantCopies([]string{"deleted", "kept"}[1:], s.nodes)
	})
}

func TestNotFoundNeedsThoseWhoKnow(t *testing.T) {
	simulate(t, 8, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "key", "value", records.All)
		holders, others := s.holders("key")
		// All holders vanish at once: the others can't know whether there was a record.
		states := map[*node]routing.State{}
		for _, n := range holders {
			n.frozen.Store(true)
			states[n] = routing.Dead
		}
		s.setViews(s.nodes, states)
		time.Sleep(warmUp)
		if _, err := others[0].Get(t.Context(), "key", records.GetOptions{}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("with all holders gone: %v, want that nobody knows", err)
		}
		for _, n := range holders {
			n.frozen.Store(false)
		}
		s.know()
		time.Sleep(warmUp)
		for _, n := range s.nodes {
			wantValue(t, n, "key", "value")
		}
	})
}

func TestHolders(t *testing.T) {
	simulate(t, 7, func(t *testing.T, s *simulation) {
		v := put(t, s.nodes[0], "key", "value", records.All)
		time.Sleep(time.Second)
		h, err := s.nodes[6].Holders(t.Context(), "key")
		if err != nil || h.Wanted != 5 || h.Quorum != 3 || len(h.Holders) != 5 {
			t.Fatalf("%+v, %v", h, err)
		}
		for _, state := range h.Holders {
			if !state.Holder || !state.Answered || !state.Found || state.Version != v.Version || state.Size != 5 || state.Level != records.LevelSynced ||
				time.Since(state.Since) > 2*time.Second {
				t.Errorf("%+v", state)
			}
		}
		time.Sleep(3 * time.Minute)
		st, err := s.nodes[1].Standing(t.Context())
		if err != nil || st.Full != 1 || st.Below != 0 || st.Unreachable != 0 || !st.Complete {
			t.Errorf("standing %+v, %v", st, err)
		}
		if _, err := s.nodes[0].Holders(t.Context(), "\x00"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("holders of an impossible key: %v", err)
		}
	})
}

func TestExport(t *testing.T) {
	simulate(t, 2, func(t *testing.T, s *simulation) {
		putMany(t, s.nodes[:1], 5)
		var envelopes [][]byte
		if err := s.nodes[0].Export(t.Context(), func(e []byte) error {
			envelopes = append(envelopes, slices.Clone(e))
			return nil
		}); err != nil || len(envelopes) != 5 {
			t.Fatalf("%d records, %v", len(envelopes), err)
		}
		stop := errors.New("stop")
		if err := s.nodes[0].Export(t.Context(), func([]byte) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("export went on after an error: %v", err)
		}
	})
}
