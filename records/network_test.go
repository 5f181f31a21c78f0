package records_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// linkLatency is the time of a packet from peer to peer.
	linkLatency = time.Millisecond
	// warmUp is how long new stores take to be certain that they know all there is.
	warmUp = 10 * time.Second
	// never is longer than any test: the latency of a packet that is lost.
	never = 1000 * time.Hour
)

// viewer is a view of the network that tests set.
type viewer struct {
	mu      sync.Mutex
	view    *routing.View // guarded by mu
	changed chan struct{} // guarded by mu
}

func (v *viewer) View() *routing.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.view
}

func (v *viewer) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

func (v *viewer) set(view *routing.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.view = view
	if v.changed != nil {
		close(v.changed)
	}
	v.changed = make(chan struct{})
}

// A node is one peer of a simulated network.
type node struct {
	*records.Store
	host   host.Host
	key    crypto.PrivKey
	fs     *vfs.MemFS
	view   viewer
	skew   atomic.Int64 // nanoseconds that its clock is ahead
	frozen atomic.Bool  // no packet reaches or leaves it
	sent   calls        // what it has asked of others

	wrap atomic.Pointer[func(records.CallFunc) records.CallFunc] // what Intercept was given last
}

// Intercept puts wrap between the store and the other peers, from now on and in place of an earlier one.
func (n *node) Intercept(wrap func(next records.CallFunc) records.CallFunc) { n.wrap.Store(&wrap) }

// ask counts and makes a request.
func (n *node) ask(next records.CallFunc) records.CallFunc {
	return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
		call := next
		if wrap := n.wrap.Load(); wrap != nil {
			call = (*wrap)(next)
		}
		return n.sent.intercept(call)(ctx, to, request)
	}
}

// A simulation is a network of stores in one process, in simulated time; links, clocks and disks are simulated, the rest is the real thing.
type simulation struct {
	t     *testing.T
	nodes []*node
	id    swarm.NetworkID
	loss  atomic.Int64   // packets lost of a thousand
	rng   *mathrand.Rand // the test's
	links *mathrand.Rand // the router's
	zones []string       // zones[i] is that of node i
	addrs map[string]*node
}

// simulate runs body with a network of n stores that all know one another.
func simulate(t *testing.T, n int, body func(t *testing.T, s *simulation)) {
	simulateZones(t, make([]string, n), body)
}

func simulateZones(t *testing.T, zones []string, body func(t *testing.T, s *simulation)) {
	seed := mathrand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		id, err := swarm.OpenNetwork("test")
		if err != nil {
			t.Fatal(err)
		}
		s := &simulation{t: t, id: id, zones: zones, addrs: map[string]*node{}}
		s.rng, s.links = mathrand.New(mathrand.NewPCG(seed, 0)), mathrand.New(mathrand.NewPCG(seed, 1))
		sim := &simnet.Simnet{LatencyFunc: s.latency, Logger: slog.New(slog.DiscardHandler)}
		for i := range zones {
			s.nodes = append(s.nodes, s.newNode(sim, i))
		}
		s.know()
		sim.Start()
		for _, n := range s.nodes {
			s.open(n)
		}
		time.Sleep(warmUp)
		body(t, s)
		for _, n := range s.nodes {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			n.host.Close()
		}
		sim.Close()
	})
}

func (s *simulation) newNode(sim *simnet.Simnet, i int) *node {
	key, _ := newKey(s.t)
	ip := fmt.Sprintf("1.0.%d.%d", i/250, 1+i%250)
	link := simnet.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/"+ip+"/udp/4242/quic-v1"), libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.ResourceManager(&network.NullResourceManager{}),
		simlibp2p.QUICSimnet(sim, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}))
	if err != nil {
		s.t.Fatal(err)
	}
	n := &node{host: h, key: key, fs: vfs.NewCrashableMem()}
	s.addrs[ip] = n
	return n
}

// latency is called by the one goroutine that routes packets.
func (s *simulation) latency(p *simnet.Packet) time.Duration {
	from, to := s.addrs[p.From.(*net.UDPAddr).IP.String()], s.addrs[p.To.(*net.UDPAddr).IP.String()]
	if from.frozen.Load() || to.frozen.Load() || s.links.Int64N(1000) < s.loss.Load() {
		return never
	}
	return linkLatency
}

// know gives every node the view that all nodes are alive.
func (s *simulation) know() { s.setViews(s.nodes, nil) }

// setViews gives every node a view of the given nodes and itself, in the given states; alive where none is given.
func (s *simulation) setViews(members []*node, states map[*node]routing.State) {
	for _, self := range s.nodes {
		view := &routing.View{Self: self.host.ID()}
		for i, n := range s.nodes {
			if n != self && !slices.Contains(members, n) {
				continue
			}
			m := routing.Member{ID: n.host.ID(), Addrs: n.host.Addrs(), Zone: s.zones[i], State: routing.Alive, RTT: 2 * linkLatency}
			if state := states[n]; state != 0 && n != self {
				m.State = state
			}
			view.Members = append(view.Members, m)
		}
		slices.SortFunc(view.Members, func(a, b routing.Member) int { return cmp.Compare(a.ID, b.ID) })
		self.view.set(view)
	}
}

func (s *simulation) open(n *node) { s.openOn(n, n.fs) }

func (s *simulation) openOn(n *node, fs vfs.FS) {
	s.t.Helper()
	store, err := records.Open(records.Config{
		Host: n.host, Key: n.key, Network: s.id, Viewer: &n.view, Dir: "records", FS: fs,
		Now: func() time.Time { return time.Now().Add(time.Duration(n.skew.Load())) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	store.Intercept(n.ask)
	n.Store = store
	go func() {
		if err := store.Run(context.Background()); err != nil { // until the store is closed
			s.t.Error(err)
		}
	}()
}

// crash cuts a node's power and starts it again with what its disk had synced.
func (s *simulation) crash(n *node) {
	s.t.Helper()
	disk := n.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: s.rng})
	if err := n.Close(); err != nil {
		s.t.Error(err)
	}
	n.fs = disk
	s.open(n)
}

// named returns the nodes in the order of the given ids.
func (s *simulation) named(ids []peer.ID) []*node {
	var nodes []*node
	for _, id := range ids {
		nodes = append(nodes, s.nodes[slices.IndexFunc(s.nodes, func(n *node) bool { return n.host.ID() == id })])
	}
	return nodes
}

// holders returns the nodes that hold a key as node 0 sees it, and those that don't.
func (s *simulation) holders(key string) (holders, others []*node) {
	holders = s.named(s.nodes[0].HoldersOf(key))
	for _, n := range s.nodes {
		if !slices.Contains(holders, n) {
			others = append(others, n)
		}
	}
	return holders, others
}

// advance moves all wall clocks ahead without letting time pass.
func (s *simulation) advance(d time.Duration) {
	for _, n := range s.nodes {
		n.skew.Add(int64(d))
	}
}

func newKey(t testing.TB) (crypto.PrivKey, peer.ID) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

func loopback(t testing.TB) []ma.Multiaddr {
	t.Helper()
	return []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
}
