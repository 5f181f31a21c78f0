package sim_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/wires"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// crowdLatency is the time of data from end to end in a crowd; a round trip is twice that.
	crowdLatency = 5 * time.Millisecond
	// crowdRepair is how soon after peers were replaced all records are back at their full count.
	crowdRepair = 90 * time.Second
	// crowdForms bounds how long peers may take to find one another, and stores to be in sync.
	crowdForms = 3 * time.Minute
	// crowdCallers is how many operations are under way at once.
	crowdCallers = 16
	// joinEvery is the time from one peer's beginning to the next one's.
	joinEvery = 20 * time.Millisecond
)

// A crowd is a network of so many peers that none has all others in view: memberships, look-ups and record stores as they are, links, clocks and disks simulated.
type crowd struct {
	t       *testing.T
	wires   *wires.Wires
	network swarm.NetworkID
	maxView int

	mu    sync.Mutex
	rng   *mathrand.Rand // guarded by mu
	peers []*crowdPeer   // guarded by mu; all that there ever were
}

type crowdPeer struct {
	*records.Store // nil until it is opened
	crowd          *crowd
	membership     *routing.Membership
	key            crypto.PrivKey
	host           host.Host
	addr           ma.Multiaddr
	hash           [sha256.Size]byte // of its id
	dead           bool              // guarded by crowd.mu
	ctx            context.Context   // of the membership
	cancel         context.CancelFunc
	parts          sync.WaitGroup
}

// inCrowd runs body in a crowd without peers, whose views will hold at most maxView; 0: as many as in production.
func inCrowd(t *testing.T, maxView int, body func(t *testing.T, c *crowd)) {
	seed := seedOf(t, 0)
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		id, err := swarm.OpenNetwork("crowd")
		if err != nil {
			t.Fatal(err)
		}
		c := &crowd{t: t, rng: mathrand.New(mathrand.NewPCG(seed, 0)), wires: wires.New(crowdLatency), network: id, maxView: maxView}
		defer c.end()
		body(t, c)
	})
}

// gatherCrowd runs body in a crowd of n peers none of which has all in view, but at most maxView.
func gatherCrowd(t *testing.T, n, maxView int, body func(t *testing.T, c *crowd)) {
	inCrowd(t, maxView, func(t *testing.T, c *crowd) {
		for range n {
			c.join()
			time.Sleep(joinEvery)
		}
		time.Sleep(10 * time.Second)
		for _, p := range c.peers {
			p.open()
		}
		time.Sleep(20 * time.Second)
		for _, p := range c.peers {
			if v := p.membership.View(); !v.Partial || len(v.Members) > maxView+1 {
				t.Fatalf("a view of %d members, partial: %v", len(v.Members), v.Partial)
			}
		}
		body(t, c)
	})
}

// end silences all peers, so that nobody waits for anybody, and stops them, all at once: those left would look after those that are gone.
func (c *crowd) end() {
	var stopping sync.WaitGroup
	defer stopping.Wait()
	for _, p := range c.peers {
		c.wires.Silence(p.addr)
	}
	for _, p := range c.peers {
		stopping.Go(p.stop)
	}
}

// add starts a fresh peer that knows one that lives.
func (c *crowd) add() { c.join().open() }

