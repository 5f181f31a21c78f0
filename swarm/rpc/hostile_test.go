package rpc

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm/frames"
)

// simulated runs f in simulated time, with two hosts on a simulated link; a knows b's addresses.
func simulated(t *testing.T, f func(t *testing.T, a, b host.Host)) {
	synctest.Test(t, func(t *testing.T) {
		sim := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(time.Millisecond)}
		link := simnet.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
		start := func(addr string) host.Host {
			h, err := libp2p.New(libp2p.ListenAddrStrings(addr), libp2p.DisableRelay(), libp2p.DisableMetrics(),
				libp2p.DisableIdentifyAddressDiscovery(), libp2p.ResourceManager(&network.NullResourceManager{}),
				simlibp2p.QUICSimnet(sim, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}))
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		a, b := start("/ip4/1.0.0.1/udp/4242/quic-v1"), start("/ip4/1.0.0.2/udp/4242/quic-v1")
		sim.Start()
		defer sim.Close()
		defer a.Close()
		defer b.Close()
		a.Peerstore().AddAddrs(b.ID(), b.Addrs(), peerstore.PermanentAddrTTL)
		f(t, a, b)
	})
}

// openClient and openServer are closed by the caller, inside the bubble of simulated time.
func openClient(t *testing.T, cfg ClientConfig) *Client {
	t.Helper()
	cfg.Protocol = testProtocol
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openServer(t *testing.T, cfg ServerConfig) *Server {
	t.Helper()
	cfg.Protocol = testProtocol
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *Client) linkOf(p peer.ID) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.peers[p]; r != nil {
		return r.link
	}
	return nil
}

func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

func TestIdleStreamIsClosed(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		s := openServer(t, ServerConfig{Host: b, Handler: func(ctx context.Context, _ peer.ID, request []byte) ([]byte, error) {
			if string(request) == "slow" {
				time.Sleep(90 * time.Second)
			}
			return request, nil
		}})
		defer s.Close()
		c := openClient(t, ClientConfig{Host: a, IdleTimeout: time.Minute})
		defer c.Close()

		wantCall(t, c, b.ID(), "slow", "slow") // a call keeps the stream, however long it takes
		time.Sleep(50 * time.Second)
		wantCall(t, c, b.ID(), "x", "x")
		first := c.linkOf(b.ID())
		time.Sleep(50 * time.Second)
		if c.linkOf(b.ID()) != first || first == nil {
			t.Error("the stream was closed 50 s after a call")
		}
		time.Sleep(11 * time.Second)
		if c.linkOf(b.ID()) != nil || s.open() != 0 {
			t.Errorf("the stream is open 61 s after the last call; %d at the server", s.open())
		}
		if len(c.peers) != 0 {
			t.Error("the peer is remembered")
		}
		wantCall(t, c, b.ID(), "y", "y")
	})
}

func TestReleasedStreamIsClosedUnlessItIsInUse(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		s := openServer(t, ServerConfig{Host: b, Handler: func(_ context.Context, _ peer.ID, request []byte) ([]byte, error) {
			time.Sleep(time.Second)
			return request, nil
		}})
		defer s.Close()
		c := openClient(t, ClientConfig{Host: a})
		defer c.Close()
		c.Release(b.ID()) // there is none yet
		var call sync.WaitGroup
		call.Go(func() { wantCall(t, c, b.ID(), "x", "x") })
		time.Sleep(500 * time.Millisecond)
		c.Release(b.ID())
		call.Wait()
		if c.linkOf(b.ID()) == nil {
			t.Error("a stream was closed that was in use")
		}
		c.Release(b.ID())
		time.Sleep(100 * time.Millisecond)
		if c.linkOf(b.ID()) != nil || s.open() != 0 || len(c.peers) != 0 {
			t.Errorf("a released stream is open; %d at the server, %d peers are remembered", s.open(), len(c.peers))
		}
		wantCall(t, c, b.ID(), "y", "y")
	})
}

