package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
)

func TestLearnPeerID(t *testing.T) {
	h := newHost(t, Config{}, transports["tcp"], transports["quic-v1"])
	other := newHost(t, Config{}, transports["tcp"])
	for _, a := range h.Addrs() {
		t.Run(TransportOf(a), func(t *testing.T) {
			if id, err := LearnPeerID(t.Context(), a); err != nil || id != h.ID() {
				t.Errorf("learned %q, %v; want %s", id, err, h.ID())
			}
			if id, err := LearnPeerID(t.Context(), a.Encapsulate(ma.StringCast("/p2p/"+h.ID().String()))); err != nil || id != h.ID() {
				t.Errorf("with the right id: learned %q, %v", id, err)
			}
			if _, err := LearnPeerID(t.Context(), a.Encapsulate(ma.StringCast("/p2p/"+other.ID().String()))); fault.KindOf(err) != fault.Invalid {
				t.Errorf("with a wrong id: error %v", err)
			}
		})
	}
	port, _ := h.Addrs()[0].ValueForProtocol(ma.P_TCP)
	if port == "" {
		port, _ = h.Addrs()[1].ValueForProtocol(ma.P_TCP)
	}
	if id, err := LearnPeerID(t.Context(), ma.StringCast("/dns4/localhost/tcp/"+port)); err != nil || id != h.ID() {
		t.Errorf("by name: learned %q, %v", id, err)
	}
}

func TestLearnPeerIDFails(t *testing.T) {
	for _, addr := range []string{
		"/ip4/127.0.0.1/tcp/1/ws", "/ip4/127.0.0.1/udp/1/quic-v1/webtransport", "/ip4/127.0.0.1/udp/1/webrtc-direct", "/ip4/127.0.0.1/udp/1",
		"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA/p2p-circuit",
	} {
		if _, err := LearnPeerID(t.Context(), ma.StringCast(addr)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error %v", addr, err)
		}
	}
	if _, err := LearnPeerID(t.Context(), ma.StringCast("/ip4/127.0.0.1/tcp/1")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("nobody there: error %v", err)
	}
}

// A listener that accepts and says nothing must not outlast the context.
func TestLearnPeerIDOfASilentPeer(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	_, tcpPort, _ := net.SplitHostPort(tcp.Addr().String())
	_, udpPort, _ := net.SplitHostPort(udp.LocalAddr().String())
	for _, addr := range []string{"/ip4/127.0.0.1/tcp/" + tcpPort, "/ip4/127.0.0.1/udp/" + udpPort + "/quic-v1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := LearnPeerID(ctx, ma.StringCast(addr))
		cancel()
		if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v", addr, err)
		}
	}
}

// TestManyAddressesOfAName: where a name stands for more peers than are tried at once, such as that of a large release, who asks again gets to each of them.
func TestManyAddressesOfAName(t *testing.T) {
	addrs := make([]ma.Multiaddr, 5*maxResolved)
	for i := range addrs {
		addrs[i] = ma.StringCast(fmt.Sprintf("/ip4/192.0.2.%d/tcp/4242", i))
	}
	got := make(map[string]bool)
	for range 1000 {
		some := anyOf(addrs, maxResolved)
		if len(some) != maxResolved {
			t.Fatalf("%d addresses, want %d", len(some), maxResolved)
		}
		for _, a := range some {
			got[a.String()] = true
		}
	}
	if len(got) != len(addrs) {
		t.Errorf("%d of %d addresses are ever tried", len(got), len(addrs))
	}
	if few := anyOf(addrs[:2], maxResolved); len(few) != 2 || !few[0].Equal(addrs[0]) {
		t.Errorf("of two: %v", few)
	}
}
