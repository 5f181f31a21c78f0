package nat

import (
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

// fakePeers are members by what the test says.
type fakePeers struct {
	mu      sync.Mutex
	members map[peer.ID]bool // guarded by mu
	relays  []peer.AddrInfo  // set before they are asked for
}

func (f *fakePeers) Alive() []peer.ID        { return nil }
func (f *fakePeers) Relays() []peer.AddrInfo { return f.relays }

func (f *fakePeers) Member(p peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.members[p]
}

func (f *fakePeers) add(ids ...peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range ids {
		f.members[p] = true
	}
}

// side is a host on loopback with its traversal.
type side struct {
	host.Host
	*Traversal
	peers *fakePeers
}

// Addrs are the host's.
func (s *side) Addrs() []ma.Multiaddr { return s.Host.Addrs() }

// Close is the test's business.
func (s *side) Close() {}

func newSide(t *testing.T, cfg Config) *side {
	t.Helper()
	id, err := swarm.OpenNetwork("nat-test")
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Network = id
	traversal, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h, err := swarm.NewHost(swarm.Config{Key: key, Network: id, Listen: addrsOf("/ip4/127.0.0.1/tcp/0"), Traversal: traversal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	s := &side{Host: h, Traversal: traversal, peers: &fakePeers{members: make(map[peer.ID]bool)}}
	if err := traversal.Open(h, s.peers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := traversal.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (s *side) info() peer.AddrInfo {
	return peer.AddrInfo{ID: s.ID(), Addrs: s.Network().ListenAddresses()}
}

// behind is where s is found through a relay.
func (s *side) behind(t *testing.T, relay *side) peer.AddrInfo {
	t.Helper()
	for _, a := range relay.Network().ListenAddresses() {
		if swarm.TransportOf(a) == "tcp" {
			return peer.AddrInfo{ID: s.ID(), Addrs: addrsOf(fmt.Sprintf("%s/p2p/%s/p2p-circuit", a, relay.ID()))}
		}
	}
	t.Fatal("the relay listens on no TCP port")
	return peer.AddrInfo{}
}

// relaying returns a relay, and hosts that are connected to it, as many as asked for; the first of them has a place.
func relaying(t *testing.T, q Quotas, n int) (relay *side, others []*side) {
	t.Helper()
	relay = newSide(t, Config{Relay: ServeAlways, Quotas: q})
	for range n {
		s := newSide(t, Config{Relay: ServeNever})
		relay.peers.add(s.ID())
		if err := s.Connect(t.Context(), relay.info()); err != nil {
			t.Fatal(err)
		}
		others = append(others, s)
	}
	if _, err := client.Reserve(t.Context(), others[0].Host, relay.info()); err != nil {
		t.Fatal(err)
	}
	return relay, others
}

// Relayed connections carry ordinary streams, and count.
func TestRelayedConnectionsCarryEverything(t *testing.T) {
	relay, others := relaying(t, Quotas{}, 2)
	far, near := others[0], others[1]
	far.Host.SetStreamHandler("/echo/1", func(s network.Stream) { _, _ = io.Copy(s, s); s.Close() })
	if err := near.Connect(t.Context(), far.behind(t, relay)); err != nil {
		t.Fatal(err)
	}
	if got := near.Network().Connectedness(far.ID()); got != network.Connected {
		t.Errorf("it is %s", got)
	}
	s, err := near.Host.NewStream(t.Context(), far.ID(), "/echo/1")
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20 // more than libp2p lets through limited connections
	go func() {
		_, _ = s.Write(make([]byte, size))
		s.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, s); n != size || err != nil {
		t.Errorf("%d bytes came back, %v", n, err)
	}
	if now := relay.Status().Relaying; !now.Serving || now.Reservations != 1 || now.Circuits != 1 || now.Bytes < 2*size {
		t.Errorf("the relay says %+v", now)
	}
	if err := relay.relay.serve(false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the circuit ends with the relay's service", func() bool { return len(near.Network().ConnsToPeer(far.ID())) == 0 })
}

func TestStrangersAreNotRelayed(t *testing.T) {
	relay, others := relaying(t, Quotas{}, 1)
	stranger := newSide(t, Config{Relay: ServeNever})
	if err := stranger.Connect(t.Context(), relay.info()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Reserve(t.Context(), stranger.Host, relay.info()); err == nil {
		t.Error("a stranger has a place")
	}
	if err := stranger.Connect(t.Context(), others[0].behind(t, relay)); err == nil {
		t.Error("a stranger has a circuit")
	}
	if now := relay.Status().Relaying; now.Circuits != 0 || now.Reservations != 1 {
		t.Errorf("the relay says %+v", now)
	}
}

func TestQuotas(t *testing.T) {
	relay, others := relaying(t, Quotas{Reservations: 1, Circuits: 1}, 3)
	if _, err := client.Reserve(t.Context(), others[1].Host, relay.info()); err == nil {
		t.Error("there is a place too many")
	}
	if err := others[1].Connect(t.Context(), others[0].behind(t, relay)); err != nil {
		t.Fatal(err)
	}
	if err := others[2].Connect(t.Context(), others[0].behind(t, relay)); err == nil {
		t.Error("there is a circuit too many")
	}
	_ = others[1].Network().ClosePeer(others[0].ID())
	eventually(t, "the end of the circuit", func() bool { return relay.Status().Relaying.Circuits == 0 })
	swarm.ForgetFailures(others[2].Host, others[0].ID())
	if err := others[2].Connect(t.Context(), others[0].behind(t, relay)); err != nil {
		t.Errorf("the circuit that ended still counts: %v", err)
	}
}

// A flood of requests for places is cut off.
func TestRequestsAreBounded(t *testing.T) {
	relay, others := relaying(t, Quotas{}, 1)
	refused := 0
	for range requestBurst + 64 {
		if _, err := client.Reserve(t.Context(), others[0].Host, relay.info()); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("none was refused")
	}
	if now := relay.Status().Relaying; now.Reservations != 1 {
		t.Errorf("one peer has %d places", now.Reservations)
	}
}

func TestRelayedBytesAreBounded(t *testing.T) {
	const rate, size = 2 << 20, 1 << 20
	relay, others := relaying(t, Quotas{BytesPerSecondPerPeer: rate}, 2)
	far, near := others[0], others[1]
	far.Host.SetStreamHandler("/sink/1", func(s network.Stream) { _, _ = io.Copy(io.Discard, s); s.Close() })
	if err := near.Connect(t.Context(), far.behind(t, relay)); err != nil {
		t.Fatal(err)
	}
	s, err := near.Host.NewStream(t.Context(), far.ID(), "/sink/1")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := s.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	s.CloseWrite()
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	// A quarter of a second's worth goes at once.
	if took, least := time.Since(start), time.Duration(size-rate/4)*time.Second/rate/2; took < least {
		t.Errorf("%d bytes took %s, at least %s", size, took, least)
	}
}

func TestWrongConfigurations(t *testing.T) {
	id, err := swarm.OpenNetwork("nat-test")
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{
		{}, {Network: id, Relay: "sometimes"}, {Network: id, Quotas: Quotas{Circuits: -1}}, {Network: id, Quotas: Quotas{Circuits: swarm.MaxCircuits + 1}},
	} {
		if _, err := New(cfg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// What others are told follows from what is known.
func TestAddresses(t *testing.T) {
	s := newSide(t, Config{Relay: ServeNever})
	private, public, seen := ma.StringCast("/ip4/10.0.0.1/tcp/1"), ma.StringCast("/ip4/20.0.0.1/tcp/1"), ma.StringCast("/ip4/30.0.0.1/tcp/1")
	told := func(v Verdict) string {
		s.judge.mu.Lock()
		s.judge.now = v
		s.judge.mu.Unlock()
		s.apply()
		return fmt.Sprint(s.Traversal.Addrs(addrsOf(private.String(), public.String())))
	}
	for _, c := range []struct {
		v    Verdict
		want string
		from bool
	}{
		{Verdict{State: Unknown}, fmt.Sprint([]ma.Multiaddr{private, public}), true},
		{Verdict{State: Unreachable, Addrs: []AddrVerdict{{private, Unreachable, true}, {public, Unreachable, true}, {seen, Unreachable, false}}}, fmt.Sprint([]ma.Multiaddr{private}), true},
		{Verdict{State: Reachable, Addrs: []AddrVerdict{{private, Unreachable, true}, {public, Unreachable, true}, {seen, Reachable, false}}}, fmt.Sprint([]ma.Multiaddr{private, seen}), false},
	} {
		if got := told(c.v); got != c.want {
			t.Errorf("%s: told %s, want %s", c.v.State, got, c.want)
		}
		if got := s.FromListenPort(public); got != c.from {
			t.Errorf("%s: from the port listened on: %t", c.v.State, got)
		}
	}
	if s.FromListenPort(private) {
		t.Error("a private address is dialled from the port listened on")
	}
}

// A peer that can't reach the node for once does not make it unreachable.
func TestOneDoubtIsNotEnough(t *testing.T) {
	s := newSide(t, Config{Relay: ServeNever})
	for i, step := range []struct {
		says, is State
	}{{Reachable, Reachable}, {Unreachable, Reachable}, {Unreachable, Unreachable}, {Reachable, Reachable}, {Unreachable, Reachable}, {Reachable, Reachable}, {Unreachable, Reachable}, {Unknown, Reachable}} {
		s.judge.take(Verdict{State: step.says})
		if got := s.judge.verdict().State; got != step.is {
			t.Errorf("step %d: %s, want %s", i, got, step.is)
		}
	}
}

// A relay begins when all can dial it at a public address, and goes on while somebody can.
func TestOnePeerDoesNotEndARelay(t *testing.T) {
	s := newSide(t, Config{})
	public := ma.StringCast("/ip4/20.0.0.1/tcp/1")
	for i, step := range []struct {
		says, addr State
		serves     bool
	}{
		{Unreachable, Reachable, false}, {Reachable, Reachable, true}, {Unreachable, Reachable, true}, {Unreachable, Reachable, true}, {Unreachable, Reachable, true},
		{Unreachable, Unreachable, false}, {Unreachable, Reachable, false},
	} {
		s.judge.take(Verdict{State: step.says, Addrs: []AddrVerdict{{public, step.addr, true}}})
		if got := s.Status().Relaying.Serving; got != step.serves {
			t.Errorf("step %d: relays: %t, want %t", i, got, step.serves)
		}
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