// join makes a peer that has no store yet.
func (c *crowd) join() *crowdPeer {
	c.t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	addr := ma.StringCast(fmt.Sprintf("/memory/%d", len(c.peers)+1))
	h, err := libp2p.New(libp2p.Identity(key), libp2p.Transport(c.wires.Transport), libp2p.ListenAddrs(addr), libp2p.NoSecurity, libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.ForceReachabilityPublic(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		c.t.Fatal(err)
	}
	p := &crowdPeer{crowd: c, key: key, host: h, addr: addr, hash: sha256.Sum256([]byte(h.ID()))}
	if len(c.peers) > 0 {
		o := c.pick()
		if err := h.Connect(context.Background(), peer.AddrInfo{ID: o.host.ID(), Addrs: []ma.Multiaddr{o.addr}}); err != nil {
			c.t.Fatal(err)
		}
	}
	if p.membership, err = routing.NewMembership(routing.Config{Host: p.host, Key: key, Network: c.network, MaxView: c.maxView}); err != nil {
		c.t.Fatal(err)
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.run(func() error { return p.membership.Run(p.ctx) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers = append(c.peers, p)
	return p
}

func (p *crowdPeer) run(part func() error) {
	p.parts.Go(func() {
		if err := part(); err != nil {
			p.crowd.t.Error(err)
		}
	})
}

// open opens the peer's store.
func (p *crowdPeer) open() {
	lookup, err := routing.NewLookup(routing.LookupConfig{Membership: p.membership})
	if err != nil {
		p.crowd.t.Fatal(err)
	}
	joined := make(chan struct{})
	p.Store, err = records.Open(records.Config{
		Host: p.host, Key: p.key, Network: p.crowd.network, Viewer: p.membership, Locator: lookup, Dir: "records", FS: vfs.NewMem(), Joined: joined,
	})
	if err != nil {
		p.crowd.t.Fatal(err)
	}
	p.run(func() error { return p.Run(context.Background()) }) // until it is closed
	first := len(p.crowd.peers) == 1
	p.run(func() error {
		defer close(joined)
		_ = routing.AwaitJoined(p.ctx, p.membership, func() bool { return !first }) // or it ends
		return nil
	})
}

func (p *crowdPeer) stop() {
	p.cancel()
	var err error
	if p.Store != nil {
		err = p.Close()
	}
	p.parts.Wait()
	if err := errors.Join(err, p.membership.Close(), p.host.Close()); err != nil {
		p.crowd.t.Error(err)
	}
}

func (c *crowd) alive() []*crowdPeer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.peers), func(p *crowdPeer) bool { return p.dead })
}

// pick returns a peer that lives.
func (c *crowd) pick() *crowdPeer {
	alive := c.alive()
	c.mu.Lock()
	defer c.mu.Unlock()
	return alive[c.rng.IntN(len(alive))]
}

// some returns n peers that live, at random.
func (c *crowd) some(n int) []*crowdPeer {
	alive := c.alive()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rng.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
	return alive[:n]
}

// kill silences peers for good.
func (c *crowd) kill(peers ...*crowdPeer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range peers {
		p.dead = true
		c.wires.Silence(p.addr)
	}
}

// holders returns who of all that live should hold a key, nearest first.
func (c *crowd) holders(key string) []*crowdPeer {
	first := disk.ShardOf(sha256.Sum256([]byte(key))).First()
	alive := c.alive()
	slices.SortFunc(alive, func(a, b *crowdPeer) int {
		x, y := swim.Distance(a.hash, first), swim.Distance(b.hash, first)
		return bytes.Compare(x[:], y[:])
	})
	return alive[:records.DefaultCopies]
}

// put writes a record through any peer.
func (c *crowd) put(key string) {
	c.t.Helper()
	w, err := c.pick().Put(c.t.Context(), key, []byte("value of "+key), records.PutOptions{})
	if err != nil {
		c.t.Fatalf("put: %v", err)
	}
	if w.Wanted != records.DefaultCopies || w.Stored < w.Wanted/2+1 {
		c.t.Errorf("put: %d of %d copies", w.Stored, w.Wanted)
	}
}

// read reads records through any peers and returns how long that took, in round trips.
func (c *crowd) read(keys []string) (roundTrips []float64) {
	c.t.Helper()
	for _, key := range keys {
		start := time.Now()
		r, err := c.pick().Get(c.t.Context(), key, records.GetOptions{})
		roundTrips = append(roundTrips, float64(time.Since(start))/float64(2*crowdLatency))
		if err != nil || string(r.Value) != "value of "+key {
			c.t.Errorf("get %q = %q, %v", key, r.Value, err)
		}
	}
	slices.Sort(roundTrips)
	return roundTrips
}

// load has callers do something with each of count keys through random peers. It returns how long each took, in round trips, sorted.
func (c *crowd) load(count int, do func(p *crowdPeer, key string)) (roundTrips []float64) {
	var mu sync.Mutex
	var callers sync.WaitGroup
	next := 0
	for range crowdCallers {
		callers.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= count {
					return
				}
				p, began := c.pick(), time.Now()
				do(p, fmt.Sprint("key", i))
				took := float64(time.Since(began)) / float64(2*crowdLatency)
				mu.Lock()
				roundTrips = append(roundTrips, took)
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	slices.Sort(roundTrips)
	return roundTrips
}

// awaitMesh waits until every peer that lives has exactly these in view as alive.
func (c *crowd) awaitMesh() {
	c.t.Helper()
	alive := c.alive()
	c.await("not all peers see one another", func(p *crowdPeer) bool { return p.membership.View().Count(routing.Alive) == len(alive) })
}

// awaitViews waits until the views are as they are to be: full ones have everybody who lives, others as many as they may.
func (c *crowd) awaitViews() {
	c.t.Helper()
	if c.maxView == 0 {
		c.awaitMesh()
		return
	}
	c.await("not all views are partial ones", func(p *crowdPeer) bool {
		v := p.membership.View()
		return v.Partial && v.Count(routing.Alive) <= c.maxView+1
	})
}

// awaitSynced waits until every store that lives is in sync.
func (c *crowd) awaitSynced() {
	c.t.Helper()
	c.await("not all stores are in sync", func(p *crowdPeer) bool {
		s := p.Stats()
		return s.ShardsHeld > 0 && s.ShardsSynced == s.ShardsHeld
	})
}

func (c *crowd) await(otherwise string, holds func(p *crowdPeer) bool) {
	c.t.Helper()
	for start := time.Now(); ; time.Sleep(time.Second) {
		lacking := 0
		for _, p := range c.alive() {
			if !holds(p) {
				lacking++
			}
		}
		switch {
		case lacking == 0:
			return
		case time.Since(start) > crowdForms:
			c.t.Fatalf("%s after %v: %d peers", otherwise, time.Since(start), lacking)
		}
	}
}

// census returns who has a copy of each record.
func (c *crowd) census() map[string][]*crowdPeer {
	c.t.Helper()
	census := map[string][]*crowdPeer{}
	for _, p := range c.alive() {
		page, err := p.List(c.t.Context(), records.ListOptions{Local: true})
		if err != nil || page.Cursor != "" {
			c.t.Fatalf("list: %d records, %v", len(page.Entries), err)
		}
		for _, e := range page.Entries {
			census[e.Key] = append(census[e.Key], p)
		}
	}
	return census
}

// misplaced says of how many records the copies are not on exactly those peers that should hold them, and describes one.
func (c *crowd) misplaced(keys []string) (n int, example string) {
	census := c.census()
	for _, key := range keys {
		holders, has := c.holders(key), census[key]
		missing := slices.DeleteFunc(slices.Clone(holders), func(p *crowdPeer) bool { return slices.Contains(has, p) })
		if len(missing) > 0 || len(has) > len(holders) {
			n, example = n+1, fmt.Sprintf("%q is on %d peers and not on %d of its holders", key, len(has), len(missing))
		}
	}
	return n, example
}

// awaitPlacement waits until all records are where they belong.
func (c *crowd) awaitPlacement(what string, keys []string, within time.Duration) {
	c.t.Helper()
	start := time.Now()
	for {
		n, example := c.misplaced(keys)
		took := time.Since(start)
		switch {
		case n == 0:
			c.t.Logf("%s: all %d records on exactly their holders after %v", what, len(keys), took)
			return
		case took >= within:
			c.t.Fatalf("%s: %d of %d records are not on exactly their holders after %v: %s", what, n, len(keys), took, example)
		}
		time.Sleep(time.Second)
	}
}

func quantile(sorted []float64, q float64) float64 { return sorted[int(q*float64(len(sorted)-1))] }

// checkAbsence looks for records that there are not. Where a quorum of those who should have one lives, all say so; where it does not, nobody does, whoever has moved up.
func (c *crowd) checkAbsence() {
	c.t.Helper()
	var absent []string
	for i := range 20 {
		absent = append(absent, fmt.Sprint("absent", i))
	}
	for _, key := range absent {
		_, err := c.pick().Get(c.t.Context(), key, records.GetOptions{})
		if fault.KindOf(err) != fault.NotFound {
			c.t.Errorf("get %q: %v", key, err)
		}
	}
	c.kill(c.holders(absent[0])[:3]...)
	for _, after := range []time.Duration{0, time.Second, 10 * time.Second, time.Minute} {
		time.Sleep(after)
		for range 5 {
			_, err := c.pick().Get(c.t.Context(), absent[0], records.GetOptions{})
			if fault.KindOf(err) != fault.Unavailable {
				c.t.Errorf("get of nothing, three of whose holders died, %v later: %v", after, err)
			}
		}
	}
}

// TestSmallViews shows that records are kept by the right peers where nobody sees more than a part of the network.
func TestSmallViews(t *testing.T) {
	n, maxView, count := sized(64, 512), sized(48, 64), sized(60, 1000)
	gatherCrowd(t, n, maxView, func(t *testing.T, c *crowd) {
		var keys []string
		for i := range count {
			keys = append(keys, fmt.Sprint("key", i))
			c.put(keys[i])
		}
		c.awaitPlacement("written", keys, crowdRepair)
		took := c.read(keys)
		t.Logf("reads through any peer: p50 %.1f, p99 %.1f, worst %.1f round trips", quantile(took, 0.5), quantile(took, 0.99), took[len(took)-1])
		if p99 := quantile(took, 0.99); p99 > 20 {
			t.Errorf("p99 of reads is %.1f round trips", p99)
		}
		replaced := n / 16
		c.kill(c.some(replaced)...)
		for range replaced {
			c.add()
		}
		c.awaitPlacement(fmt.Sprintf("%d of %d peers replaced", replaced, n), keys, crowdRepair)
		c.read(keys)
		c.checkAbsence()
	})
}
