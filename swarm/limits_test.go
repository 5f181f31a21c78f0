package swarm

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
)

func TestLimitsFollowTheMachine(t *testing.T) {
	const unlimited = math.MaxInt32
	for name, c := range map[string]struct {
		connections int
		memory      int64
		descriptors int
		want        limits
	}{
		"small container":       {0, 256 << 20, unlimited, limits{256, 64 << 20, unlimited / 2}},
		"2 GiB":                 {0, 2 << 30, unlimited, limits{1024, 256 << 20, unlimited / 2}},
		"large":                 {0, 256 << 30, unlimited, limits{maxAutoConnections, 32 << 30, unlimited / 2}},
		"few descriptors":       {0, 256 << 30, 1024, limits{512, 32 << 30, 512}},
		"unknown memory":        {0, 0, unlimited, limits{512, fallbackMemory, unlimited / 2}},
		"asked for":             {20_000, 256 << 30, unlimited, limits{20_000, 32 << 30, unlimited / 2}},
		"asked for, little mem": {2000, 256 << 20, unlimited, limits{2000, 64 << 20, unlimited / 2}},
	} {
		if got, err := newLimits(c.connections, c.memory, c.descriptors); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for _, connections := range []int{0, 1000} {
		_, err := newLimits(connections, 1<<30, 20)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "ulimit -n") {
			t.Errorf("%d connections with 20 descriptors: error %v", connections, err)
		}
	}
}

// open opens connections from an address until one is refused, and returns how many there are and how to close them.
func open(rm network.ResourceManager, dir network.Direction, addr string, most int) (opened int, done func()) {
	var scopes []network.ConnManagementScope
	for range most {
		s, err := rm.OpenConnection(dir, false, ma.StringCast(addr))
		if err != nil {
			break
		}
		// The handshake is over, which makes room for others.
		if err := s.SetPeer(peer.ID(string(rune(len(scopes))) + "-" + addr)); err != nil {
			s.Done()
			break
		}
		scopes = append(scopes, s)
	}
	return len(scopes), func() {
		for _, s := range scopes {
			s.Done()
		}
	}
}

func TestResourceManagerHonoursMaxConnections(t *testing.T) {
	l, err := newLimits(200, 8<<30, 4096)
	if err != nil {
		t.Fatal(err)
	}
	rm, err := l.resourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer rm.Close()

	for _, addr := range []string{"/ip4/203.0.113.5/tcp/4242", "/ip6/2001:db8::5/tcp/4242"} {
		n, done := open(rm, network.DirInbound, addr, 1000)
		if want := l.percent(subnetPercent); n != want {
			t.Errorf("%d connections from %s, want %d", n, addr, want)
		}
		done()
	}
	n, done := open(rm, network.DirInbound, "/ip4/127.0.0.1/tcp/4242", 1000)
	if want := l.percent(inboundPercent); n != want {
		t.Errorf("%d inbound connections from this machine, want %d", n, want)
	}
	more, doneMore := open(rm, network.DirOutbound, "/ip4/198.51.100.7/tcp/4242", 1000)
	if n+more != 200 {
		t.Errorf("%d inbound and %d outbound connections, want 200 together", n, more)
	}
	done()
	doneMore()
}

// After all peers behind one address were connected, all of them can connect again at once; a flood beyond is slowed.
func TestConnectionRateFromOneAddress(t *testing.T) {
	l, err := newLimits(200, 8<<30, 4096)
	if err != nil {
		t.Fatal(err)
	}
	rm, err := l.resourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer rm.Close()
	accepted := 0
	for range 1000 {
		s, err := rm.OpenConnection(network.DirInbound, false, ma.StringCast("/ip4/203.0.113.5/tcp/4242"))
		if err != nil {
			continue
		}
		accepted++
		s.Done()
	}
	// The bucket refills by 2.5 a second while the loop runs.
	if burst := l.percent(subnetPercent); accepted < burst || accepted > 2*burst {
		t.Errorf("%d accepted at once, want about %d", accepted, burst)
	}
}

func TestHostHonoursMaxConnections(t *testing.T) {
	h := newHost(t, Config{MaxConnections: MinConnections}, transports["tcp"])
	connected := 0
	for range MinConnections + 4 {
		other := newHost(t, Config{}, transports["tcp"])
		if err := other.Connect(t.Context(), info(h)); err != nil {
			continue
		}
		if _, err := Ping(t.Context(), other, h.ID()); err == nil {
			connected++
		}
	}
	if want := MinConnections * inboundPercent / 100; connected > want || connected == 0 {
		t.Errorf("%d connected, want up to %d", connected, want)
	}
	if n := len(h.Network().Conns()); n > MinConnections {
		t.Errorf("%d connections, want up to %d", n, MinConnections)
	}
}

// A hundred streams of one protocol, one from each peer, are what records need.
func TestStreamsOfOneProtocolFromAllPeers(t *testing.T) {
	l, err := newLimits(1000, 512<<20, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	rm, err := l.resourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer rm.Close()
	var failed error
	for i := range 1000 {
		s, err := rm.OpenStream(peer.ID("peer "+string(rune(i))), network.DirInbound)
		if err == nil {
			err = s.SetProtocol("/folkmoot/x/records/1")
		}
		if err == nil {
			defer s.Done()
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		t.Error(failed)
	}
}
