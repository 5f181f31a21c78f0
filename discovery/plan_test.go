package discovery

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

// peerN returns a peer id that differs for each n.
func peerN(n int) peer.ID {
	h, err := mh.Sum(binary.BigEndian.AppendUint64(nil, uint64(n)), mh.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return peer.ID(h)
}

// addrN returns an address that differs for each n below 2^24.
func addrN(n int) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip4/10.%d.%d.%d/tcp/4242", n>>16&255, n>>8&255, n&255))
}

func known(n int, addrs ...ma.Multiaddr) candidate {
	if len(addrs) == 0 {
		addrs = []ma.Multiaddr{addrN(n)}
	}
	return candidate{id: peerN(n), addrs: addrs}
}

func unknown(n int) candidate { return candidate{addrs: []ma.Multiaddr{addrN(n)}} }

var planStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// bench drives a plan by hand, with a clock of its own and no jitter.
type bench struct {
	t *testing.T
	*plan
	now         time.Time
	connections int
}

func newBench(t *testing.T, finders int) *bench {
	return &bench{t: t, plan: newPlan(finders, func() float64 { return 0 }), now: planStart}
}

func (b *bench) found(finder int, c candidate) { b.report(b.now, finder, c) }

func (b *bench) sleep(d time.Duration) { b.now = b.now.Add(d) }

// start returns the next attempt, which must be due.
func (b *bench) start() attempt {
	b.t.Helper()
	a, ok := b.next(b.now, b.connections)
	if !ok {
		b.t.Fatal("no attempt is due")
	}
	return a
}

func (b *bench) idle() {
	b.t.Helper()
	if a, ok := b.next(b.now, b.connections); ok {
		b.t.Fatalf("an attempt on %v at %v is due", a.id, a.addrs)
	}
}

func (b *bench) end(a attempt, how outcome) { b.plan.finish(b.now, a, how) }

// expectNext checks that the next attempt is due after exactly d, and that wake said so.
func (b *bench) expectNext(d time.Duration) attempt {
	b.t.Helper()
	at, ok := b.wake(b.now, b.connections)
	if got := at.Sub(b.now); !ok || got != d {
		b.t.Fatalf("the plan wants to be woken after %v (%v), want %v", got, ok, d)
	}
	if d > 0 {
		b.sleep(d - time.Nanosecond)
		b.idle()
		b.sleep(time.Nanosecond)
	}
	return b.start()
}

func TestAttemptsBackOff(t *testing.T) {
	tests := []struct {
		name  string
		c     candidate
		how   outcome
		waits []time.Duration
	}{
		{"unreached", known(1), unreached, []time.Duration{6, 12, 24, 48}},
		{"unlearned", unknown(1), unlearned, []time.Duration{2, 4, 8, 16}},
		{"stranger", known(1), stranger, []time.Duration{30, 60}},
		{"claimed", unknown(1), claimed, []time.Duration{2, 2, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, 1)
			b.found(0, tt.c)
			a := b.expectNext(0)
			for _, wait := range tt.waits {
				b.end(a, tt.how)
				a = b.expectNext(wait * time.Second)
			}
		})
	}
}

func TestTargetIsNotTriedLongAfterItsLastReport(t *testing.T) {
	b := newBench(t, 1)
	b.found(0, known(1))
	for b.now.Sub(planStart) <= TriedFor {
		b.end(b.start(), unreached)
		at, _ := b.wake(b.now, 0)
		b.now = at
	}
	b.idle()
	if at, ok := b.wake(b.now, 0); ok {
		t.Errorf("the plan wants to be woken at %v though nothing is to be tried", at)
	}
	b.found(0, known(1))
	b.end(b.start(), unreached)
	if at, _ := b.wake(b.now, 0); at.Sub(b.now) < 48*time.Second {
		t.Errorf("the backoff was forgotten: the next attempt comes after %v", at.Sub(b.now))
	}
}

