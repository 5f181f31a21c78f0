package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cometbft/cometbft/lp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	patience = 20 * time.Second
	// maxTest is the length limit of messages in these tests.
	maxTest = 1 << 10
	// votes and blocks are one of CometBFT's channels that keep an order, and one that does not.
	votes, blocks = byte(0x22), byte(0x40)
)

// side is a gate on a host of its own.
type side struct {
	*Gate
	host    host.Host
	before  bool // of the release before
	allowed atomic.Bool
	mu      sync.Mutex
	left    []peer.ID // guarded by mu
}

func newHost(t *testing.T, id swarm.NetworkID) host.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := swarm.NewHost(swarm.Config{Key: key, Network: id, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func networkOf(t *testing.T, name string) swarm.NetworkID {
	t.Helper()
	id, err := swarm.OpenNetwork(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *side) open(t *testing.T, id swarm.NetworkID) {
	t.Helper()
	g, err := New(Config{Host: s.host, Network: id, Allowed: func(peer.ID) bool { return s.allowed.Load() }, MaxMessage: maxTest, Left: func(p peer.ID) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left = append(s.left, p)
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Gate = g
	g.before = s.before
	s.Serve()
	t.Cleanup(func() { g.Close() })
}

// TestNobodyBeforeServe: who comes while CometBFT is still being put together is not answered, and may come again.
func TestNobodyBeforeServe(t *testing.T) {
	a, b := newSide(t, "gate"), newSide(t, "gate")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	late, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { late.Close() })
	connect(t, a.host, b.host)
	if err := a.Join(t.Context(), b.host.ID()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("before it serves: %v", err)
	}
	late.Serve()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := a.Join(t.Context(), b.host.ID())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("when it serves: %v", err)
		}
	}
}

func newSide(t *testing.T, name string) *side {
	t.Helper()
	return newSideOf(t, name, false)
}

func newSideOf(t *testing.T, name string, before bool) *side {
	t.Helper()
	id := networkOf(t, name)
	s := &side{host: newHost(t, id), before: before}
	s.allowed.Store(true)
	s.open(t, id)
	return s
}

func (s *side) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.left)
}

// streams counts the streams with another side.
func (s *side) streams(with *side) int {
	s.Gate.mu.Lock()
	defer s.Gate.mu.Unlock()
	return len(s.members[with.host.ID()].streams)
}

func connect(t *testing.T, a, b host.Host) {
	t.Helper()
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// pair returns two sides with a session.
func pair(t *testing.T) (a, b *side) {
	t.Helper()
	return pairOf(t, false, false)
}

// pairOf returns two sides with a session, each of this release or of the one before.
func pairOf(t *testing.T, aBefore, bBefore bool) (a, b *side) {
	t.Helper()
	a, b = newSideOf(t, "gate", aBefore), newSideOf(t, "gate", bBefore)
	connect(t, a.host, b.host)
	if err := a.Join(t.Context(), b.host.ID()); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come", what)
		}
	}
}

// listen collects what comes in a channel, as lp2p reads it.
func (s *side) listen(c byte) <-chan string {
	got := make(chan string, 10_000)
	s.SetStreamHandler(lp2p.ProtocolID(c), func(in network.Stream) {
		if in.Protocol() != lp2p.ProtocolID(c) {
			got <- "wrong protocol " + string(in.Protocol())
		}
		data, err := lp2p.StreamReadSizedClose(in, 1<<30)
		if err != nil {
			got <- "error: " + err.Error()
			return
		}
		got <- string(data)
	})
	return got
}

func (s *side) send(to *side, c byte, data string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := s.NewStream(ctx, to.host.ID(), lp2p.ProtocolID(c))
	if err != nil {
		return err
	}
	return lp2p.StreamWriteClose(out, []byte(data))
}

// sendRefused sends a message and waits until the other side has refused it.
func (s *side) sendRefused(to *side, c byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := s.NewStream(ctx, to.host.ID(), lp2p.ProtocolID(c))
	if err == nil {
		defer out.Reset()
		_, err = lp2p.StreamWrite(out, []byte("refused"))
	}
	if err == nil {
		_, err = out.Read(make([]byte, 1))
	}
	if !errors.Is(err, network.ErrReset) {
		return fmt.Errorf("it was not refused: %v", err)
	}
	return nil
}

func receive(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(patience):
		t.Fatal("nothing came")
		return ""
	}
}

