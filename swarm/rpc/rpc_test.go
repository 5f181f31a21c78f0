package rpc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
)

const testProtocol protocol.ID = "/rpc-test/1"

// newHost returns a host on loopback.
func newHost(t testing.TB, listen string) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(listen), libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// newPair returns two hosts; a knows b's addresses.
func newPair(t testing.TB, listen string) (a, b host.Host) {
	t.Helper()
	a, b = newHost(t, listen), newHost(t, listen)
	a.Peerstore().AddAddrs(b.ID(), b.Addrs(), time.Hour)
	return a, b
}

const (
	loopTCP  = "/ip4/127.0.0.1/tcp/0"
	loopQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
)

func newServer(t testing.TB, cfg ServerConfig) *Server {
	t.Helper()
	if cfg.Protocol == "" {
		cfg.Protocol = testProtocol
	}
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newClient(t testing.TB, cfg ClientConfig) *Client {
	t.Helper()
	cfg.Protocol = testProtocol
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func echo(_ context.Context, _ peer.ID, request []byte) ([]byte, error) { return request, nil }

// wantCall fails the test unless calling with the request gives the response.
func wantCall(t *testing.T, c *Client, to peer.ID, request, response string) {
	t.Helper()
	got, err := c.Call(t.Context(), to, []byte(request))
	if err != nil {
		t.Fatalf("call: %v", err)
	}
	if string(got) != response {
		t.Fatalf("response %q, want %q", got, response)
	}
}

// wantFailure fails the test unless err has the given reason and kind and names the peer.
func wantFailure(t *testing.T, err, reason error, kind fault.Kind, p peer.ID) {
	t.Helper()
	if !errors.Is(err, reason) || fault.KindOf(err) != kind {
		t.Fatalf("error %v of kind %s, want %v of kind %s", err, fault.KindOf(err), reason, kind)
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Peer != p || !strings.Contains(err.Error(), p.String()) {
		t.Fatalf("error %v does not name %s", err, p)
	}
}

func TestConcurrentCallsGetTheirOwnResponses(t *testing.T) {
	for name, listen := range map[string]string{"tcp": loopTCP, "quic": loopQUIC} {
		t.Run(name, func(t *testing.T) {
			a, b := newPair(t, listen)
			var most, now atomic.Int64
			s := newServer(t, ServerConfig{Host: b, MaxMessage: 1 << 20, MaxInFlight: 8,
				Handler: func(_ context.Context, from peer.ID, request []byte) ([]byte, error) {
					if from != a.ID() {
						return nil, fmt.Errorf("request from %s, want %s", from, a.ID())
					}
					n := now.Add(1)
					defer now.Add(-1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					return append([]byte("re:"), request...), nil
				}})
			c := newClient(t, ClientConfig{Host: a, MaxMessage: 1 << 20, MaxInFlight: 32})
			var wg sync.WaitGroup
			for w := range 64 {
				wg.Go(func() {
					for i := range 50 {
						request := make([]byte, 8+(w*i*37)%3000)
						if w == 0 && i%10 == 0 {
							request = make([]byte, 1<<20-3)
						}
						rand.Read(request)
						binary.BigEndian.PutUint64(request, uint64(w<<32|i))
						got, err := c.Call(t.Context(), b.ID(), request)
						if err != nil || !bytes.Equal(got, append([]byte("re:"), request...)) {
							t.Errorf("call %d of worker %d: %d bytes, %v", i, w, len(got), err)
							return
						}
					}
				})
			}
			wg.Wait()
			if m := most.Load(); m > 8 {
				t.Errorf("%d requests at work at once, limit 8", m)
			}
			if n := len(s.shut()); n != 1 {
				t.Errorf("%d streams, want 1", n)
			}
		})
	}
}

func TestResponsesOvertakeOneAnother(t *testing.T) {
	a, b := newPair(t, loopTCP)
	release := make(chan struct{})
	newServer(t, ServerConfig{Host: b, Handler: func(_ context.Context, _ peer.ID, request []byte) ([]byte, error) {
		if string(request) == "slow" {
			<-release
		}
		return request, nil
	}})
	c := newClient(t, ClientConfig{Host: a})
	slow := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), b.ID(), []byte("slow"))
		slow <- err
	}()
	wantCall(t, c, b.ID(), "fast", "fast")
	close(release)
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
}

func TestAbandonedCallLeavesTheStreamAlone(t *testing.T) {
	a, b := newPair(t, loopTCP)
	entered, release := make(chan struct{}), make(chan struct{})
	newServer(t, ServerConfig{Host: b, Handler: func(_ context.Context, _ peer.ID, request []byte) ([]byte, error) {
		if string(request) == "slow" {
			close(entered)
			<-release
		}
		return request, nil
	}})
	c := newClient(t, ClientConfig{Host: a})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, b.ID(), []byte("slow"))
		failed <- err
	}()
	<-entered
	first := c.peers[b.ID()].link
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	close(release) // the late response must be dropped
	for range 10 {
		wantCall(t, c, b.ID(), "fast", "fast")
	}
	if c.peers[b.ID()].link != first {
		t.Error("the stream was replaced")
	}
}

