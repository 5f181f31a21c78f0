package routing_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/internal/wires"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/swim"
)

// crowd is a network of many peers with production memberships and lookups. Only the links are simulated, and time.
type crowd struct {
	t     *testing.T
	rng   *rand.Rand
	wires *wires.Wires
	nodes []*crowdNode
}

type crowdNode struct {
	*routing.Membership
	lookup  *routing.Lookup
	host    host.Host
	key     crypto.PrivKey
	addr    ma.Multiaddr
	hash    [sha256.Size]byte // Kademlia id
	dead    bool
	metrics *prometheus.Registry
	stop    func()
}

// gather runs f in a crowd of n peers whose views hold at most maxView. Each begins with one peer that it knows.
func gather(t *testing.T, n, maxView int, f func(t *testing.T, c *crowd)) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, rng: rand.New(rand.NewPCG(seed, 0)), wires: wires.New(labLatency)}
		defer func() { // all at once: those left would look after those that are gone
			var stopping sync.WaitGroup
			defer stopping.Wait()
			for _, n := range c.nodes {
				c.wires.Silence(n.addr)
			}
			for _, n := range c.nodes {
				stopping.Go(n.stop)
			}
		}()
		for range n {
			c.add(maxView)
			time.Sleep(20 * time.Millisecond)
		}
		f(t, c)
	})
}

func (c *crowd) add(maxView int) {
	c.t.Helper()
	key := newKey(c.t)
	addr := ma.StringCast(fmt.Sprintf("/memory/%d", len(c.nodes)+1))
	h, err := libp2p.New(libp2p.Identity(key), libp2p.Transport(c.wires.Transport), libp2p.ListenAddrs(addr), libp2p.NoSecurity,
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.ForceReachabilityPublic(), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		c.t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	m, err := routing.NewMembership(routing.Config{Host: h, Key: key, Network: openNetwork(c.t, "crowd"), MaxView: maxView, Registerer: reg})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	n := &crowdNode{metrics: reg, Membership: m, lookup: newLookup(c.t, m, nil), host: h, key: key, addr: addr, hash: sha256.Sum256([]byte(h.ID()))}
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("Run: %v", err)
		}
		m.Close()
		h.Close()
	}
	if len(c.nodes) > 0 {
		o := c.nodes[c.rng.IntN(len(c.nodes))]
		if err := h.Connect(context.Background(), peer.AddrInfo{ID: o.host.ID(), Addrs: []ma.Multiaddr{o.addr}}); err != nil {
			c.t.Fatal(err)
		}
	}
	c.nodes = append(c.nodes, n)
}

// alive returns the peers that live.
func (c *crowd) alive() []*crowdNode {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *crowdNode) bool { return n.dead })
}

// nearest returns the ids of the k living peers that are nearest to target.
func (c *crowd) nearest(target [sha256.Size]byte, k int) []peer.ID {
	nodes := c.alive()
	slices.SortFunc(nodes, func(a, b *crowdNode) int {
		x, y := swim.Distance(a.hash, target), swim.Distance(b.hash, target)
		return bytes.Compare(x[:], y[:])
	})
	var ids []peer.ID
	for _, n := range nodes[:k] {
		ids = append(ids, n.host.ID())
	}
	return ids
}