// Messages pass under the network's protocol ids, and CometBFT's own lead nowhere.
func TestProtocols(t *testing.T) {
	a, b := pair(t)
	got := b.listen(blocks)
	if err := a.send(b, blocks, "hello"); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s != "hello" {
		t.Errorf("received %q", s)
	}
	if _, err := a.host.NewStream(t.Context(), b.host.ID(), lp2p.ProtocolID(blocks)); err == nil {
		t.Error("CometBFT's own protocol id is served")
	}
	var want []protocol.ID
	for _, p := range []string{"ledger/2/session", "ledger/2/votes", "ledger/2/blocks", "ledger/1/session", "ledger/1/0x40"} {
		want = append(want, networkOf(t, "gate").Protocol(p))
	}
	for _, p := range want {
		if !slices.Contains(b.host.Mux().Protocols(), p) {
			t.Errorf("%s is not served", p)
		}
	}
	for _, p := range []protocol.ID{"/ipfs/ping/1.0.0", lp2p.ProtocolIDPrefix + "/channel/"} {
		if _, err := a.NewStream(t.Context(), b.host.ID(), p); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%q: %v", p, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.host.Mux().Protocols() {
		if slices.Contains(want, p) {
			t.Errorf("%s is served after the gate was closed", p)
		}
	}
}

// Gates of other networks on connected hosts find no session.
func TestOtherNetwork(t *testing.T) {
	a, b := newSide(t, "one"), newSide(t, "two")
	connect(t, a.host, b.host)
	if err := a.Join(t.Context(), b.host.ID()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("joined: %v", err)
	}
	if err := a.send(b, blocks, "x"); !errors.Is(err, errNoSession) {
		t.Errorf("sent: %v", err)
	}
}

// Whether a peer may take part is asked for each message, in both directions.
func TestAllowed(t *testing.T) {
	for _, before := range []bool{false, true} {
		t.Run(fmt.Sprintf("before=%t", before), func(t *testing.T) { allowed(t, before) })
	}
}

func allowed(t *testing.T, before bool) {
	a, b := pairOf(t, before, before)
	got := b.listen(blocks)
	if err := a.send(b, blocks, "first"); err != nil || receive(t, got) != "first" {
		t.Fatal(err)
	}
	b.allowed.Store(false)
	if before {
		if err := a.sendRefused(b, blocks); err != nil {
			t.Errorf("sent by one who may not take part: %v", err)
		}
	} else {
		left := a.times()
		if err := a.send(b, blocks, "x"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end of the session", func() bool { return a.times() == left+1 })
	}
	if len(got) > 0 {
		t.Error("a message of one who may not take part came through")
	}
	if err := b.send(a, blocks, "x"); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("sent to one who may not take part: %v", err)
	}
	b.allowed.Store(true)
	eventually(t, "a session", func() bool { return a.Join(t.Context(), b.host.ID()) == nil })
	if err := a.send(b, blocks, "welcome"); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s != "welcome" {
		t.Errorf("received %q", s)
	}
	b.allowed.Store(false)
	c := newSide(t, "gate")
	connect(t, c.host, b.host)
	if err := c.Join(t.Context(), b.host.ID()); err == nil {
		t.Error("one who may not take part has a session")
	}
	if err := b.Join(t.Context(), c.host.ID()); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("asked one who may not take part: %v", err)
	}
}