func TestDeadlineIsUnavailable(t *testing.T) {
	a, b := newPair(t, loopTCP)
	newServer(t, ServerConfig{Host: b, Handler: func(ctx context.Context, _ peer.ID, request []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, nil
	}})
	c := newClient(t, ClientConfig{Host: a})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := c.Call(ctx, b.ID(), nil)
	wantFailure(t, err, context.DeadlineExceeded, fault.Unavailable, b.ID())
}

func TestCallsBeyondMaxInFlightWait(t *testing.T) {
	a, b := newPair(t, loopTCP)
	entered, release := make(chan struct{}, 3), make(chan struct{})
	newServer(t, ServerConfig{Host: b, Handler: func(context.Context, peer.ID, []byte) ([]byte, error) {
		entered <- struct{}{}
		<-release
		return nil, nil
	}})
	c := newClient(t, ClientConfig{Host: a, MaxInFlight: 2})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := c.Call(t.Context(), b.ID(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := c.Call(ctx, b.ID(), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
	if len(entered) != 0 {
		t.Error("a third request was sent")
	}
	close(release)
	wg.Wait()
}

func TestUnreachable(t *testing.T) {
	a, b := newPair(t, loopTCP)
	c := newClient(t, ClientConfig{Host: a})
	t.Run("protocol not served", func(t *testing.T) {
		_, err := c.Call(t.Context(), b.ID(), nil)
		wantFailure(t, err, ErrUnreachable, fault.Unavailable, b.ID())
	})
	t.Run("no addresses", func(t *testing.T) {
		id := newHost(t, loopTCP).ID()
		_, err := c.Call(t.Context(), id, nil)
		wantFailure(t, err, ErrUnreachable, fault.Unavailable, id)
	})
	t.Run("gone", func(t *testing.T) {
		b.Close()
		_, err := c.Call(t.Context(), b.ID(), nil)
		wantFailure(t, err, ErrUnreachable, fault.Unavailable, b.ID())
	})
	if len(c.peers) != 0 {
		t.Errorf("%d peers remembered without a stream", len(c.peers))
	}
}

func TestTooLarge(t *testing.T) {
	a, b := newPair(t, loopTCP)
	newServer(t, ServerConfig{Host: b, MaxMessage: 200, Handler: func(_ context.Context, _ peer.ID, request []byte) ([]byte, error) {
		return make([]byte, 2*len(request)), nil
	}})
	c := newClient(t, ClientConfig{Host: a, MaxMessage: 150})
	_, err := c.Call(t.Context(), b.ID(), make([]byte, 151))
	wantFailure(t, err, ErrTooLarge, fault.TooLarge, b.ID())
	_, err = c.Call(t.Context(), b.ID(), make([]byte, 76)) // the response is over the client's limit
	wantFailure(t, err, ErrStreamLost, fault.Unavailable, b.ID())
	_, err = c.Call(t.Context(), b.ID(), make([]byte, 101)) // the response is over the server's limit
	wantFailure(t, err, ErrStreamLost, fault.Unavailable, b.ID())
	if got, err := c.Call(t.Context(), b.ID(), make([]byte, 75)); err != nil || len(got) != 150 {
		t.Errorf("a response of the largest size: %d bytes, %v", len(got), err)
	}
}

func TestMisbehaviourResetsTheStream(t *testing.T) {
	a, b := newPair(t, loopTCP)
	entered := make(chan struct{})
	ended := make(chan struct{})
	newServer(t, ServerConfig{Host: b, Handler: func(ctx context.Context, _ peer.ID, request []byte) ([]byte, error) {
		switch string(request) {
		case "wait":
			close(entered)
			<-ctx.Done()
			close(ended)
		case "bad":
			return nil, errors.New("nonsense")
		}
		return request, nil
	}})
	c := newClient(t, ClientConfig{Host: a})
	waiting := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), b.ID(), []byte("wait"))
		waiting <- err
	}()
	<-entered
	_, err := c.Call(t.Context(), b.ID(), []byte("bad"))
	wantFailure(t, err, ErrStreamLost, fault.Unavailable, b.ID())
	wantFailure(t, <-waiting, ErrStreamLost, fault.Unavailable, b.ID())
	<-ended
	wantCall(t, c, b.ID(), "good", "good")
}