func TestConnectedTargetWaitsForAReport(t *testing.T) {
	b := newBench(t, 1)
	b.found(0, known(1))
	b.end(b.start(), unreached)
	b.end(b.expectNext(RetryBase), connected)
	b.sleep(time.Second)
	b.idle()
	b.found(0, known(1)) // it has lost its connection
	a := b.expectNext(ReconnectGap - time.Second)
	b.end(a, unreached)
	b.end(b.expectNext(RetryBase), unreached)
}

func TestMovedPeerIsTriedAtOnce(t *testing.T) {
	b := newBench(t, 1)
	b.found(0, known(1))
	for range 4 {
		b.end(b.start(), unreached)
		at, _ := b.wake(b.now, 0)
		b.now = at
	}
	b.end(b.start(), unreached)
	b.sleep(AddrGap)
	b.found(0, known(1))
	b.idle()
	b.found(0, known(1, addrN(7)))
	a := b.start()
	if want := []ma.Multiaddr{addrN(7), addrN(1)}; !slices.EqualFunc(a.addrs, want, ma.Multiaddr.Equal) {
		t.Errorf("tried %v, want %v", a.addrs, want)
	}
	b.end(a, stranger)
	b.found(0, known(1, addrN(8)))
	b.idle() // of another network wherever it is
}

func TestReportsWhileAttemptIsUnderWay(t *testing.T) {
	b := newBench(t, 1)
	b.found(0, known(1))
	a := b.start()
	b.sleep(time.Second)
	b.found(0, known(1, addrN(2)))
	b.idle()
	b.end(a, unreached)
	if a = b.expectNext(RetryBase); len(a.addrs) != 2 {
		t.Errorf("tried %v, want both addresses", a.addrs)
	}
}

func TestOneAttemptAtATimePerPeer(t *testing.T) {
	b := newBench(t, 2)
	b.found(0, known(1, addrN(1)))
	b.found(1, known(1, addrN(2)))
	b.found(1, unknown(3))
	first := b.start()
	second := b.start()
	if first.id != peerN(1) || second.id != "" {
		t.Fatalf("attempts on %v and %v, want peer 1 and an address", first.id, second.id)
	}
	b.idle()
	if b.claim(&second, peerN(1)) {
		t.Error("a peer with an attempt under way could be claimed")
	}
	b.end(first, unreached)
	if !b.claim(&second, peerN(1)) {
		t.Error("a peer without an attempt under way could not be claimed")
	}
	b.sleep(AddrGap)
	b.idle() // the other finder's report of peer 1
	b.release(&second)
	b.end(second, unlearned)
	b.expectNext(AddrGap)
}

func TestOneAttemptAtATimePerAddress(t *testing.T) {
	b := newBench(t, 1)
	b.found(0, known(1, addrN(9), addrN(1)))
	b.found(0, known(2, addrN(9), addrN(2)))
	b.found(0, known(3, addrN(9)))
	a, c := b.start(), b.start()
	if len(a.addrs) != 2 || len(c.addrs) != 1 || !c.addrs[0].Equal(addrN(2)) {
		t.Errorf("tried %v and %v at once", a.addrs, c.addrs)
	}
	b.idle()
	b.sleep(time.Minute)
	b.idle() // still in use
	b.end(a, connected)
	if d := b.expectNext(AddrGap); d.id != peerN(3) {
		t.Errorf("tried %v, want peer 3", d.id)
	}
}

func TestOwnAddressIsForgotten(t *testing.T) {
	b := newBench(t, 1)
	b.found(0, unknown(1))
	b.end(b.start(), itself)
	if _, ok := b.wake(b.now, 0); ok || len(b.lanes[0].targets) != 0 {
		t.Error("an address of our own is remembered as a target")
	}
}

func TestFindersTakeTurnsAndKeepPlacesForOthers(t *testing.T) {
	b := newBench(t, 3)
	for i := range 100 {
		b.found(0, known(i))
	}
	b.found(2, known(1000))
	count := map[int]int{}
	for {
		a, ok := b.next(b.now, 0)
		if !ok {
			break
		}
		count[a.finder]++
	}
	if count[0] != MaxAttemptsPerFinder || count[2] != 1 {
		t.Errorf("attempts by finder %v, want %d of the flooded one and 1 of the other", count, MaxAttemptsPerFinder)
	}
}