// A stream without a session is refused.
func TestNoSession(t *testing.T) {
	a, b := newSide(t, "gate"), newSide(t, "gate")
	got := b.listen(blocks)
	connect(t, a.host, b.host)
	s, err := a.host.NewStream(t.Context(), b.host.ID(), networkOf(t, "gate").Protocol("ledger/1/0x40"))
	if errors.Is(err, network.ErrReset) {
		return // refused before this side knew that the protocol is served
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(append(make([]byte, headerSize), 1, 'x'))
	if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || len(got) > 0 {
		t.Errorf("read: %v", err)
	}
}

// Closing a peer ends the session and CometBFT's streams and leaves the connection, on which the peer may come back after a rest.
func TestClosePeer(t *testing.T) {
	a, b := pair(t)
	conns := len(a.host.Network().ConnsToPeer(b.host.ID()))
	other, err := a.host.NewStream(t.Context(), b.host.ID(), "/ipfs/id/1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Reset()
	got := b.listen(blocks)
	if err := a.send(b, blocks, "x"); err != nil || receive(t, got) != "x" {
		t.Fatal(err)
	}
	left, closed := a.times(), time.Now()
	if err := b.Network().ClosePeer(a.host.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the streams", func() bool { return a.streams(b) == 0 && b.streams(a) == 0 })
	eventually(t, "the end on the other side", func() bool { return a.times() == left+1 && !a.Present(b.host.ID()) })
	if err := errors.Join(b.Network().Close(), b.Peerstore().Close()); err != nil {
		t.Error(err)
	}
	if n := len(a.host.Network().ConnsToPeer(b.host.ID())); n != conns {
		t.Errorf("%d connections, were %d", n, conns)
	}
	eventually(t, "a new session", func() bool { return a.Join(t.Context(), b.host.ID()) == nil })
	if rested := time.Since(closed); rested < restTime {
		t.Errorf("a new session after %s", rested)
	}
}

// A peer that comes back with another run is forgotten before its first message passes, though nobody saw the end of the run before.
func TestAnotherRun(t *testing.T) {
	a, b := pair(t)
	if n := a.times(); n != 1 { // for the first session, to be sure
		t.Fatalf("left %d times", n)
	}
	if err := errors.Join(a.Join(t.Context(), b.host.ID()), b.Join(t.Context(), a.host.ID())); err != nil || a.times() != 1 {
		t.Fatalf("joined again: %v, left %d times", err, a.times())
	}
	id := networkOf(t, "gate")
	first := b.Gate
	b.open(t, id) // a second run on the host, with the sessions of the first still there
	if err := b.Join(t.Context(), a.host.ID()); err != nil {
		t.Fatal(err)
	}
	if n := a.times(); n != 2 {
		t.Errorf("left %d times, want 2", n)
	}
	eventually(t, "the end of the first run's session", func() bool { return !first.Present(a.host.ID()) })
	got := b.listen(blocks)
	if err := a.send(b, blocks, "to the second run"); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s != "to the second run" {
		t.Errorf("received %q", s)
	}
}

// The end of a run is told at once.
func TestCloseTells(t *testing.T) {
	a, b := pair(t)
	left := a.times()
	if !a.host.ConnManager().IsProtected(b.host.ID(), ServiceName) || !b.host.ConnManager().IsProtected(a.host.ID(), ServiceName) {
		t.Error("the connection may be trimmed")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b.host.ConnManager().IsProtected(a.host.ID(), ServiceName) {
		t.Error("the connection is still protected")
	}
	eventually(t, "the end", func() bool { return a.times() == left+1 && !a.Present(b.host.ID()) })
	if err := a.send(b, blocks, "x"); !errors.Is(err, errNoSession) {
		t.Errorf("sent: %v", err)
	}
}

// CometBFT's notes stay in the gate, and it is given an address that it can read whatever the peer's are.
func TestPeerstore(t *testing.T) {
	a, b := pair(t)
	ps := a.Peerstore()
	if _, err := ps.Get(b.host.ID(), "k"); err == nil {
		t.Error("a note that nobody made")
	}
	if err := ps.Put(b.host.ID(), "k", 1); err != nil {
		t.Fatal(err)
	}
	if v, err := a.Peerstore().Get(b.host.ID(), "k"); err != nil || v != 1 {
		t.Errorf("note: %v, %v", v, err)
	}
	if _, err := a.host.Peerstore().Get(b.host.ID(), "k"); err == nil {
		t.Error("the host's peerstore has CometBFT's note")
	}
	a.host.Peerstore().AddAddr("relayed", ma.StringCast("/ip6/2001:db8::1/tcp/1/p2p/"+b.host.ID().String()+"/p2p-circuit"), time.Hour)
	for _, p := range []peer.ID{b.host.ID(), "relayed", "never met"} {
		info := ps.PeerInfo(p)
		if info.ID != p || len(info.Addrs) != 1 {
			t.Fatalf("%q: %v", p, info)
		}
		if network, address, err := manet.DialArgs(info.Addrs[0]); err != nil || network != "tcp4" || address != "0.0.0.0:0" {
			t.Errorf("%q: %s %s, %v", p, network, address, err)
		}
	}
}

// CometBFT makes no connections.
func TestConnect(t *testing.T) {
	a, b := pair(t)
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.host.ID()}); err != nil {
		t.Error(err)
	}
	c := newHost(t, networkOf(t, "gate"))
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: c.ID(), Addrs: c.Addrs()}); !errors.Is(err, errDials) {
		t.Errorf("connected: %v", err)
	}
	if len(a.host.Network().ConnsToPeer(c.ID())) > 0 {
		t.Error("it dialled")
	}
}

// A gate that is closed refuses everything, and closing it again does nothing.
func TestClosed(t *testing.T) {
	a, b := pair(t)
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	a.SetStreamHandler(lp2p.ProtocolID(blocks), func(network.Stream) {})
	if slices.Contains(a.host.Mux().Protocols(), protocol.ID(networkOf(t, "gate").Protocol("ledger/1/0x40"))) {
		t.Error("a closed gate serves")
	}
	if err := a.Join(t.Context(), b.host.ID()); err == nil {
		t.Error("joined")
	}
}
