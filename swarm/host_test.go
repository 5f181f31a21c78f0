package swarm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
)

func newKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testNetwork(t testing.TB) NetworkID {
	t.Helper()
	id, err := OpenNetwork("swarm-test")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newHost returns a host that listens on the given addresses.
func newHost(t testing.TB, cfg Config, listen ...string) host.Host {
	t.Helper()
	cfg.Key, cfg.Network = newKey(t), testNetwork(t)
	for _, l := range listen {
		cfg.Listen = append(cfg.Listen, ma.StringCast(l))
	}
	h, err := NewHost(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// transports are loopback addresses to listen on, by transport.
var transports = map[string]string{
	"tcp":           "/ip4/127.0.0.1/tcp/0",
	"quic-v1":       "/ip4/127.0.0.1/udp/0/quic-v1",
	"ws":            "/ip4/127.0.0.1/tcp/0/ws",
	"webtransport":  "/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
	"webrtc-direct": "/ip4/127.0.0.1/udp/0/webrtc-direct",
}

func TestEveryTransportConnectsAndPings(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The dialler listens on no address of that transport.
			a, b := newHost(t, Config{}, transports["tcp"]), newHost(t, Config{}, listen)
			if err := a.Connect(t.Context(), info(b)); err != nil {
				t.Fatal(err)
			}
			conn := a.Network().ConnsToPeer(b.ID())[0]
			if got := TransportOf(conn.RemoteMultiaddr()); got != name {
				t.Errorf("connected by %q over %s, want %q", got, conn.RemoteMultiaddr(), name)
			}
			for _, pair := range [][2]host.Host{{a, b}, {b, a}} {
				if rtt, err := Ping(t.Context(), pair[0], pair[1].ID()); err != nil || rtt <= 0 {
					t.Errorf("ping: %s, %v", rtt, err)
				}
			}
		})
	}
}

func TestBothSecurityProtocols(t *testing.T) {
	for _, only := range []struct {
		id  string
		opt libp2p.Option
	}{{noise.ID, libp2p.Security(noise.ID, noise.New)}, {libp2ptls.ID, libp2p.Security(libp2ptls.ID, libp2ptls.New)}} {
		t.Run(only.id, func(t *testing.T) {
			a := newHost(t, Config{}, transports["tcp"])
			b, err := libp2p.New(only.opt, libp2p.ListenAddrStrings(transports["tcp"]), libp2p.DisableMetrics())
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := a.Connect(t.Context(), info(b)); err != nil {
				t.Fatal(err)
			}
			if got := string(a.Network().ConnsToPeer(b.ID())[0].ConnState().Security); got != only.id {
				t.Errorf("secured with %q, want %q", got, only.id)
			}
			if id, err := LearnPeerID(t.Context(), b.Addrs()[0]); err != nil || id != b.ID() {
				t.Errorf("learned %s, %v; want %s", id, err, b.ID())
			}
		})
	}
}

func TestIdentifyNamesTheNetwork(t *testing.T) {
	a, b := newHost(t, Config{UserAgent: "moot/test"}, transports["tcp"]), newHost(t, Config{}, transports["tcp"])
	if err := b.Connect(t.Context(), info(a)); err != nil {
		t.Fatal(err)
	}
	if _, err := Ping(t.Context(), b, a.ID()); err != nil { // waits for identify
		t.Fatal(err)
	}
	for key, want := range map[string]string{"AgentVersion": "moot/test", "ProtocolVersion": "/folkmoot/" + testNetwork(t).String() + "/swarm/1"} {
		if got, err := b.Peerstore().Get(a.ID(), key); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", key, got, err, want)
		}
	}
}

// refuse is a gate that refuses in one direction and counts how often.
type refuse struct {
	dir network.Direction

	mu    sync.Mutex
	asked map[peer.ID]int // guarded by mu; refusals
}

