package routing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// foreignIdle is how long a stream may be without a whole request, as at kad-dht.
	foreignIdle = time.Minute
	// foreignWriteTimeout bounds how long a peer may take to read a response.
	foreignWriteTimeout = 10 * time.Second
	// foreignAnswerTimeout bounds the work for a request. Those who ask give up after ten seconds.
	foreignAnswerTimeout = 5 * time.Second
	// maxForeignRequests is how many requests a stream carries before it is closed.
	maxForeignRequests = 1 << 16
	// maxForeignWork bounds the requests that the store works on at once; others wait.
	maxForeignWork = 32
)

// ForeignStore keeps what foreign Kademlia peers put and shows them what they may read. Keys are as they are on the wire. Whoever asks was identified by the secure
// handshake, and nothing more is known of them.
type ForeignStore interface {
	// Value returns what is under key; fault.NotFound when there is nothing.
	Value(ctx context.Context, key []byte) (ForeignValue, error)
	// PutValue stores a value that from put, in place of an older one. fault.Full says that a quota is used up.
	PutValue(ctx context.Context, from peer.ID, key, value []byte) error
	// AddProvider notes that a peer, which says so of itself, offers what key names.
	AddProvider(ctx context.Context, key []byte, provider peer.AddrInfo) error
	// Providers returns who offers what key names; none are no error.
	Providers(ctx context.Context, key []byte) ([]peer.AddrInfo, error)
}

// ForeignValue is a value as a foreign peer reads it.
type ForeignValue struct {
	Value []byte
	// Received is when this network got it.
	Received time.Time
}

// A foreignServer answers the protocol /kad/1.0.0 (libp2p specs, kad-dht) in place of kad-dht's own handler, which knows neither bounds on what a peer may take nor
// our store. Members, which look one another up by this protocol, and foreign peers are served alike.
type foreignServer struct {
	kademlia *Kademlia
	protocol protocol.ID
	store    atomic.Pointer[ForeignStore] // nil before ServeForeign
	limits   foreignLimits
	working  chan struct{} // holds an element for each request that the store works on
	logger   *slog.Logger

	ctx     context.Context // ends when the server closes
	cancel  context.CancelFunc
	mu      sync.Mutex
	closed  bool                        // guarded by mu
	streams map[network.Stream]struct{} // guarded by mu
	tasks   sync.WaitGroup              // one for each of streams
}

// ServeForeign lets foreign peers use store from here on. Before, and without it, they can only find peers.
func (k *Kademlia) ServeForeign(store ForeignStore) { k.foreign.store.Store(&store) }

func newForeignServer(k *Kademlia, p protocol.ID) *foreignServer {
	f := &foreignServer{
		kademlia: k, protocol: p, logger: k.logger, working: make(chan struct{}, maxForeignWork), streams: map[network.Stream]struct{}{},
		limits: foreignLimits{peers: map[peer.ID]*foreignPeer{}},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	k.host.SetStreamHandler(p, f.handle)
	return f
}

// close ends all streams and waits for what they were at.
func (f *foreignServer) close() {
	f.kademlia.host.RemoveStreamHandler(f.protocol)
	f.cancel()
	f.mu.Lock()
	f.closed = true
	for s := range f.streams {
		_ = s.Reset()
	}
	f.mu.Unlock()
	f.tasks.Wait()
}

// enter counts a stream in, unless the server closes.
func (f *foreignServer) enter(s network.Stream) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.streams[s] = struct{}{}
	f.tasks.Add(1)
	return true
}

func (f *foreignServer) leave(s network.Stream) {
	f.mu.Lock()
	delete(f.streams, s)
	f.mu.Unlock()
	f.tasks.Done()
}

// handle serves a stream. What is refused resets it, which is all that the protocol has for a refusal.
func (f *foreignServer) handle(s network.Stream) {
	from := s.Conn().RemotePeer()
	_, member := f.kademlia.viewer.View().Member(from)
	allowance := f.limits.open(from, member, time.Now())
	if allowance == nil || !f.enter(s) {
		if allowance != nil {
			f.limits.close(allowance, member)
		}
		_ = s.Reset()
		return
	}
	defer f.leave(s)
	defer f.limits.close(allowance, member)
	if err := f.serve(s, allowance); err != nil {
		f.logger.Debug("Kademlia request refused", "peer", from, "reason", err)
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// serve answers requests, one after the other, until the peer ends the stream or does what costs it the stream.
func (f *foreignServer) serve(s network.Stream, allowance *foreignPeer) error {
	r := bufio.NewReader(s)
	for range maxForeignRequests {
		if err := s.SetReadDeadline(time.Now().Add(foreignIdle)); err != nil {
			return err
		}
		req, err := readForeign(r)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := allowance.wait(f.ctx, req.GetType()); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(f.ctx, foreignAnswerTimeout)
		resp, err := f.answer(ctx, s.Conn().RemotePeer(), req)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", req.GetType(), err)
		}
		if resp == nil {
			continue
		}
		if err := s.SetWriteDeadline(time.Now().Add(foreignWriteTimeout)); err != nil {
			return err
		}
		if err := writeForeign(s, resp); err != nil {
			return err
		}
	}
	return nil
}

// withStore calls use with the store once there is a place for the work.
func (f *foreignServer) withStore(ctx context.Context, use func(ForeignStore) error) error {
	store := f.store.Load()
	if store == nil {
		return fault.New(fault.Unavailable, "values and providers of foreign peers are not kept here")
	}
	select {
	case f.working <- struct{}{}:
		defer func() { <-f.working }()
		return use(*store)
	case <-ctx.Done():
		return ctx.Err()
	}
}
