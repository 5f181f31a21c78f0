package discovery

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
)

// puppet is a finder that reports what a test tells it to.
type puppet struct {
	name  string
	err   error // returned at once, if not nil
	ready chan struct{}
	found func(peer.AddrInfo)
}

func newPuppet(name string) *puppet { return &puppet{name: name, ready: make(chan struct{})} }

func (p *puppet) Name() string { return p.name }

func (p *puppet) Find(ctx context.Context, found func(peer.AddrInfo)) error {
	if p.err != nil {
		return p.err
	}
	p.found = found
	close(p.ready)
	<-ctx.Done()
	return nil
}

// at reports an address without a peer id.
func (p *puppet) at(addr ma.Multiaddr) { p.found(peer.AddrInfo{Addrs: []ma.Multiaddr{addr}}) }

func (p *puppet) peer(id peer.ID, addrs ...ma.Multiaddr) {
	p.found(peer.AddrInfo{ID: id, Addrs: addrs})
}

// inWorld runs a test in a bubble, with a Connector that runs two finders.
func inWorld(t *testing.T, test func(t *testing.T, w *world, c *Connector, a, b *puppet)) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := newWorld(t), newPuppet("alpha"), newPuppet("beta")
		c, err := NewConnector(ConnectorConfig{Host: worldHost{world: w}, Finders: []Finder{b, a}, Learn: w.learn, Protocol: ours})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		<-a.ready
		<-b.ready
		test(t, w, c, a, b)
		cancel()
		wg.Wait()
		if w.busy != 0 {
			t.Errorf("%d dials are under way after Run returned", w.busy)
		}
	})
}

func (w *world) expectPeers(ids ...peer.ID) {
	w.t.Helper()
	synctest.Wait()
	slices.Sort(ids)
	if got := (worldNetwork{world: w}).Peers(); !slices.Equal(got, ids) {
		w.t.Errorf("connected to %v, want %v", got, ids)
	}
}

func (w *world) counts() (dials, learns int) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials, w.learns
}

func TestConnectsToWhatIsFound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, c *Connector, a, b *puppet) {
		for i := 1; i <= 3; i++ {
			w.settle(addrN(i), peerN(i), ours)
		}
		a.peer(peerN(1), addrN(1))
		b.peer(peerN(1), addrN(1))
		b.at(addrN(2))
		a.peer(peerN(4), addrN(4)) // nobody there
		time.Sleep(time.Second)
		w.expectPeers(peerN(1), peerN(2))
		a.at(addrN(2)) // already connected, by an address whose peer is known by now
		b.peer(peerN(1), addrN(1))
		w.accept(peerN(3), ours)
		a.peer(peerN(3), addrN(3))
		synctest.Wait()
		for id, want := range map[peer.ID][]string{
			peerN(1): {"alpha", "beta"}, peerN(2): {"alpha", "beta"}, peerN(3): {"alpha"}, peerN(4): nil,
		} {
			if got := c.FoundBy(id); !slices.Equal(got, want) {
				t.Errorf("%v was found by %v, want %v", id, got, want)
			}
		}
		if dials, learns := w.counts(); dials > 3 || learns != 1 {
			t.Errorf("%d dials and %d handshakes, want one for each peer", dials, learns)
		}
		if got := w.ps.Addrs(peerN(3)); !slices.EqualFunc(got, []ma.Multiaddr{addrN(3)}, ma.Multiaddr.Equal) {
			t.Errorf("the address of a connected peer was not kept: %v", got)
		}
	})
}

func TestConnectsOnceThePeerIsThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _ *Connector, a, b *puppet) {
		a.peer(peerN(1), addrN(1))
		b.at(addrN(2))
		time.Sleep(8 * time.Second)
		w.settle(addrN(1), peerN(1), ours)
		w.settle(addrN(2), peerN(2), ours)
		time.Sleep(30 * time.Second)
		w.expectPeers(peerN(1), peerN(2))
	})
}

