package routing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
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

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/wires"
	"github.com/folkmoot/folkmoot/pubsub"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// fieldLatency is the time from peer to peer, fieldDegree to how many others each peer of a field is connected from the start.
const (
	fieldLatency = 10 * time.Millisecond
	fieldDegree  = 8
)

// field is a network of peers whose views have settled, in simulated time: production memberships and ways of routing over simulated links. The memberships do not probe, so that nothing but the
// questions costs anything, and who dies is still believed alive.
type field struct {
	t     *testing.T
	seed  uint64
	view  int
	rng   *rand.Rand
	wires *wires.Wires
	peers []*fieldPeer
	lying atomic.Bool
	calls atomic.Int64
	stop  context.CancelFunc
	parts sync.WaitGroup
}

type fieldPeer struct {
	*Membership
	*Ways
	host     host.Host
	addr     ma.Multiaddr
	hash     [sha256.Size]byte
	topics   *pubsub.Service
	registry *prometheus.Registry
	liar     bool
	dead     bool
}

// inField runs f in a field of n peers whose views hold at most view others.
func inField(t *testing.T, n, view int, f func(t *testing.T, f *field)) {
	inSeededField(t, rand.Uint64(), n, view, f)
}

func inSeededField(t *testing.T, seed uint64, n, view int, f func(t *testing.T, f *field)) {
	inFieldOf(t, seed, n, view, func(fd *field) {
		for range n {
			fd.add(fd.key())
		}
		for i, at := range fd.rng.Perm(n)[:(n+9)/10] {
			if i > 0 || n >= 8 {
				fd.peers[at].liar = true
			}
		}
	}, f)
}

// inFieldOf runs f in a field of peers that are added by a function, n of them.
func inFieldOf(t *testing.T, seed uint64, n, view int, populate func(f *field), f func(t *testing.T, f *field)) {
	t.Logf("%d peers, views of %d, seed %d", n, view, seed)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		fd := &field{t: t, seed: seed, view: view, rng: rand.New(rand.NewPCG(seed, 0)), wires: wires.New(fieldLatency), stop: stop}
		defer time.Sleep(time.Minute) // gossipsub's goroutines end by themselves
		defer fd.close()
		populate(fd)
		fd.settle()
		for _, p := range fd.peers {
			fd.open(ctx, p)
		}
		fd.connect()
		f(t, fd)
	})
}

// randomBytes reads what rng draws.
type randomBytes struct{ rng *rand.Rand }

func (r randomBytes) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.rng.Uint32())
	}
	return len(b), nil
}

func (f *field) must(err error) {
	if err != nil {
		f.t.Helper()
		f.t.Fatal(err)
	}
}

func (f *field) key() crypto.PrivKey {
	key, _, err := crypto.GenerateEd25519Key(randomBytes{f.rng})
	f.must(err)
	return key
}

func (f *field) add(key crypto.PrivKey) {
	p := &fieldPeer{addr: ma.StringCast(fmt.Sprintf("/memory/%d", len(f.peers)+1)), registry: prometheus.NewRegistry()}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.Transport(f.wires.Transport), libp2p.ListenAddrs(p.addr), libp2p.NoSecurity,
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.ForceReachabilityPublic(), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery())
	f.must(err)
	p.host, p.hash = h, sha256.Sum256([]byte(h.ID()))
	p.Membership, err = NewMembership(Config{Host: h, Key: key, Network: testNetwork(f.t, "field"), MaxView: max(f.view, MinView)})
	f.must(err)
	c, err := sealClaim(key, p.cfg.Network, swim.Claim{Incarnation: 1, Addrs: []ma.Multiaddr{p.addr}})
	f.must(err)
	p.machine.Announce(time.Now(), c)
	f.peers = append(f.peers, p)
}

// settle has every peer meet every other, of whom it keeps those that belong into its view.
func (f *field) settle() {
	claims := make(map[peer.ID]*swim.Claim)
	for _, p := range f.peers {
		claims[p.host.ID()] = p.machine.Self()
	}
	for _, p := range f.peers {
		for _, at := range f.rng.Perm(len(f.peers)) {
			p.meets(f.peers[at].host.ID(), claims)
		}
		p.mu.Lock()
		p.republish()
		p.mu.Unlock()
	}
}

func (p *fieldPeer) meets(id peer.ID, claims map[peer.ID]*swim.Claim) {
	if !p.allows(id) {
		return
	}
	p.Membership.mu.Lock()
	defer p.Membership.mu.Unlock()
	now := time.Now()
	p.machine.Met(now, id)
	for _, a := range p.machine.Actions() {
		if probe, ok := a.(swim.Probe); ok {
			p.machine.Receive(now, probe.Target, swim.Message{Incarnation: 1, Claims: []*swim.Claim{claims[probe.Target]}})
			p.machine.Answered(now, probe.ID, 2*fieldLatency)
		}
	}
}

