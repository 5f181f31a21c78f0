package routing_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/routingtest"
)

// withKademlia runs f in a settled network of n nodes, each with a Kademlia.
func withKademlia(t *testing.T, n int, f func(t *testing.T, l *lab, kads []*routing.Kademlia)) {
	simulate(t, n, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(context.Background())
		var kads []*routing.Kademlia
		done := make(chan error)
		for _, node := range l.nodes {
			k, err := routing.NewKademlia(routing.KademliaConfig{Host: node.host, Network: node.cfg.Network, Viewer: node})
			if err != nil {
				t.Fatal(err)
			}
			kads = append(kads, k)
			go func() { done <- k.Run(ctx) }()
		}
		defer func() {
			cancel()
			for _, k := range kads {
				if err := errors.Join(<-done, k.Close()); err != nil {
					t.Errorf("stop Kademlia: %v", err)
				}
			}
		}()
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		time.Sleep(5 * time.Second)
		f(t, l, kads)
	})
}

func newID(t *testing.T) peer.ID {
	t.Helper()
	id, err := peer.IDFromPrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// conformance runs the suite against routers of the first of some nodes, of which the last has died.
func conformance(t *testing.T, router func(l *lab, kads []*routing.Kademlia) routing.Router) {
	withKademlia(t, 8, func(t *testing.T, l *lab, kads []*routing.Kademlia) {
		first, last := l.nodes[0], l.nodes[7]
		network := routingtest.Network{Router: router(l, kads), Self: first.host.ID(), Dead: last.host.ID(), Stranger: newID(t)}
		for _, n := range l.nodes[1:7] {
			network.Alive = append(network.Alive, n.info())
		}
		ip := last.ip
		l.setCut(func(from, to string) bool { return from == ip || to == ip })
		l.wait("dead", deadWithin, l.nodes[:7], []*labNode{last}, routing.Dead)
		routingtest.TestRouter(t, network)
	})
}

func newLookup(t *testing.T, m *routing.Membership, others routing.PeerFinder) *routing.Lookup {
	t.Helper()
	l, err := routing.NewLookup(routing.LookupConfig{Membership: m, Others: others})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLookupConforms(t *testing.T) {
	conformance(t, func(l *lab, _ []*routing.Kademlia) routing.Router { return newLookup(t, l.nodes[0].Membership, nil) })
}

func TestLookupWithKademliaConforms(t *testing.T) {
	conformance(t, func(l *lab, kads []*routing.Kademlia) routing.Router {
		return newLookup(t, l.nodes[0].Membership, kads[0])
	})
}

func TestViewRouterConforms(t *testing.T) {
	conformance(t, func(l *lab, _ []*routing.Kademlia) routing.Router {
		return routing.NewViewRouter(l.nodes[0].host, l.nodes[0])
	})
}

func TestLayeredRouterConforms(t *testing.T) {
	conformance(t, func(l *lab, kads []*routing.Kademlia) routing.Router {
		return routing.NewLayeredRouter(routing.NewViewRouter(l.nodes[0].host, l.nodes[0]), newLookup(t, l.nodes[0].Membership, kads[0]))
	})
}

func TestKademliaFindsWhatTheViewDoesNotHold(t *testing.T) {
	withKademlia(t, 6, func(t *testing.T, l *lab, _ []*routing.Kademlia) {
		// A newcomer that knows one node and has no membership: its view holds only that node.
		n := &labNode{lab: l, key: newKey(t)}
		n.cfg = routing.Config{Key: n.key, Network: l.nodes[0].cfg.Network}
		n.start()
		l.nodes = append(l.nodes, n)
		n.stop()
		viewer := routingtest.NewViewer(n.host.ID(), routing.Member{ID: l.nodes[0].host.ID(), State: routing.Alive})
		k, err := routing.NewKademlia(routing.KademliaConfig{Host: n.host, Network: n.cfg.Network, Viewer: viewer})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		n.connect(l.nodes[0])
		time.Sleep(time.Second)
		far := l.nodes[4]
		if info, err := k.FindPeer(t.Context(), far.host.ID()); err != nil || !slices.ContainsFunc(info.Addrs, far.addr().Equal) {
			t.Errorf("FindPeer = %v, %v; want %v", info, err, far.addr())
		}
		met, err := k.Walk(t.Context())
		if err != nil || len(met) != 6 {
			t.Errorf("a walk met %d peers, %v; want 6", len(met), err)
		}
		// What others still tell of is left out once it is known to be silent.
		viewer.Set(routing.Member{ID: far.host.ID(), State: routing.Suspect})
		met, err = k.Walk(t.Context())
		if err != nil || len(met) != 5 || slices.ContainsFunc(met, func(p peer.AddrInfo) bool { return p.ID == far.host.ID() }) {
			t.Errorf("a walk met %v, %v; want all 6 but the silent one", met, err)
		}
	})
}

func TestKademliaAlone(t *testing.T) {
	withKademlia(t, 1, func(t *testing.T, l *lab, kads []*routing.Kademlia) {
		if _, err := kads[0].FindPeer(t.Context(), newID(t)); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("FindPeer with nobody to ask: %v, want unavailable", err)
		}
		if met, err := kads[0].Walk(t.Context()); err != nil || len(met) > 0 {
			t.Errorf("a walk met %v, %v", met, err)
		}
	})
}

func TestLookupAlone(t *testing.T) {
	simulate(t, 1, func(t *testing.T, l *lab) {
		lookup := newLookup(t, l.nodes[0].Membership, nil)
		if _, err := lookup.FindPeer(t.Context(), newID(t)); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("FindPeer with nobody to ask: %v, want unavailable", err)
		}
		got, err := lookup.ClosestPeers(t.Context(), []byte("key"), 3)
		if err != nil || !slices.Equal(got, []peer.ID{l.nodes[0].host.ID()}) {
			t.Errorf("ClosestPeers = %v, %v; want the node itself", got, err)
		}
	})
}

