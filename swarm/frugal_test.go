package swarm

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Strangers who open many streams take next to none of the memory that members need, on the transports where each stream takes some as soon as it is opened.
func TestStrangersTakeLittleMemory(t *testing.T) {
	const window = 256 << 10 // what yamux sets apart for a stream
	for _, name := range []string{"tcp", "ws"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			talking := make(chan struct{}, maxReceivedEach)
			b := newHost(t, Config{Gate: new(guestList), Reception: &Reception{Protocol: testLobby, Receive: func(ctx context.Context, _ peer.ID, _ ma.Multiaddr, _ Talk) error {
				talking <- struct{}{}
				<-ctx.Done()
				return errNobody
			}}}, transports[name])
			for range maxReceivedEach {
				c := dialUnbounded(t, b)
				<-talking
				openMany(t, c, 200)
			}
			if got := memoryOf(t, b); got > maxReceivedEach*maxStrangerStreams*window {
				t.Errorf("%d strangers hold %d bytes, want at most %d streams of %d each", maxReceivedEach, got, maxStrangerStreams, window)
			}
		})
	}
}

// Who is let in has as many streams as anybody, on the connection that it came with.
func TestWhoIsLetInOpensManyStreams(t *testing.T) {
	list := new(guestList)
	b := newHost(t, Config{Gate: list, Reception: &Reception{Protocol: testLobby, Receive: func(_ context.Context, p peer.ID, _ ma.Multiaddr, _ Talk) error {
		list.Store(p, true)
		return nil
	}}}, transports["tcp"])
	b.SetStreamHandler("/test/echo", func(s network.Stream) { _, _ = io.Copy(s, s); s.Close() })
	c := dialUnbounded(t, b)
	deadline := time.Now().Add(10 * time.Second)
	for len(b.Network().ConnsToPeer(c.LocalPeer())) == 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := openMany(t, c, 4*maxStrangerStreams); n != 4*maxStrangerStreams {
		t.Errorf("it has %d streams", n)
	}
}

// dialUnbounded connects a host without limits of its own, which answers in the lobby, and is not on any list.
func dialUnbounded(t *testing.T, to host.Host) network.Conn {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.SetStreamHandler(testLobby, func(network.Stream) {})
	h.Peerstore().AddAddrs(to.ID(), to.Addrs(), time.Hour)
	c, err := h.Network().DialPeer(t.Context(), to.ID())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// openMany opens streams on which nothing is agreed, until that fails or there are so many, and says how many the other side has left open a moment later.
func openMany(t *testing.T, c network.Conn, n int) (open int) {
	t.Helper()
	for range n {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s, err := c.NewStream(ctx)
		cancel()
		if err != nil {
			break
		}
		if _, err := s.Write([]byte{1}); err != nil {
			break
		}
	}
	time.Sleep(100 * time.Millisecond)
	for _, s := range c.GetStreams() {
		if _, err := s.Write([]byte{1}); err == nil && s.Protocol() == "" {
			open++
		}
	}
	return open
}

// memoryOf returns how much memory a host has set apart for all its connections.
func memoryOf(t *testing.T, h host.Host) (n int64) {
	t.Helper()
	if err := h.Network().ResourceManager().ViewSystem(func(s network.ResourceScope) error {
		n = s.Stat().Memory
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}