// A peer that takes the stream and never reads costs a caller its own deadline, and the stream at last.
func TestServerThatDoesNotRead(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		b.SetStreamHandler(testProtocol, func(s network.Stream) {})
		c := openClient(t, ClientConfig{Host: a, MaxMessage: 16 << 20, MaxInFlight: 100})
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Call(ctx, b.ID(), []byte("x"))
		wantFailure(t, err, context.DeadlineExceeded, fault.Unavailable, b.ID())

		start := time.Now()
		var wg sync.WaitGroup
		for range 2 { // more than flow control lets through
			wg.Go(func() {
				_, err := c.Call(t.Context(), b.ID(), make([]byte, 16<<20))
				wantLost(t, err, b.ID())
			})
		}
		wg.Wait()
		if d := time.Since(start); d > 2*frames.WriteTimeout {
			t.Errorf("the stream was given up after %s", d)
		}
		if c.linkOf(b.ID()) != nil {
			t.Error("the stream is still in use")
		}
	})
}

// wantLost is wantFailure for other goroutines than the test's.
func wantLost(t *testing.T, err error, p peer.ID) {
	if e, ok := errors.AsType[*Error](err); !ok || e.Peer != p || !errors.Is(err, ErrStreamLost) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error %v, want a lost stream to %s", err, p)
	}
}

// A client that asks and does not read the answers must not hold the server's goroutines for ever.
func TestClientThatDoesNotRead(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		var mu sync.Mutex
		handled := 0
		s := openServer(t, ServerConfig{Host: b, MaxMessage: 1 << 20, MaxInFlight: 16,
			Handler: func(context.Context, peer.ID, []byte) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				handled++
				return make([]byte, 1<<20), nil
			}})
		defer s.Close()
		raw, err := a.NewStream(t.Context(), b.ID(), testProtocol)
		if err != nil {
			t.Fatal(err)
		}
		var wire []byte
		for id := range uint64(1000) {
			wire = appendFrame(wire, id, kindRequest, nil)
		}
		if _, err := raw.Write(wire); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * frames.WriteTimeout)
		if s.open() != 0 {
			t.Error("the stream is still open")
		}
		mu.Lock()
		defer mu.Unlock()
		if handled > 100 {
			t.Errorf("%d requests were handled though no answer was read", handled)
		}
	})
}

func TestHandlersThatNeverEnd(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		s := openServer(t, ServerConfig{Host: b, MaxInFlight: 2, Handler: func(ctx context.Context, _ peer.ID, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, nil
		}})
		defer s.Close()
		c := openClient(t, ClientConfig{Host: a, MaxInFlight: 10})
		defer c.Close()
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := c.Call(t.Context(), b.ID(), nil)
				wantLost(t, err, b.ID())
			})
		}
		wg.Wait()
		if d := time.Since(start); d < busyTimeout || d > busyTimeout+time.Second {
			t.Errorf("given up after %s, want %s", d, busyTimeout)
		}
	})
}

// Large requests wait for one another rather than take more than their share of the memory.
func TestLargeRequestsAreBoundedInBytes(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		const size = maxLargeBytes / 2
		var mu sync.Mutex
		now, most := 0, 0
		s := openServer(t, ServerConfig{Host: b, MaxMessage: size, Handler: func(context.Context, peer.ID, []byte) ([]byte, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(5 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			now--
			return nil, nil
		}})
		defer s.Close()
		c := openClient(t, ClientConfig{Host: a, MaxMessage: size})
		defer c.Close()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := c.Call(t.Context(), b.ID(), make([]byte, size)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != 2 {
			t.Errorf("%d at work at once, want 2", most)
		}
	})
}

// rawStream opens a stream to b and has the server see it.
func rawStream(t *testing.T, a, b host.Host) network.Stream {
	t.Helper()
	s, err := a.NewStream(t.Context(), b.ID(), testProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(appendFrame(nil, 1, kindRequest, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, headerSize+1)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestServerResetsStreamsOfHostileClients(t *testing.T) {
	oversize := appendFrame(nil, 2, kindRequest, make([]byte, 101))
	for name, c := range map[string]struct {
		wire  []byte
		after time.Duration // until the stream is reset
	}{
		"oversize":             {oversize[:headerSize], time.Second},
		"a response":           {appendFrame(nil, 2, kindResponse, nil), time.Second},
		"a frame that stops":   {oversize[:0:0], frames.Timeout + time.Second},
		"kind that is unknown": {[]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 9}, time.Second},
	} {
		if len(c.wire) == 0 {
			c.wire = appendFrame(nil, 2, kindRequest, make([]byte, 100))[:headerSize+50]
		}
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, a, b host.Host) {
				s := openServer(t, ServerConfig{Host: b, MaxMessage: 100, Handler: echo})
				defer s.Close()
				raw := rawStream(t, a, b)
				start := time.Now()
				if _, err := raw.Write(c.wire); err != nil {
					t.Fatal(err)
				}
				_, err := raw.Read(make([]byte, 1))
				if !errors.Is(err, network.ErrReset) {
					t.Errorf("error %v, want a reset", err)
				}
				if d := time.Since(start); d > c.after {
					t.Errorf("reset after %s, want %s", d, c.after)
				}
			})
		})
	}
}

