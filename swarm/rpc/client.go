package rpc

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/frames"
)

const (
	// DefaultIdleTimeout is how long a stream without calls is kept where the configuration says nothing.
	DefaultIdleTimeout = time.Minute
	// openTimeout bounds the opening of a stream, dialling included, however long the callers would wait.
	openTimeout = 15 * time.Second
)

// ClientConfig configures a Client.
type ClientConfig struct {
	Host     host.Host
	Protocol protocol.ID
	// Traced lets calls whose context has a span that is recorded tell servers that are Traced, too, beneath which span they work.
	Traced bool
	// MaxMessage bounds requests and responses, in bytes; 0 means DefaultMaxMessage.
	MaxMessage int
	// MaxInFlight bounds the calls to one peer that are under way at once; further ones wait. 0 means DefaultMaxInFlight. It should not
	// exceed the server's.
	MaxInFlight int
	// IdleTimeout is how long a stream without calls stays open; 0 means DefaultIdleTimeout.
	IdleTimeout time.Duration
	// Violated is told of peers whose responses break the format or are over the limit; nil: nobody.
	Violated func(peer.ID)
	Logger   *slog.Logger // nil: silent
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *ClientConfig) Validate() error {
	if c.IdleTimeout < 0 {
		return fault.New(fault.Invalid, "rpc client: idle timeout %s: want 0 or more", c.IdleTimeout)
	}
	return validate("client", c.Host, c.Protocol, c.MaxMessage, c.MaxInFlight)
}

// Client calls peers that serve one protocol, over one stream to each.
type Client struct {
	cfg    ClientConfig
	ctx    context.Context // ends when the client closes
	cancel context.CancelFunc
	tasks  sync.WaitGroup // every goroutine; nothing is added once closed
	// results holds empty channels of type chan result with capacity 1. It is not shared between clients, as channels may not leave
	// the bubble of a test with simulated time.
	results sync.Pool
	// connections tells of those that are made, by this host or by others.
	connections network.Notifiee

	mu     sync.Mutex
	closed bool                // guarded by mu
	peers  map[peer.ID]*remote // guarded by mu; those with calls or a stream
}

// remote is a peer that is called.
type remote struct {
	id    peer.ID
	slots chan struct{} // one element for each call under way

	users   int      // guarded by Client.mu; calls under way or waiting
	link    *link    // guarded by Client.mu; the open stream, or nil
	opening *opening // guarded by Client.mu; the stream being opened, or nil
}

// opening is a stream being opened for all who wait for it.
type opening struct {
	done    chan struct{} // closed when link and err are set
	met     chan struct{} // has room for one; gets one when there is a connection to the peer
	cancel  context.CancelFunc
	waiting int // guarded by Client.mu
	link    *link
	err     error
}

// NewClient returns a client. It opens no stream before the first call.
func NewClient(cfg ClientConfig) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.MaxMessage = orDefault(cfg.MaxMessage, DefaultMaxMessage)
	cfg.MaxInFlight = orDefault(cfg.MaxInFlight, DefaultMaxInFlight)
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = DefaultIdleTimeout
	}
	cfg.Logger = orSilent(cfg.Logger)
	c := &Client{cfg: cfg, peers: make(map[peer.ID]*remote)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.connections = &network.NotifyBundle{ConnectedF: func(_ network.Network, conn network.Conn) { c.connected(conn) }}
	cfg.Host.Network().Notify(c.connections)
	return c, nil
}

// Close fails all calls, resets all streams and waits until nothing of them is left.
func (c *Client) Close() error {
	c.cfg.Host.Network().StopNotify(c.connections)
	for _, l := range c.shut() {
		l.fail(ErrClosed)
	}
	c.cancel()
	c.tasks.Wait()
	return nil
}

// shut refuses calls from now on and returns the streams that are open.
func (c *Client) shut() []*link {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var links []*link
	for _, r := range c.peers {
		if r.link != nil {
			links = append(links, r.link)
		}
	}
	return links
}

// Call sends a request and waits for the response until ctx is over. It dials the peer where needed, at the addresses that the host knows. The
// caller owns the response; request is not used after Call returned.
//
// Errors are *Error. When the stream turns out to be broken before the request was handed to it, the call is made once more on a new one;
// after ErrStreamLost the peer may have carried the request out.
func (c *Client) Call(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
	if len(request) > c.cfg.MaxMessage {
		return nil, failed(to, fault.TooLarge, ErrTooLarge, nil)
	}
	if err := ctx.Err(); err != nil {
		return nil, abandoned(to, err)
	}
	r := c.enter(to)
	defer c.leave(r)
	if err := c.takeSlot(ctx, r); err != nil {
		return nil, err
	}
	defer func() { <-r.slots }()
	response, sent, err := c.attempt(ctx, r, request)
	if errors.Is(err, ErrStreamLost) && !sent && !errors.Is(err, frames.ErrStalled) {
		response, _, err = c.attempt(ctx, r, request)
	}
	return response, err
}

// takeSlot waits until fewer than MaxInFlight calls to the peer are under way.
func (c *Client) takeSlot(ctx context.Context, r *remote) error {
	select {
	case r.slots <- struct{}{}: // by far cheaper without the other cases
		return nil
	default:
	}
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return abandoned(r.id, ctx.Err())
	case <-c.ctx.Done():
		return failed(r.id, fault.Unavailable, ErrClosed, nil)
	}
}

// attempt makes a call on the peer's stream. sent says whether the peer may have got the request.
func (c *Client) attempt(ctx context.Context, r *remote, request []byte) (response []byte, sent bool, err error) {
	l, err := c.linkTo(ctx, r)
	if err != nil {
		return nil, false, err
	}
	return l.call(ctx, request)
}