func TestCalmOnceThereAreEnoughConnections(t *testing.T) {
	b := newBench(t, 1)
	b.connections = EnoughConnections
	for i := range 10 {
		b.found(0, known(i))
	}
	b.start()
	for range 3 {
		at, ok := b.wake(b.now, b.connections)
		if gap := at.Sub(b.now).Round(time.Millisecond); !ok || gap != 5*time.Second {
			t.Fatalf("next attempt after %v, want 5s", gap)
		}
		b.idle()
		b.now = at
		b.start()
	}
	b.connections--
	b.start()
}

func TestFinishingTwicePanics(t *testing.T) {
	b := newBench(t, 1)
	b.found(0, known(1))
	a := b.start()
	b.end(a, unreached)
	defer func() {
		if recover() == nil {
			t.Error("finishing an attempt twice went unnoticed")
		}
	}()
	b.end(a, unreached)
}

// TestPlanKeepsItsBounds drives a plan by random events and checks after each that nothing exceeds its bound.
func TestPlanKeepsItsBounds(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const finders = 3
	b := newBench(t, finders)
	b.plan.random = r.Float64
	var (
		running []attempt
		rested  = map[string]time.Time{} // when an address may be used again
		started [finders]int
	)
	for range 30_000 {
		switch r.IntN(10) {
		case 0, 1, 2, 3, 4:
			c := unknown(r.IntN(3000))
			if r.IntN(2) == 0 {
				n := r.IntN(3000)
				c = known(r.IntN(3000), addrN(n), addrN((n+1+r.IntN(10))%3000))
			}
			b.found(r.IntN(finders), c)
		case 5, 6:
			a, ok := b.next(b.now, 0)
			if !ok {
				if at, ok := b.wake(b.now, 0); ok && !at.After(b.now) {
					t.Fatalf("nothing is due, though the plan wants to be woken %v ago", b.now.Sub(at))
				}
				break
			}
			for _, o := range running {
				if a.id != "" && a.id == o.id {
					t.Fatalf("two attempts on %v at once", a.id)
				}
			}
			for _, addr := range a.addrs {
				if b.now.Before(rested[string(addr.Bytes())]) {
					t.Fatalf("%v was attempted again too early", addr)
				}
				rested[string(addr.Bytes())] = b.now.Add(time.Hour)
			}
			if len(a.addrs) == 0 || len(a.addrs) > MaxAddrsPerPeer {
				t.Fatalf("an attempt on %d addresses", len(a.addrs))
			}
			started[a.finder]++
			running = append(running, a)
		case 7, 8:
			if len(running) == 0 {
				break
			}
			i := r.IntN(len(running))
			for _, addr := range running[i].addrs {
				rested[string(addr.Bytes())] = b.now.Add(AddrGap)
			}
			b.end(running[i], outcome(1+r.IntN(int(claimed))))
			running = slices.Delete(running, i, i+1)
		case 9:
			b.sleep(time.Duration(r.ExpFloat64() * float64(time.Second)))
		}
		checkBounds(t, b, running, started)
	}
	if started[0] < 500 {
		t.Errorf("only %v attempts were made", started)
	}
}

func checkBounds(t *testing.T, b *bench, running []attempt, started [3]int) {
	t.Helper()
	if b.busy != len(running) || b.busy > MaxAttempts {
		t.Fatalf("%d attempts are under way, %d counted", len(running), b.busy)
	}
	for i, l := range b.lanes {
		if len(l.targets) > MaxTargetsPerFinder || len(l.targets) != l.recent.Len() || len(l.waiting) > len(l.targets) || l.busy > MaxAttemptsPerFinder {
			t.Fatalf("lane %d: %d targets, %d in order, %d waiting, %d busy", i, len(l.targets), l.recent.Len(), len(l.waiting), l.busy)
		}
		if most := AttemptBurst + 1 + int(b.now.Sub(planStart).Seconds()*AttemptsPerSecond); started[i] > most {
			t.Fatalf("%d attempts on reports of finder %d, at most %d", started[i], i, most)
		}
	}
}