func TestClientResetsStreamsOfHostileServers(t *testing.T) {
	for name, wire := range map[string][]byte{
		"oversize":                      appendFrame(nil, 1, kindResponse, make([]byte, 101)),
		"a request":                     appendFrame(nil, 1, kindRequest, nil),
		"a call that was not made":      appendFrame(nil, 7, kindResponse, nil),
		"call 0":                        appendFrame(nil, 0, kindResponse, nil),
		"a frame that stops":            appendFrame(nil, 1, kindResponse, make([]byte, 100))[:50],
		"half a header, then it closes": appendFrame(nil, 1, kindResponse, nil)[:5],
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, a, b host.Host) {
				b.SetStreamHandler(testProtocol, func(s network.Stream) {
					io.ReadFull(s, make([]byte, headerSize))
					s.Write(wire)
					if len(wire) < headerSize {
						s.Close()
					}
				})
				c := openClient(t, ClientConfig{Host: a, MaxMessage: 100})
				defer c.Close()
				_, err := c.Call(t.Context(), b.ID(), nil)
				wantFailure(t, err, ErrStreamLost, fault.Unavailable, b.ID())
				if c.linkOf(b.ID()) != nil {
					t.Error("the stream is still in use")
				}
			})
		})
	}
}

func TestStreamsOfOnePeerAreBounded(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		s := openServer(t, ServerConfig{Host: b, Handler: echo})
		defer s.Close()
		var streams []network.Stream
		for range MaxStreamsPerPeer {
			streams = append(streams, rawStream(t, a, b))
		}
		more, err := a.NewStream(t.Context(), b.ID(), testProtocol)
		if err != nil {
			t.Fatal(err)
		}
		more.Write(appendFrame(nil, 1, kindRequest, nil))
		if _, err := more.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
			t.Errorf("error %v, want a reset", err)
		}
		streams[0].Close()
		synctest.Wait()
		time.Sleep(time.Second)
		rawStream(t, a, b)
		if n := s.open(); n != MaxStreamsPerPeer {
			t.Errorf("%d streams, want %d", n, MaxStreamsPerPeer)
		}
	})
}

// Streams break under load, again and again: every call ends, with its own answer or a lost stream.
func TestResetsMidFlight(t *testing.T) {
	a, b := newPair(t, loopTCP)
	newServer(t, ServerConfig{Host: b, Handler: echo})
	c := newClient(t, ClientConfig{Host: a, MaxInFlight: 16})
	stop := make(chan struct{})
	var breaker, callers sync.WaitGroup
	breaker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, conn := range slices.Concat(a.Network().Conns(), b.Network().Conns()) {
				for _, s := range conn.GetStreams() {
					if s.Protocol() == testProtocol {
						s.Reset()
					}
				}
			}
			c.Call(t.Context(), b.ID(), nil) // lets others get through
		}
	})
	for range 8 {
		callers.Go(func() {
			for i := range 300 {
				request := []byte{byte(i), byte(i >> 8)}
				got, err := c.Call(t.Context(), b.ID(), request)
				if err == nil && !slices.Equal(got, request) {
					t.Errorf("answer %x to %x", got, request)
				}
				if err != nil && !errors.Is(err, ErrStreamLost) {
					// An opening may break too.
					if !errors.Is(err, ErrUnreachable) {
						t.Errorf("error %v", err)
					}
				}
			}
		})
	}
	callers.Wait()
	close(stop)
	breaker.Wait()
	wantCall(t, c, b.ID(), "after", "after")
}