func TestLostPeerIsConnectedAgainWhenReported(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _ *Connector, a, _ *puppet) {
		w.settle(addrN(1), peerN(1), ours)
		a.peer(peerN(1), addrN(1))
		time.Sleep(time.Second)
		w.expectPeers(peerN(1))
		w.leave(addrN(1))
		w.settle(addrN(1), peerN(1), ours)
		time.Sleep(time.Minute)
		w.expectPeers()
		a.peer(peerN(1), addrN(1))
		time.Sleep(time.Second)
		w.expectPeers(peerN(1))
	})
}

func TestAddressThatBecameAnotherPeersIsLearnedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, c *Connector, a, _ *puppet) {
		w.settle(addrN(1), peerN(1), ours)
		a.at(addrN(1))
		time.Sleep(time.Second)
		w.expectPeers(peerN(1))
		for range 10 {
			a.at(addrN(1))
		}
		if _, learns := w.counts(); learns != 1 {
			t.Errorf("an address whose peer is connected was asked %d times", learns)
		}
		w.leave(addrN(1))
		w.settle(addrN(1), peerN(2), ours)
		time.Sleep(ReconnectGap)
		a.at(addrN(1))
		time.Sleep(time.Second)
		w.expectPeers(peerN(2))
		if got := c.FoundBy(peerN(2)); !slices.Equal(got, []string{"alpha"}) {
			t.Errorf("the new peer was found by %v", got)
		}
	})
}

func TestOwnAddressIsAskedRarely(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _ *Connector, a, _ *puppet) {
		w.settle(addrN(1), w.self, ours)
		for range 60 {
			a.at(addrN(1))
			a.peer(w.self, addrN(1))
			time.Sleep(time.Minute)
		}
		if dials, learns := w.counts(); dials != 0 || learns < 3 || learns > int(time.Hour/LearnedFor) {
			t.Errorf("in an hour, our own address was dialled %d times and asked %d times", dials, learns)
		}
	})
}

func TestPeerOfAnotherNetworkIsLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, c *Connector, a, b *puppet) {
		w.settle(addrN(1), peerN(1), theirs)
		w.settle(addrN(2), peerN(2), theirs)
		w.settle(addrN(3), peerN(3), silence)
		for range 60 {
			a.peer(peerN(1), addrN(1))
			a.at(addrN(2))
			b.peer(peerN(3), addrN(3))
			time.Sleep(time.Minute)
		}
		w.expectPeers()
		if dials, learns := w.counts(); dials > 45 || learns > 10 {
			t.Errorf("in an hour, three peers of other networks were dialled %d times and asked %d times", dials, learns)
		}
		for i := 1; i <= 3; i++ {
			if got := c.FoundBy(peerN(i)); got != nil {
				t.Errorf("peer %d counts as found by %v", i, got)
			}
		}
		w.accept(peerN(1), theirs) // one that came by itself is not ours to close
		a.peer(peerN(1), addrN(1))
		time.Sleep(time.Hour)
		w.expectPeers(peerN(1))
	})
}

// TestFloodIsBounded has one finder report 100,000 peers that do not exist. The other finder's peers are connected
// nevertheless, and what the flood costs stays within the bounds.
func TestFloodIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, c *Connector, hostile, honest *puppet) {
		for i := 1; i <= 10; i++ {
			w.settle(addrN(i), peerN(i), ours)
		}
		before := heapInUse()
		for i := range 100_000 {
			hostile.peer(peerN(1000+i), addrN(1000+i))
		}
		if grown := heapInUse() - before; grown > 8<<20 {
			t.Errorf("the flood takes %d KiB of memory", grown>>10)
		}
		for i := 1; i <= 10; i++ {
			honest.peer(peerN(i), addrN(i))
		}
		time.Sleep(time.Second)
		var want []peer.ID
		for i := 1; i <= 10; i++ {
			want = append(want, peerN(i))
		}
		w.expectPeers(want...)
		time.Sleep(10*time.Minute - time.Second)
		// A dial takes 5 s and MaxAttemptsPerFinder are made at once, until the reports are too old.
		if dials, _ := w.counts(); dials > 10+MaxAttemptsPerFinder*int((TriedFor+AttemptTimeout)/dialTimeout) {
			t.Errorf("the flood cost %d dials", dials)
		}
		if w.mostBusy > MaxAttempts {
			t.Errorf("%d dials at once", w.mostBusy)
		}
		if n := len(c.plan.lanes[1].targets); n != MaxTargetsPerFinder {
			t.Errorf("%d targets are remembered, want %d", n, MaxTargetsPerFinder)
		}
	})
}

func heapInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestFinderThatFailsLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, bad, good := newWorld(t), newPuppet("bad"), newPuppet("good")
		bad.err = errors.New("broken for good")
		c, err := NewConnector(ConnectorConfig{Host: worldHost{world: w}, Finders: []Finder{bad, good}, Learn: w.learn, Protocol: ours})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w.settle(addrN(1), peerN(1), ours)
		go func() {
			<-good.ready
			good.peer(peerN(1), addrN(1))
		}()
		if err := c.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
		w.expectPeers(peerN(1))
	})
}

func TestOnePeerOfTwoYields(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _ *Connector, a, _ *puppet) {
		var less, greater, comes peer.ID // than our own id
		for i := 1; less == "" || greater == "" || comes == ""; i++ {
			switch id := peerN(i); {
			case id > w.self:
				greater = id
			case less == "":
				less = id
			default:
				comes = id
			}
		}
		for i, id := range []peer.ID{less, greater, comes} {
			w.settle(addrN(i), id, ours)
			a.peer(id, addrN(i))
		}
		time.Sleep(YieldTime / 2)
		w.expectPeers(greater)
		w.accept(comes, ours)
		time.Sleep(YieldTime)
		w.expectPeers(less, greater, comes)
		if dials, _ := w.counts(); dials != 2 {
			t.Errorf("%d dials, want none to the peer that came by itself", dials)
		}
	})
}

func TestRunEndsDuringAnAttempt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _ *Connector, a, b *puppet) {
		a.peer(peerN(1), addrN(1))
		b.at(addrN(2))
		synctest.Wait()
		if w.busy != 2 {
			t.Errorf("%d dials are under way, want 2", w.busy)
		}
	}) // which checks that they have ended
}

func TestConnectedTo(t *testing.T) {
	w := newWorld(t)
	w.settle(addrN(1), peerN(1), ours)
	h := worldHost{world: w}
	is := ConnectedTo(h)
	byID, byAddr := peer.AddrInfo{ID: peerN(1)}, peer.AddrInfo{Addrs: []ma.Multiaddr{addrN(2), addrN(1)}}
	if is(byID) || is(byAddr) {
		t.Error("connected before anything was")
	}
	if err := h.Connect(t.Context(), peer.AddrInfo{ID: peerN(1), Addrs: []ma.Multiaddr{addrN(1)}}); err != nil {
		t.Fatal(err)
	}
	if !is(byID) || !is(byAddr) || is(peer.AddrInfo{ID: peerN(2)}) || is(peer.AddrInfo{Addrs: []ma.Multiaddr{addrN(2)}}) {
		t.Error("want connected to peer 1 at address 1 and to nobody else")
	}
}

func TestConfigIsChecked(t *testing.T) {
	w := newWorld(t)
	good := ConnectorConfig{Host: worldHost{world: w}, Learn: w.learn, Protocol: ours}
	if _, err := NewConnector(good); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	for what, spoil := range map[string]func(*ConnectorConfig){
		"no host":           func(c *ConnectorConfig) { c.Host = nil },
		"no learn":          func(c *ConnectorConfig) { c.Learn = nil },
		"no protocol":       func(c *ConnectorConfig) { c.Protocol = "" },
		"a malformed name":  func(c *ConnectorConfig) { c.Finders = []Finder{newPuppet("Not So")} },
		"a name used twice": func(c *ConnectorConfig) { c.Finders = []Finder{newPuppet("a"), newPuppet("a")} },
		"many finders":      func(c *ConnectorConfig) { c.Finders = make([]Finder, MaxFinders+1) },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := NewConnector(cfg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error %v, want fault.Invalid", what, err)
		}
	}
}
