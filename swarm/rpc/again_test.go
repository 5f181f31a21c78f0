package rpc

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
)

// What a broken stream had not taken yet is sent again on a new one.
func TestUnsentRequestsAreMadeAgain(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		first := make(chan network.Stream, 1)
		b.SetStreamHandler(testProtocol, func(s network.Stream) { first <- s }) // which is not read
		c := openClient(t, ClientConfig{Host: a, MaxMessage: 16 << 20})
		defer c.Close()
		var wg sync.WaitGroup
		for _, size := range []int{16 << 20, 1} { // more than flow control lets through, and one that waits behind it
			wg.Go(func() {
				got, err := c.Call(t.Context(), b.ID(), make([]byte, size))
				if want := strconv.Itoa(size); err != nil || string(got) != want {
					t.Errorf("request of %d bytes: answer %q, %v", size, got, err)
				}
			})
			time.Sleep(time.Second)
		}
		s := openServer(t, ServerConfig{Host: b, MaxMessage: 16 << 20, Handler: func(_ context.Context, _ peer.ID, request []byte) ([]byte, error) {
			return []byte(strconv.Itoa(len(request))), nil
		}})
		defer s.Close()
		(<-first).Reset()
		wg.Wait()
	})
}

// What was sent may have been carried out, and is not sent again.
func TestSentRequestsAreNotMadeAgain(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		var mu sync.Mutex
		carriedOut := 0
		s := openServer(t, ServerConfig{Host: b, Handler: func(_ context.Context, _ peer.ID, request []byte) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			carriedOut++
			return nil, errors.New("and then it broke")
		}})
		defer s.Close()
		c := openClient(t, ClientConfig{Host: a})
		defer c.Close()
		_, err := c.Call(t.Context(), b.ID(), []byte("x"))
		wantFailure(t, err, ErrStreamLost, fault.Unavailable, b.ID())
		mu.Lock()
		defer mu.Unlock()
		if carriedOut != 1 {
			t.Errorf("carried out %d times", carriedOut)
		}
	})
}

// When the first of two callers gives up, the other still gets the stream that is being opened for both.
func TestOpeningOutlivesTheFirstCaller(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		s := openServer(t, ServerConfig{Host: b, Handler: echo})
		defer s.Close()
		c := openClient(t, ClientConfig{Host: a})
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Call(ctx, b.ID(), nil); !errors.Is(err, context.Canceled) {
				t.Errorf("first caller: error %v", err)
			}
		})
		synctest.Wait() // dialling
		wg.Go(func() {
			if _, err := c.Call(t.Context(), b.ID(), nil); err != nil {
				t.Errorf("second caller: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

// A caller without company takes the opening with it, and the next one starts anew.
func TestOpeningEndsWithItsLastCaller(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		s := openServer(t, ServerConfig{Host: b, Handler: echo})
		defer s.Close()
		c := openClient(t, ClientConfig{Host: a})
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		if _, err := c.Call(ctx, b.ID(), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		wantCall(t, c, b.ID(), "x", "x")
	})
}

// A peer that comes back elsewhere connects while its old address is dialled: whoever waits gets the stream over that connection at once.
func TestOpeningTakesTheConnectionThatThePeerMakes(t *testing.T) {
	simulated(t, func(t *testing.T, a, b host.Host) {
		s := openServer(t, ServerConfig{Host: b, Handler: echo})
		defer s.Close()
		c := openClient(t, ClientConfig{Host: a})
		defer c.Close()
		a.Peerstore().ClearAddrs(b.ID())
		a.Peerstore().AddAddr(b.ID(), ma.StringCast("/ip4/1.0.0.99/udp/4242/quic-v1"), peerstore.PermanentAddrTTL)
		var wg sync.WaitGroup
		wg.Go(func() {
			began := time.Now()
			wantCall(t, c, b.ID(), "x", "x")
			if took := time.Since(began); took > 1100*time.Millisecond {
				t.Errorf("the call took %v, and the peer was there after 1 s", took)
			}
		})
		time.Sleep(time.Second)
		if err := b.Connect(t.Context(), peer.AddrInfo{ID: a.ID(), Addrs: a.Addrs()}); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	})
}