// counting counts the questions that a peer asks.
type counting struct {
	caller
	calls *atomic.Int64
}

func (c counting) Call(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
	c.calls.Add(1)
	return c.caller.Call(ctx, to, request)
}

// open starts the ways of routing of a peer.
func (f *field) open(ctx context.Context, p *fieldPeer) {
	var err error
	p.topics, err = pubsub.New(pubsub.Config{Host: p.host, Network: p.cfg.Network, Registerer: p.registry})
	f.must(err)
	var gossip Gossip = p.topics
	if p.liar {
		gossip = mute{p.topics, f}
	}
	p.Ways, err = NewWays(LookupConfig{Membership: p.Membership}, gossip)
	f.must(err)
	if p.liar {
		f.corrupt(p)
	}
	p.client = counting{p.client, &f.calls}
	p.Recursive.client = counting{p.Recursive.client, &f.calls}
	p.Broadcast.client = counting{p.Broadcast.client, &f.calls}
	f.parts.Go(func() { p.Ways.Run(ctx) })
	f.parts.Go(func() { p.topics.Run(ctx) })
}

// mute is the gossip of a peer that, while it lies, neither passes questions on nor answers them.
type mute struct {
	Gossip
	f *field
}

func (m mute) Handle(topic string, check pubsub.Check, take func(pubsub.Message)) error {
	return m.Gossip.Handle(topic, func(author peer.ID, data []byte) error {
		if m.f.lying.Load() {
			return fault.New(fault.Forbidden, "I don't pass that on")
		}
		return check(author, data)
	}, take)
}

// corrupt has a peer lie, while the field does, to those who look something up or pass something on: it tells of none but other liars, those nearest to the point, and of peers that don't exist.
func (f *field) corrupt(p *fieldPeer) {
	serve := func(server **rpc.Server, cfg rpc.ServerConfig, honest rpc.Handler, lie func(request []byte) ([]byte, error)) {
		f.must((*server).Close())
		cfg.Host, cfg.MaxMessage, cfg.MaxInFlight = p.host, maxMessage, maxCalls
		cfg.Handler = func(ctx context.Context, from peer.ID, request []byte) ([]byte, error) {
			if f.lying.Load() {
				return lie(request)
			}
			return honest(ctx, from, request)
		}
		var err error
		*server, err = rpc.NewServer(cfg)
		f.must(err)
	}
	serve(&p.server, rpc.ServerConfig{Protocol: MembershipProtocol(p.cfg.Network)}, p.handle, func(request []byte) ([]byte, error) {
		var r closestRequest
		if err := decode(request[1:], &r); err != nil {
			return nil, err
		}
		return encode(&closestAnswer{Claims: f.lies(r.Target, int(r.Count))})
	})
	serve(&p.Recursive.server, rpc.ServerConfig{Protocol: RecursiveProtocol(p.cfg.Network)}, p.Recursive.handle, func(request []byte) ([]byte, error) {
		var q question
		if err := decode(request, &q); err != nil {
			return nil, err
		}
		return encode(&recursiveAnswer{Claims: f.lies(q.Target, int(q.Count))})
	})
}

// lies are the claims that liars tell: of the nearest among themselves, and of two peers with keys of their own that nobody runs.
func (f *field) lies(target [sha256.Size]byte, n int) []sealedClaim {
	var claims []*swim.Claim
	for _, p := range f.nearest(target, len(f.peers)) {
		if p.liar && len(claims) < n-2 {
			claims = append(claims, p.machine.Self())
		}
	}
	for range min(2, n) {
		c, err := sealClaim(testKey(f.t), f.peers[0].cfg.Network, swim.Claim{Incarnation: 1, Addrs: []ma.Multiaddr{ma.StringCast("/memory/999999")}})
		f.must(err)
		claims = append(claims, c)
	}
	return sealedOf(claims)
}

// connect connects every peer to some of its view.
func (f *field) connect() {
	for _, p := range f.peers {
		members := p.View().Members
		for _, at := range f.rng.Perm(len(members))[:min(len(members), fieldDegree)] {
			if m := members[at]; m.ID != p.host.ID() {
				_, err := p.Membership.connect(context.Background(), m.ID, m.Addrs)
				f.must(err)
			}
		}
	}
}