func (r *refuse) AdmitPeer(p peer.ID, _ ma.Multiaddr, dir network.Direction) error {
	if dir != r.dir {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == nil {
		r.asked = make(map[peer.ID]int)
	}
	r.asked[p]++
	return errors.New("not a member")
}

func (r *refuse) refusals(p peer.ID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[p]
}

func TestGateRefusesBeforeAnyStream(t *testing.T) {
	for name, listen := range transports {
		for _, dir := range []network.Direction{network.DirInbound, network.DirOutbound} {
			t.Run(name+"/"+dir.String(), func(t *testing.T) {
				t.Parallel()
				var served sync.Map
				serve := func(s network.Stream) { served.Store(s.Protocol(), true); s.Reset() }
				gate := &refuse{dir: dir}
				gated, open := newHost(t, Config{Gate: gate}, listen), newHost(t, Config{}, listen)
				gated.SetStreamHandler("/test/1", serve)
				open.SetStreamHandler("/test/1", serve)
				from, to := open, gated
				if dir == network.DirOutbound {
					from, to = gated, open
				}
				from.Peerstore().AddAddrs(to.ID(), to.Addrs(), time.Hour)
				// A dialler may believe for a moment that it is connected; the stream tells.
				s, err := from.NewStream(t.Context(), to.ID(), "/test/1")
				if err == nil {
					s.Write([]byte("hello"))
					_, err = s.Read(make([]byte, 1))
				}
				if err == nil {
					t.Error("the stream works")
				}
				if gate.refusals(open.ID()) == 0 {
					t.Error("the gate was not asked")
				}
				served.Range(func(p, _ any) bool { t.Errorf("a stream of %s was served", p); return true })
				if n := len(gated.Network().ConnsToPeer(open.ID())); n != 0 {
					t.Errorf("%d connections are open", n)
				}
			})
		}
	}
}

func TestGateLogsAtDebug(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	w := writerFunc(func(b []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return log.Write(b) })
	a := newHost(t, Config{Gate: &refuse{dir: network.DirOutbound},
		Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))}, transports["tcp"])
	b := newHost(t, Config{}, transports["tcp"])
	if err := a.Connect(t.Context(), info(b)); err == nil {
		t.Fatal("connected")
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"level=DEBUG", b.ID().String(), "not a member"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestAnnouncedAddressesAreAddedOnce(t *testing.T) {
	public := ma.StringCast("/dns4/moot.example/tcp/4242")
	h := newHost(t, Config{Announce: []ma.Multiaddr{public, public}}, transports["tcp"], transports["quic-v1"])
	got := make(map[string]int)
	loopback := 0
	for _, a := range h.Addrs() {
		got[a.String()]++
		if strings.HasPrefix(a.String(), "/ip4/127.0.0.1/") {
			loopback++
		}
	}
	for a, n := range got {
		if n != 1 {
			t.Errorf("%s is there %d times", a, n)
		}
	}
	if got[public.String()] != 1 || loopback != 2 || len(got) != 3 {
		t.Errorf("addresses %v", h.Addrs())
	}
}

func TestPortInUse(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	tcpPort := tcp.Addr().(*net.TCPAddr).Port
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	udpPort := udp.LocalAddr().(*net.UDPAddr).Port
	other := newHost(t, Config{}, transports["tcp"]) // another node, which libp2p would share the port with
	otherPort, _ := other.Addrs()[0].ValueForProtocol(ma.P_TCP)

	sharing := newHost(t, Config{Traversal: fromListenPort{}}, transports["tcp"]) // which dials from its port
	sharingPort := portOf(t, sharing)

	for _, c := range []struct{ addr, kind, port string }{
		{"/ip4/127.0.0.1/tcp/" + sharingPort, "tcp", sharingPort},
		{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", tcpPort), "tcp", strconv.Itoa(tcpPort)},
		{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/ws", tcpPort), "tcp", strconv.Itoa(tcpPort)},
		{fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", udpPort), "udp", strconv.Itoa(udpPort)},
		{fmt.Sprintf("/ip4/127.0.0.1/udp/%d/webrtc-direct", udpPort), "udp", strconv.Itoa(udpPort)},
		{"/ip4/127.0.0.1/tcp/" + otherPort, "tcp", otherPort},
	} {
		// The first address works: all of them must.
		_, err := NewHost(Config{Key: newKey(t), Network: testNetwork(t), Listen: []ma.Multiaddr{ma.StringCast(transports["tcp"]), ma.StringCast(c.addr)}})
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), c.kind+" port "+c.port+" is in use") ||
			!strings.Contains(err.Error(), "--listen") {
			t.Errorf("%s: error %v", c.addr, err)
		}
	}
}

// fromListenPort is a traversal that only has TCP leave from the port that is listened on.
type fromListenPort struct{}

func (fromListenPort) Addrs(own []ma.Multiaddr) []ma.Multiaddr { return own }
func (fromListenPort) FromListenPort(ma.Multiaddr) bool        { return true }

// portOf returns the TCP port that a host listens on.
func portOf(t *testing.T, h host.Host) string {
	t.Helper()
	for _, a := range h.Network().ListenAddresses() {
		if TransportOf(a) == "tcp" {
			port, err := a.ValueForProtocol(ma.P_TCP)
			if err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("the host listens on no TCP port")
	return ""
}

// A dial leaves from the port that is listened on, also when the connection before it has just ended, and nobody else may listen there meanwhile.
func TestDialsFromThePortListenedOn(t *testing.T) {
	a, b, c := newHost(t, Config{Traversal: fromListenPort{}}, transports["tcp"]), newHost(t, Config{}, transports["tcp"]), newHost(t, Config{}, transports["tcp"])
	port := portOf(t, a)
	for range 3 {
		for _, to := range []host.Host{b, c} {
			if err := a.Connect(t.Context(), info(to)); err != nil {
				t.Fatal(err)
			}
			conn := a.Network().ConnsToPeer(to.ID())[0]
			if got, _ := conn.LocalMultiaddr().ValueForProtocol(ma.P_TCP); got != port {
				t.Errorf("dialled from port %s, want %s", got, port)
			}
		}
		if _, err := NewHost(Config{Key: newKey(t), Network: testNetwork(t), Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/" + port)}}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a second node listens on the port: %v", err)
		}
		a.Network().ClosePeer(b.ID())
		a.Network().ClosePeer(c.ID())
	}
}

func TestAddressThatTheMachineDoesNotHave(t *testing.T) {
	_, err := NewHost(Config{Key: newKey(t), Network: testNetwork(t), Listen: []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/0")}})
	if err == nil || !strings.Contains(err.Error(), "/ip4/192.0.2.1/tcp/0") || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("error %v", err)
	}
}

// listener fails at addresses that contain a key of fails.
type listener struct {
	fails map[string]error
	open  []string
}

func (l *listener) AddListenAddr(a ma.Multiaddr) error {
	for part, err := range l.fails {
		if strings.Contains(a.String(), part) {
			return err
		}
	}
	l.open = append(l.open, a.String())
	return nil
}

func TestListenWithoutIPv6(t *testing.T) {
	for name, c := range map[string]struct {
		fails    map[string]error
		optional bool
		open     int
		want     string
	}{
		"default":           {map[string]error{"/ip6/": syscall.EAFNOSUPPORT}, true, 2, ""},
		"asked for":         {map[string]error{"/ip6/": syscall.EAFNOSUPPORT}, false, 2, "listen on /ip6/::/tcp/4242 (--listen)"},
		"no network":        {map[string]error{"/": syscall.EAFNOSUPPORT}, true, 0, "/ip4/0.0.0.0/tcp/4242"},
		"default port used": {map[string]error{"/tcp/": syscall.EADDRINUSE}, true, 0, "tcp port 4242 is in use"},
	} {
		l := &listener{fails: c.fails}
		err := listen(l, DefaultListen(4242), c.optional, slog.New(slog.DiscardHandler))
		if len(l.open) != c.open || (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: listens on %v, error %v", name, l.open, err)
		}
	}
}

func TestDefaultListen(t *testing.T) {
	var got []string
	for _, a := range DefaultListen(4242) {
		got = append(got, a.String())
	}
	want := "/ip4/0.0.0.0/tcp/4242 /ip4/0.0.0.0/udp/4242/quic-v1 /ip6/::/tcp/4242 /ip6/::/udp/4242/quic-v1"
	if strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTransportOf(t *testing.T) {
	id := "12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA"
	for addr, want := range map[string]string{
		"/ip4/1.2.3.4/tcp/1":                                    "tcp",
		"/dns4/a.example/tcp/1/p2p/" + id:                       "tcp",
		"/ip4/1.2.3.4/tcp/1/ws":                                 "ws",
		"/ip4/1.2.3.4/tcp/1/wss":                                "wss",
		"/dns4/a.example/tcp/1/tls/ws":                          "wss",
		"/dns4/a.example/tcp/1/tls/sni/a.example/ws":            "wss",
		"/ip6/::1/udp/1/quic-v1":                                "quic-v1",
		"/ip6/::1/udp/1/quic-v1/webtransport":                   "webtransport",
		"/ip4/1.2.3.4/udp/1/webrtc-direct":                      "webrtc-direct",
		"/ip4/1.2.3.4/tcp/1/p2p/" + id + "/p2p-circuit":         "relay",
		"/ip4/1.2.3.4/udp/1/quic-v1/p2p/" + id + "/p2p-circuit": "relay",
		"/ip4/1.2.3.4/udp/1":                                    "",
		"/dns4/a.example":                                       "",
	} {
		if got := TransportOf(ma.StringCast(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

func TestConfigIsValidated(t *testing.T) {
	rsa, _, err := crypto.GenerateECDSAKeyPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := ma.StringCast("/ip4/127.0.0.1/tcp/0")
	many := make([]ma.Multiaddr, 33)
	for i := range many {
		many[i] = one
	}
	id := "/p2p/12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA"
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no key":             {func(c *Config) { c.Key = nil }, "no identity key"},
		"other key":          {func(c *Config) { c.Key = rsa }, "want Ed25519"},
		"no network":         {func(c *Config) { c.Network = NetworkID{} }, "no network id"},
		"few connections":    {func(c *Config) { c.MaxConnections = MinConnections - 1 }, "16 or more"},
		"many connections":   {func(c *Config) { c.MaxConnections = 1 << 40 }, "file descriptors"},
		"negative":           {func(c *Config) { c.MaxConnections = -1 }, "16 or more"},
		"long user agent":    {func(c *Config) { c.UserAgent = strings.Repeat("x", 129) }, "at most 128"},
		"many listen":        {func(c *Config) { c.Listen = many }, "at most 32"},
		"many announce":      {func(c *Config) { c.Announce = many }, "at most 32"},
		"no transport":       {func(c *Config) { c.Listen = []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4")} }, "names no transport"},
		"listen on relay":    {func(c *Config) { c.Listen = []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1" + id + "/p2p-circuit")} }, "dialling only"},
		"listen with id":     {func(c *Config) { c.Listen = []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1" + id)} }, "peer id is the node's own"},
		"announce with id":   {func(c *Config) { c.Announce = []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1" + id)} }, "peer id is the node's own"},
		"announce a machine": {func(c *Config) { c.Announce = []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4")} }, "names no transport"},
	} {
		cfg := Config{Key: newKey(t), Network: testNetwork(t), Listen: []ma.Multiaddr{one}}
		c.change(&cfg)
		if _, err := NewHost(cfg); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestMetricsLiveAsLongAsTheHost(t *testing.T) {
	registry := prometheus.NewRegistry()
	b := newHost(t, Config{}, transports["tcp"])
	for range 2 { // the second registers again
		a := newHost(t, Config{Registerer: registry}, transports["tcp"])
		if err := a.Connect(t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, f := range families {
			for _, m := range f.GetMetric() {
				fmt.Fprintln(&text, f.GetName(), m)
			}
		}
		if s := text.String(); !strings.Contains(s, "moot_swarm_connections") || !strings.Contains(s, "outbound") ||
			!strings.Contains(s, "tcp") || !strings.Contains(s, "moot_swarm_streams") {
			t.Errorf("metrics:\n%s", s)
		}
		a.Close()
		if families, _ := registry.Gather(); len(families) != 0 {
			t.Errorf("%d metrics are left", len(families))
		}
	}
}

func TestPing(t *testing.T) {
	a, b := newHost(t, Config{}, transports["tcp"]), newHost(t, Config{}, transports["tcp"])
	if _, err := Ping(t.Context(), a, a.ID()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("ping oneself: error %v", err)
	}
	if _, err := Ping(t.Context(), a, b.ID()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping without an address: error %v", err)
	}
	a.Peerstore().AddAddrs(b.ID(), b.Addrs(), time.Hour)
	b.RemoveStreamHandler("/ipfs/ping/1.0.0")
	b.SetStreamHandler("/ipfs/ping/1.0.0", func(s network.Stream) {}) // never answers
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Ping(ctx, a, b.ID()); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ping a silent peer: error %v", err)
	}
	b.SetStreamHandler("/ipfs/ping/1.0.0", func(s network.Stream) { s.Write(make([]byte, 32)); s.Close() })
	if _, err := Ping(t.Context(), a, b.ID()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping a liar: error %v", err)
	}
}
