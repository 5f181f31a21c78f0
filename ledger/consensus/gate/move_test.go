package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/nat"
)

// everybody is a network without strangers.
type everybody struct{}

func (everybody) Alive() []peer.ID        { return nil }
func (everybody) Relays() []peer.AddrInfo { return nil }
func (everybody) Member(peer.ID) bool     { return true }

// newRelayedHost is newHost with a way through relays.
func newRelayedHost(t *testing.T, id swarm.NetworkID, serving nat.Serving) host.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	traversal, err := nat.New(nat.Config{Network: id, Relay: serving})
	if err != nil {
		t.Fatal(err)
	}
	h, err := swarm.NewHost(swarm.Config{Key: key, Network: id, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Traversal: traversal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := traversal.Open(h, everybody{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { traversal.Close() })
	return h
}

// relayedStreams counts the gate's streams over relayed connections between two peers.
func relayedStreams(a, b *side) int {
	n := 0
	for _, c := range a.host.Network().ConnsToPeer(b.host.ID()) {
		if !swarm.IsRelayed(c.RemoteMultiaddr()) {
			continue
		}
		for _, s := range c.GetStreams() {
			if strings.Contains(string(s.Protocol()), protocolName) {
				n++
			}
		}
	}
	return n
}

// slowHost takes its time to return streams of the gate.
type slowHost struct {
	host.Host
	opened  chan struct{} // one element for each
	release chan struct{} // closed when they are to be returned
}

func (h *slowHost) NewStream(ctx context.Context, to peer.ID, ps ...protocol.ID) (network.Stream, error) {
	s, err := h.Host.NewStream(ctx, to, ps...)
	if len(ps) == 1 && strings.HasSuffix(string(ps[0]), string(classVotes)) {
		select {
		case h.opened <- struct{}{}:
		default:
		}
		<-h.release
	}
	return s, err
}

// relayedPair returns two sides that have a session over a relayed connection.
func relayedPair(t *testing.T, wrap func(host.Host) host.Host) (a, b *side) {
	t.Helper()
	id := networkOf(t, "gate")
	relay := newRelayedHost(t, id, nat.ServeAlways)
	sides := make([]*side, 2)
	for i := range sides {
		sides[i] = &side{host: wrap(newRelayedHost(t, id, nat.ServeNever))}
		sides[i].allowed.Store(true)
		connect(t, sides[i].host, relay)
		sides[i].open(t, id)
	}
	a, b = sides[0], sides[1]
	if _, err := client.Reserve(t.Context(), b.host, peer.AddrInfo{ID: relay.ID()}); err != nil {
		t.Fatal(err)
	}
	var through ma.Multiaddr
	for _, l := range relay.Network().ListenAddresses() {
		if swarm.TransportOf(l) == "tcp" {
			through = ma.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", l, relay.ID()))
		}
	}
	if err := a.host.Connect(t.Context(), peer.AddrInfo{ID: b.host.ID(), Addrs: []ma.Multiaddr{through}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Join(t.Context(), b.host.ID()); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// connectDirectly makes a direct connection, and a session over it.
func connectDirectly(t *testing.T, a, b *side) {
	t.Helper()
	if err := a.host.Connect(network.WithForceDirectDial(t.Context(), "test"), peer.AddrInfo{ID: b.host.ID(), Addrs: b.host.Network().ListenAddresses()}); err != nil {
		t.Fatal(err)
	}
	if s := a.Stranded(); len(s) != 1 || s[0] != b.host.ID() {
		t.Fatalf("%v are to move", s)
	}
	if err := a.Join(t.Context(), b.host.ID()); err != nil {
		t.Fatal(err)
	}
}

// A stream that is being opened over a relayed connection while the session moves does so, too: otherwise the session would end with that connection.
func TestStreamsThatAreBeingOpenedMove(t *testing.T) {
	slow := &slowHost{opened: make(chan struct{}, 1), release: make(chan struct{})}
	a, b := relayedPair(t, func(h host.Host) host.Host {
		if slow.Host == nil {
			slow.Host = h
			return slow
		}
		return h
	})
	got := b.listen(votes)
	sent := make(chan error, 1)
	go func() { sent <- a.send(b, votes, "x") }()
	<-slow.opened
	connectDirectly(t, a, b)
	close(slow.release)
	if err := <-sent; err != nil || receive(t, got) != "x" {
		t.Fatal(err)
	}
	eventually(t, "the move", func() bool { return relayedStreams(a, b) == 0 })
}

// A session moves from a relayed connection to a direct one, and CometBFT is not told that the peer has gone.
func TestSessionsMoveToTheDirectConnection(t *testing.T) {
	a, b := relayedPair(t, func(h host.Host) host.Host { return h })
	got := b.listen(votes)
	if err := a.send(b, votes, "relayed"); err != nil || receive(t, got) != "relayed" {
		t.Fatal(err)
	}
	if s := a.Stranded(); len(s) != 0 {
		t.Errorf("%v are to move, though there is nowhere to", s)
	}
	left := func(s *side) int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.left)
	}
	beforeA, beforeB := left(a), left(b)

	connectDirectly(t, a, b)
	eventually(t, "the move", func() bool { return len(a.Stranded()) == 0 && len(b.Stranded()) == 0 && relayedStreams(a, b) == 0 })
	for _, c := range a.host.Network().ConnsToPeer(b.host.ID()) {
		if swarm.IsRelayed(c.RemoteMultiaddr()) {
			c.Close()
		}
	}
	if err := a.send(b, votes, "direct"); err != nil || receive(t, got) != "direct" {
		t.Fatal(err)
	}
	if left(a) != beforeA || left(b) != beforeB {
		t.Error("CometBFT was told that the peer has gone")
	}
}
