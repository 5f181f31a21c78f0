package swarm

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

const testLobby = protocol.ID("/test/lobby")

var errNobody = errors.New("not a member")

// guestList is a gate that lets in those on a list.
type guestList struct{ sync.Map }

func (g *guestList) AdmitPeer(p peer.ID, _ ma.Multiaddr, _ network.Direction) error {
	if _, ok := g.Load(p); !ok {
		return errNobody
	}
	return nil
}

// echoReception sends one byte back, and lets in who sends a y and is then on the list.
func echoReception(g *guestList, talks *atomic.Int64) *Reception {
	return &Reception{Protocol: testLobby, Receive: func(_ context.Context, from peer.ID, _ ma.Multiaddr, s Talk) error {
		talks.Add(1)
		var b [1]byte
		if _, err := io.ReadFull(s, b[:]); err != nil {
			return err
		}
		if b[0] == 'y' {
			g.Store(from, true)
		}
		if _, err := s.Write(b[:]); err != nil {
			return err
		}
		if b[0] == 'y' {
			return nil
		}
		_ = s.CloseWrite()
		_, _ = s.Read(b[:]) // until the other side has read
		return errNobody
	}}
}

// newStranger returns a host as libp2p makes them by itself, without anything of ours, and what members say to it in the lobby.
func newStranger(t *testing.T, say byte) (host.Host, <-chan byte) {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	heard := make(chan byte, 1)
	h.SetStreamHandler(testLobby, func(s network.Stream) {
		defer s.Close()
		b := []byte{say}
		if _, err := s.Write(b); err != nil {
			return
		}
		if _, err := io.ReadFull(s, b); err == nil {
			heard <- b[0]
		}
	})
	return h, heard
}

// A stranger gets no further than the lobby, whichever way it comes: no protocol is served, identify included, and the host does not even hear of it.
func TestAStrangerGetsNoFurtherThanTheLobby(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var talks atomic.Int64
			list := new(guestList)
			b := newHost(t, Config{Gate: list, Reception: echoReception(list, &talks)}, listen)
			b.SetStreamHandler("/test/secret", func(s network.Stream) { t.Error("a stranger was served"); s.Reset() })
			events, err := b.EventBus().Subscribe([]any{new(event.EvtPeerConnectednessChanged), new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerIdentificationFailed)})
			if err != nil {
				t.Fatal(err)
			}
			defer events.Close()

			silent, _ := newStranger(t, 'n')
			silent.RemoveStreamHandler(testLobby)
			silent.Peerstore().AddAddrs(b.ID(), b.Addrs(), time.Hour)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			for _, p := range append(b.Mux().Protocols(), identify.ID, identify.IDPush, ping.ID, "/test/secret") {
				if s, err := silent.NewStream(ctx, b.ID(), p); err == nil {
					t.Errorf("a stranger has a stream of %s", s.Protocol())
				}
			}
			stranger, heard := newStranger(t, 'n')
			stranger.Peerstore().AddAddrs(b.ID(), b.Addrs(), time.Hour)
			if _, err := stranger.Network().DialPeer(t.Context(), b.ID()); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-heard:
				if got != 'n' {
					t.Errorf("heard %q in the lobby", got)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("nobody talks in the lobby")
			}
			for _, h := range []host.Host{silent, stranger} {
				if known, err := h.Peerstore().GetProtocols(b.ID()); err != nil || len(known) > 0 {
					t.Errorf("identify told a stranger of %q, %v", known, err)
				}
				if v, err := h.Peerstore().Get(b.ID(), "AgentVersion"); err == nil {
					t.Errorf("identify told a stranger of version %v", v)
				}
				if n := len(b.Network().ConnsToPeer(h.ID())); n > 0 {
					t.Errorf("the host has %d connections to a stranger", n)
				}
				if known := b.Peerstore().Addrs(h.ID()); len(known) > 0 {
					t.Errorf("the host knows a stranger at %v", known)
				}
			}
			select {
			case e := <-events.Out():
				t.Errorf("the host heard of %+v", e)
			default:
			}
		})
	}
}

// Who shows that it belongs is let in on the same connection; and members are never asked.
func TestWhoBelongsIsLetIn(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var talks atomic.Int64
			list := new(guestList)
			b := newHost(t, Config{Gate: list, Reception: echoReception(list, &talks)}, listen)
			bearer, _ := newStranger(t, 'y')
			if err := bearer.Connect(t.Context(), info(b)); err != nil {
				t.Fatal(err)
			}
			if _, err := Ping(t.Context(), bearer, b.ID()); err != nil || talks.Load() != 1 {
				t.Errorf("after %d talks: %v", talks.Load(), err)
			}
			a := newHost(t, Config{}, transports["tcp"])
			list.Store(a.ID(), true)
			if err := a.Connect(t.Context(), info(b)); err != nil {
				t.Fatal(err)
			}
			if _, err := Ping(t.Context(), a, b.ID()); err != nil || talks.Load() != 1 {
				t.Errorf("a member, after %d talks: %v", talks.Load(), err)
			}
			if TransportOf(a.Network().ConnsToPeer(b.ID())[0].RemoteMultiaddr()) != name {
				t.Error("another transport was used")
			}
		})
	}
}

// Strangers from one place take no more than their part of the lobby, and a host with a full one still closes at once.
func TestStrangersFromOnePlace(t *testing.T) {
	var talks atomic.Int64
	list := new(guestList)
	holding := make(chan struct{})
	b := newHost(t, Config{Gate: list, Reception: &Reception{Protocol: testLobby, Receive: func(ctx context.Context, _ peer.ID, _ ma.Multiaddr, _ Talk) error {
		talks.Add(1)
		select {
		case <-ctx.Done():
		case <-holding:
		}
		return errNobody
	}}}, transports["tcp"])
	defer close(holding)
	for range 3 * maxReceivedEach {
		h, _ := newStranger(t, 'n')
		h.Peerstore().AddAddrs(b.ID(), b.Addrs(), time.Hour)
		_, _ = h.Network().DialPeer(t.Context(), b.ID()) // some are refused at once
	}
	time.Sleep(500 * time.Millisecond)
	if n := talks.Load(); n == 0 || n > maxReceivedEach {
		t.Errorf("%d strangers of one place are talked with at once, want 1 to %d", n, maxReceivedEach)
	}
	began := time.Now()
	if err := b.Close(); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("closed after %s: %v", time.Since(began), err)
	}
}

func TestPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/192.0.2.7/tcp/1":             "192.0.2.7/32",
		"/ip6/2001:db8:1:2:3::4/udp/1":     "2001:db8:1:2::/64",
		"/ip6/::ffff:192.0.2.7/tcp/1":      "192.0.2.7/32",
		"/dns4/example.org/tcp/1":          "invalid Prefix",
		"/ip4/192.0.2.7/tcp/1/p2p-circuit": "192.0.2.7/32",
	} {
		if got := PlaceOf(ma.StringCast(text)).String(); got != want {
			t.Errorf("%s is of %s, want %s", text, got, want)
		}
	}
}