func TestHandlerContextEndsWithTheConnection(t *testing.T) {
	a, b := newPair(t, loopTCP)
	entered, ended := make(chan struct{}), make(chan struct{})
	newServer(t, ServerConfig{Host: b, Handler: func(ctx context.Context, _ peer.ID, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		close(ended)
		return nil, nil
	}})
	c := newClient(t, ClientConfig{Host: a})
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), b.ID(), nil)
		failed <- err
	}()
	<-entered
	a.Network().ClosePeer(b.ID())
	<-ended
	wantFailure(t, <-failed, ErrStreamLost, fault.Unavailable, b.ID())
}

func TestServerCloseWaitsForHandlers(t *testing.T) {
	a, b := newPair(t, loopTCP)
	entered := make(chan struct{})
	var returned atomic.Bool
	s := newServer(t, ServerConfig{Host: b, Handler: func(ctx context.Context, _ peer.ID, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		returned.Store(true)
		return nil, nil
	}})
	c := newClient(t, ClientConfig{Host: a})
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), b.ID(), nil)
		failed <- err
	}()
	<-entered
	s.Close()
	if !returned.Load() {
		t.Error("Close returned before the handler")
	}
	wantFailure(t, <-failed, ErrStreamLost, fault.Unavailable, b.ID())
}

func TestClientClose(t *testing.T) {
	a, b := newPair(t, loopTCP)
	entered := make(chan struct{})
	newServer(t, ServerConfig{Host: b, Handler: func(ctx context.Context, _ peer.ID, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		return nil, nil
	}})
	c := newClient(t, ClientConfig{Host: a})
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), b.ID(), nil)
		failed <- err
	}()
	<-entered
	c.Close()
	wantFailure(t, <-failed, ErrClosed, fault.Unavailable, b.ID())
	_, err := c.Call(t.Context(), b.ID(), nil)
	wantFailure(t, err, ErrClosed, fault.Unavailable, b.ID())
}

func TestConfigsAreValidated(t *testing.T) {
	h := newHost(t, loopTCP)
	for name, cfg := range map[string]ServerConfig{
		"no handler":       {Host: h, Protocol: testProtocol},
		"no host":          {Handler: echo, Protocol: testProtocol},
		"no protocol":      {Handler: echo, Host: h},
		"negative size":    {Handler: echo, Host: h, Protocol: testProtocol, MaxMessage: -1},
		"size over format": {Handler: echo, Host: h, Protocol: testProtocol, MaxMessage: maxMessageLimit + 1},
		"negative calls":   {Handler: echo, Host: h, Protocol: testProtocol, MaxInFlight: -1},
	} {
		if _, err := NewServer(cfg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := NewClient(ClientConfig{Host: h, Protocol: testProtocol, IdleTimeout: -1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("negative idle timeout: error %v", err)
	}
}

// TestWorkersAreReusedWithinTheirBound lets more requests wait at once than workers may idle, and checks how many goroutines are left.
func TestWorkersAreReusedWithinTheirBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		release := make(chan struct{})
		answered := make(chan struct{})
		block := func(ctx context.Context, _ peer.ID, _ []byte) ([]byte, error) {
			<-release
			answered <- struct{}{}
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errFinished) // so that no response is sent
		stream := &serverStream{cfg: &ServerConfig{Handler: block}, slots: make(chan struct{}, 4*maxIdleWorkers), ctx: ctx}
		begin := func(n int) {
			stream.tasks.Add(n)
			for i := range n {
				stream.slots <- struct{}{}
				w.do(job{stream: stream, id: uint64(i)})
			}
			synctest.Wait()
		}
		begin(3 * maxIdleWorkers)
		close(release)
		for range 3 * maxIdleWorkers {
			<-answered
		}
		synctest.Wait()
		if got := w.idle.Load(); got != maxIdleWorkers {
			t.Errorf("%d workers idle, want %d", got, maxIdleWorkers)
		}
		begin(1)
		if got := w.idle.Load(); got != maxIdleWorkers-1 {
			t.Errorf("%d workers idle while one works, want %d", got, maxIdleWorkers-1)
		}
		<-answered
		stream.tasks.Wait()
		w.close()
		w.close()
	})
}