// A lookup that begins at the moment when most peers fall silent finds those that live, and doesn't wait for the others for long.
func TestLookupIsNotHeldUpByTheDead(t *testing.T) {
	simulate(t, 6, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		lookup := newLookup(t, l.nodes[0].Membership, nil)
		gone := make(map[string]bool)
		for _, n := range l.nodes[2:] {
			gone[n.ip] = true
		}
		l.setCut(func(from, to string) bool { return gone[from] || gone[to] })
		start := time.Now()
		got, err := lookup.ClosestPeers(t.Context(), []byte("key"), 6)
		if err != nil || len(got) != 2 {
			t.Errorf("ClosestPeers = %v, %v; want the 2 that live", got, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("the lookup took %v", took)
		}
	})
}

// routerFunc is a Router that gives one answer to everything.
type routerFunc func() ([]peer.ID, error)

func (f routerFunc) FindPeer(context.Context, peer.ID) (peer.AddrInfo, error) {
	ids, err := f()
	if err != nil {
		return peer.AddrInfo{}, err
	}
	return peer.AddrInfo{ID: ids[0], Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1")}}, nil
}

func (f routerFunc) ClosestPeersTo(ctx context.Context, _ [sha256.Size]byte, _ int) ([]peer.AddrInfo, error) {
	info, err := f.FindPeer(ctx, "")
	return []peer.AddrInfo{info}, err
}

func (f routerFunc) ClosestPeers(context.Context, []byte, int) ([]peer.ID, error) { return f() }

func TestLayers(t *testing.T) {
	answer := func(id peer.ID) routing.Router {
		return routerFunc(func() ([]peer.ID, error) { return []peer.ID{id}, nil })
	}
	fail := func(k fault.Kind) routing.Router {
		return routerFunc(func() ([]peer.ID, error) { return nil, fault.New(k, "no") })
	}
	for name, tt := range map[string]struct {
		routers []routing.Router
		want    peer.ID
		kind    fault.Kind
	}{
		"first answer":               {[]routing.Router{answer("a"), answer("b")}, "a", 0},
		"second answer":              {[]routing.Router{fail(fault.NotFound), answer("b")}, "b", 0},
		"all say not found":          {[]routing.Router{fail(fault.NotFound), fail(fault.NotFound)}, "", fault.NotFound},
		"one could not say":          {[]routing.Router{fail(fault.NotFound), fail(fault.Unavailable)}, "", fault.Unavailable},
		"the other could not say":    {[]routing.Router{fail(fault.Unavailable), fail(fault.NotFound)}, "", fault.Unavailable},
		"all refuse the same thing":  {[]routing.Router{fail(fault.Invalid), fail(fault.Invalid)}, "", fault.Invalid},
		"no router":                  {nil, "", fault.Unavailable},
		"a failure for other causes": {[]routing.Router{fail(fault.NotFound), fail(fault.Internal)}, "", fault.Unavailable},
	} {
		r := routing.NewLayeredRouter(tt.routers...)
		info, err := r.FindPeer(t.Context(), "x")
		ids, err2 := r.ClosestPeers(t.Context(), []byte("x"), 1)
		if tt.want == "" {
			if fault.KindOf(err) != tt.kind || fault.KindOf(err2) != tt.kind {
				t.Errorf("%s: %v, %v; want %v", name, err, err2, tt.kind)
			}
		} else if err != nil || err2 != nil || info.ID != tt.want || !slices.Equal(ids, []peer.ID{tt.want}) {
			t.Errorf("%s: %v, %v, %v, %v; want %v", name, info.ID, err, ids, err2, tt.want)
		}
	}
}