// enter returns the state of a peer and keeps it until leave.
func (c *Client) enter(p peer.ID) *remote {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.peers[p]
	if r == nil {
		r = &remote{id: p, slots: make(chan struct{}, c.cfg.MaxInFlight)}
		c.peers[p] = r
	}
	r.users++
	return r
}

func (c *Client) leave(r *remote) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.users--
	c.forgetIfUnused(r)
}

// forgetIfUnused drops the state of a peer without calls and stream. mu is held.
func (c *Client) forgetIfUnused(r *remote) {
	if r.users == 0 && r.link == nil && r.opening == nil {
		delete(c.peers, r.id)
	}
}

// Release closes the stream to a peer unless calls are under way on it, so that an unused connection can be closed. The next call opens another.
func (c *Client) Release(p peer.ID) {
	c.mu.Lock()
	var l *link
	if r := c.peers[p]; r != nil && r.users == 0 && r.link != nil {
		l, r.link = r.link, nil
		c.forgetIfUnused(r)
	}
	c.mu.Unlock()
	if l != nil {
		l.fail(errIdle)
	}
}

// drop makes the next call open a new stream in place of l.
func (c *Client) drop(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.remote.link == l {
		l.remote.link = nil
		c.forgetIfUnused(l.remote)
	}
}

// linkTo returns the stream to a peer, which it opens where there is none.
func (c *Client) linkTo(ctx context.Context, r *remote) (*link, error) {
	l, o, err := c.join(r)
	if l != nil || err != nil {
		return l, err
	}
	select {
	case <-o.done:
		c.part(r, o)
		return o.link, o.err
	case <-ctx.Done():
		c.part(r, o)
		return nil, abandoned(r.id, ctx.Err())
	}
}

// join returns the stream to a peer, or an opening to wait for and to part from.
func (c *Client) join(r *remote) (*link, *opening, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, failed(r.id, fault.Unavailable, ErrClosed, nil)
	}
	if r.link != nil {
		return r.link, nil, nil
	}
	if r.opening == nil {
		ctx, cancel := context.WithTimeout(c.ctx, openTimeout)
		o := &opening{done: make(chan struct{}), met: make(chan struct{}, 1), cancel: cancel}
		r.opening = o
		c.tasks.Go(func() { c.open(ctx, r, o) })
	}
	r.opening.waiting++
	return nil, r.opening, nil
}

// part ends the waiting for an opening. The last who loses interest ends the opening too.
func (c *Client) part(r *remote, o *opening) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.waiting--
	if o.waiting == 0 && r.opening == o {
		r.opening = nil
		o.cancel()
	}
}

// connected tells an opening that is dialling of a connection to its peer, and moves from a relayed connection to a direct one.
func (c *Client) connected(conn network.Conn) {
	if conn.Stat().Limited {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.peers[conn.RemotePeer()]
	if r == nil {
		return
	}
	if r.opening != nil {
		select {
		case r.opening.met <- struct{}{}:
		default:
		}
	}
	if l := r.link; l != nil && l.relayed() && !swarm.IsRelayed(conn.RemoteMultiaddr()) {
		r.link = nil
		l.drain()
		c.forgetIfUnused(r)
	}
}

// newStream opens a stream over a connection to the peer, which is dialled where there is none. A peer that comes back elsewhere may connect to this host while that still
// dials an address at which nobody is, which takes seconds to fail: met ends the dialling.
func (c *Client) newStream(ctx context.Context, p peer.ID, met <-chan struct{}) (network.Stream, error) {
	if c.cfg.Host.Network().Connectedness(p) != network.Connected {
		dialling, cancel := context.WithCancel(ctx)
		defer cancel()
		dialled := make(chan error, 1)
		c.tasks.Go(func() { dialled <- c.cfg.Host.Connect(dialling, peer.AddrInfo{ID: p}) })
		select {
		case err := <-dialled:
			if err != nil {
				return nil, err
			}
		case <-met:
			cancel()
		}
	}
	return c.cfg.Host.NewStream(ctx, p, protocolsOf(c.cfg.Protocol, c.cfg.Traced)...)
}

// direct says whether there is a connection to a peer that leads through no other.
func (c *Client) direct(p peer.ID) bool {
	return slices.ContainsFunc(c.cfg.Host.Network().ConnsToPeer(p), func(conn network.Conn) bool {
		return !swarm.IsRelayed(conn.RemoteMultiaddr()) && !conn.IsClosed()
	})
}

// open opens a stream and hands it to those who wait.
func (c *Client) open(ctx context.Context, r *remote, o *opening) {
	defer o.cancel()
	defer close(o.done)
	stream, err := c.newStream(ctx, r.id, o.met)
	if err == nil && swarm.IsRelayed(stream.Conn().RemoteMultiaddr()) && c.direct(r.id) { // which came meanwhile
		stream.Reset()
		stream, err = c.cfg.Host.NewStream(ctx, r.id, protocolsOf(c.cfg.Protocol, c.cfg.Traced)...)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := r.opening == o
	if wanted {
		r.opening = nil
	}
	switch {
	case c.closed:
		o.err = failed(r.id, fault.Unavailable, ErrClosed, nil)
	case err != nil:
		o.err = failed(r.id, fault.Unavailable, ErrUnreachable, err)
	case wanted:
		r.link = newLink(c, r, stream)
		o.link = r.link
		return
	}
	if err == nil {
		c.tasks.Go(func() { stream.Reset() })
	}
	c.forgetIfUnused(r)
}