// checkLookups looks random points up from random peers and fails unless that mostly finds exactly the nearest living peers.
func (c *crowd) checkLookups(what string, times int, share float64) {
	c.t.Helper()
	const wanted = 5
	exact, failed, first := 0, 0, 0
	var took []time.Duration
	alive := c.alive()
	for range times {
		var target [sha256.Size]byte
		for i := range target {
			target[i] = byte(c.rng.UintN(256))
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
		got, err := alive[c.rng.IntN(len(alive))].lookup.ClosestPeersTo(ctx, target, wanted)
		cancel()
		took = append(took, time.Since(start))
		var ids []peer.ID
		for _, info := range got {
			ids = append(ids, info.ID)
		}
		want := c.nearest(target, wanted)
		switch {
		case err != nil:
			failed++
			c.t.Logf("%s: %v", what, err)
		case slices.Equal(ids, want):
			exact++
		case ids[0] == want[0]:
			first++
		}
	}
	slices.Sort(took)
	c.t.Logf("%s: %d of %d lookups exact, %d more with the right first, %d failed; median %v, worst %v",
		what, exact, times, first, failed, took[len(took)/2], took[len(took)-1])
	if float64(exact) < share*float64(times) {
		c.t.Errorf("%s: only %d of %d lookups were exact", what, exact, times)
	}
}

// kill silences a share of the living peers, at random.
func (c *crowd) kill(share float64) {
	alive := c.alive()
	for _, i := range c.rng.Perm(len(alive))[:int(share*float64(len(alive)))] {
		alive[i].dead = true
		c.wires.Silence(alive[i].addr)
	}
}

// measure logs what the crowd costs over d.
func (c *crowd) measure(what string, d time.Duration) {
	c.t.Helper()
	alive := c.alive()
	perPeer := func(x float64) float64 { return x / float64(len(alive)) }
	before, dials, sent := cpuTime(), c.wires.Dialled(), c.sent(alive)
	time.Sleep(d)
	used := cpuTime() - before
	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	conns, out, kept, members, present, partial := 0, 0, 0, 0, 0, 0
	for _, n := range alive {
		for _, conn := range n.host.Network().Conns() {
			conns++
			if conn.Stat().Direction == network.DirOutbound {
				out++
			}
			if n.host.ConnManager().IsProtected(conn.RemotePeer(), "") {
				kept++
			}
		}
		v := n.View()
		members += len(v.Members)
		present += v.Count(routing.Alive)
		if v.Partial {
			partial++
		}
	}
	c.t.Logf("%s: of each peer %.0f KiB, %.0f goroutines, %.1f connections (%.1f of them its own, %.1f kept on purpose), %.1f members (%.1f alive), %.2f ms CPU/s, %.2f dials/s, %.0f bytes/s sent; %d of %d views are partial",
		what, perPeer(float64(mem.HeapAlloc+mem.StackInuse)/1024), perPeer(float64(runtime.NumGoroutine())), perPeer(float64(conns)), perPeer(float64(out)), perPeer(float64(kept)), perPeer(float64(members)), perPeer(float64(present)),
		perPeer(float64(used.Milliseconds())/d.Seconds()), perPeer(float64(c.wires.Dialled()-dials)/d.Seconds()), perPeer((c.sent(alive)-sent)/d.Seconds()), partial, len(alive))
}

// sent returns how many bytes of the membership protocol the given peers have sent.
func (c *crowd) sent(nodes []*crowdNode) float64 {
	sum := 0.0
	for _, n := range nodes {
		families, err := n.metrics.Gather()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "moot_membership_bytes_total" && m.GetLabel()[0].GetValue() == "sent" {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// cpuTime returns the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// testSmallViews shows that lookups are exact in a network of which nobody sees more than a part.
func testSmallViews(t *testing.T, n, maxView, lookups int, settle time.Duration) {
	start := cpuTime()
	gather(t, n, maxView, func(t *testing.T, c *crowd) {
		t.Logf("started with %v of CPU", cpuTime()-start)
		c.measure("forming", settle)
		c.checkLookups("formed", lookups, 0.99)
		c.kill(0.1)
		time.Sleep(time.Second)
		c.checkLookups("a second after a tenth died", lookups, 0.99)
		c.measure("a tenth is dead", settle)
		c.checkLookups("when their deaths are known", lookups, 0.99)
		t.Logf("%v of CPU", cpuTime()-start)
	})
}

// The view is as large as it takes for lookups to be exact: with only the eight nearest complete (views of 16) one of 2,400 was not, with 20 of them (views of 40) none of 4,800.
func TestLookupsInSmallViews(t *testing.T) { testSmallViews(t, 64, 40, 50, 8*time.Second) }