func (f *field) close() {
	for _, p := range f.peers {
		f.wires.Silence(p.addr)
	}
	f.stop()
	f.parts.Wait()
	for _, p := range f.peers {
		p.Ways.Close()
		p.topics.Close()
		p.Membership.Close()
		p.host.Close()
	}
}

// kill silences the liars, a tenth of all, of which nobody knows yet.
func (f *field) kill() {
	for _, p := range f.peers {
		if p.liar {
			p.dead = true
			f.wires.Silence(p.addr)
		}
	}
}

// nearest returns the n living peers nearest to target.
func (f *field) nearest(target [sha256.Size]byte, n int) []*fieldPeer {
	alive := slices.DeleteFunc(slices.Clone(f.peers), func(p *fieldPeer) bool { return p.dead })
	slices.SortFunc(alive, func(a, b *fieldPeer) int {
		x, y := swim.Distance(a.hash, target), swim.Distance(b.hash, target)
		return bytes.Compare(x[:], y[:])
	})
	return alive[:min(n, len(alive))]
}

// gossiped returns how many gossip RPCs all peers have sent.
func (f *field) gossiped() int {
	sum := 0.0
	for _, p := range f.peers {
		families, err := p.registry.Gather()
		f.must(err)
		for _, family := range families {
			for _, m := range family.GetMetric() {
				if family.GetName() == "moot_pubsub_rpcs_total" && m.GetLabel()[0].GetValue() == "sent" {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return int(sum)
}

// result is what questions found and cost, on average but for the latencies.
type result struct {
	method                       Method
	peers, asked                 int
	failed                       int     // without an answer
	complete                     int     // with all of the honest among the true five nearest
	bogus                        float64 // peers in an answer that are dead or never were
	hops, messages, bytes, dials float64
	median, worst                time.Duration
	mostMessages                 int
}

// fieldWanted is how many peers each question is for: as many as copies of a record are kept.
const fieldWanted = 5

// ask has random honest peers look random points up, one after the other.
func (f *field) ask(method Method, times int) result {
	r := result{method: method, peers: len(f.peers), asked: times}
	var took []time.Duration
	honest := slices.DeleteFunc(slices.Clone(f.peers), func(p *fieldPeer) bool { return p.liar })
	if method == MethodBroadcast { // gossip wakes, and meshes form
		f.once(honest[0], method)
		time.Sleep(5 * time.Second)
	}
	for range times {
		asker := honest[f.rng.IntN(len(honest))]
		calls, gossip, dials, carried := f.calls.Load(), f.gossiped(), f.wires.Dialled(), f.wires.Carried()
		start := time.Now()
		hops, complete, bogus, err := f.once(asker, method)
		took = append(took, time.Since(start))
		synctest.Wait()
		messages := int(2*(f.calls.Load()-calls)) + f.gossiped() - gossip
		r.mostMessages = max(r.mostMessages, messages)
		r.messages += float64(messages)
		r.dials += float64(f.wires.Dialled() - dials)
		r.bytes += float64(f.wires.Carried() - carried)
		switch {
		case err != nil:
			r.failed++
			f.t.Logf("%s: %v", method, err)
			continue
		case complete:
			r.complete++
		}
		r.hops += float64(hops)
		r.bogus += float64(bogus)
	}
	slices.Sort(took)
	r.median, r.worst = took[len(took)/2], took[len(took)-1]
	for _, sum := range []*float64{&r.hops, &r.messages, &r.bytes, &r.dials, &r.bogus} {
		*sum /= float64(times)
	}
	return r
}

// once looks one random point up.
func (f *field) once(asker *fieldPeer, method Method) (hops int, complete bool, bogus int, err error) {
	var target [sha256.Size]byte
	for i := range target {
		target[i] = byte(f.rng.UintN(256))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	seek := map[Method]func(context.Context, [sha256.Size]byte, int) (*search, int, error){
		MethodIterative: asker.Iterative.seek, MethodRecursive: asker.Recursive.seek, MethodBroadcast: asker.Broadcast.seek,
	}[method]
	s, _, err := seek(ctx, target, fieldWanted)
	if err != nil {
		return 0, false, 0, err
	}
	found := make(map[peer.ID]bool)
	for _, c := range s.found(fieldWanted) {
		found[c.ID] = true
		if !slices.ContainsFunc(f.peers, func(p *fieldPeer) bool { return p.host.ID() == c.ID && !p.dead }) {
			bogus++
		}
	}
	complete = true
	for _, p := range f.nearest(target, fieldWanted) {
		complete = complete && (found[p.host.ID()] || p.liar)
	}
	return s.hops(fieldWanted), complete, bogus, nil
}
