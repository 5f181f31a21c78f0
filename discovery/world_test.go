package discovery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	ours    = protocol.ID("/folkmoot/ours/1")
	theirs  = protocol.ID("/folkmoot/theirs/1")
	silence = protocol.ID("")
	// handshakeTime and dialTimeout are how long it takes to connect, and to find out that nobody is there.
	handshakeTime = 5 * time.Millisecond
	dialTimeout   = 5 * time.Second
)

var (
	errNobody   = errors.New("nobody is there")
	errMismatch = errors.New("another peer is there")
)

// resident is a peer of the world.
type resident struct {
	id    peer.ID
	speak protocol.ID // silence: it is not identified
}

// world is a network in memory, as one host sees it: who is at which address, and who is connected.
type world struct {
	t    *testing.T
	self peer.ID
	ps   peerstore.Peerstore

	mu       sync.Mutex
	at       map[string]resident    // guarded by mu, by address
	conns    map[peer.ID]*worldConn // guarded by mu
	dials    int                    // guarded by mu: calls of Connect
	learns   int                    // guarded by mu
	busy     int                    // guarded by mu: dials and learns under way
	mostBusy int                    // guarded by mu
	dialling map[peer.ID]int        // guarded by mu: dials under way
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ps, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ps.Close() })
	return &world{
		t: t, self: peerN(0), ps: ps,
		at: make(map[string]resident), conns: make(map[peer.ID]*worldConn), dialling: make(map[peer.ID]int),
	}
}

// settle puts a peer at an address in place of whoever was there.
func (w *world) settle(addr ma.Multiaddr, id peer.ID, speak protocol.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[addr.String()] = resident{id, speak}
}

// leave makes an address empty and closes the connection of who was there.
func (w *world) leave(addr ma.Multiaddr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, w.at[addr.String()].id)
	delete(w.at, addr.String())
}

// accept connects a peer that came by itself.
func (w *world) accept(id peer.ID, speak protocol.ID) {
	w.connect(id, addrN(1<<20), network.DirInbound, speak)
}

func (w *world) connect(id peer.ID, addr ma.Multiaddr, dir network.Direction, speak protocol.ID) {
	if speak != silence {
		if err := w.ps.AddProtocols(id, "/ipfs/id/1.0.0", speak); err != nil {
			w.t.Error(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[id] = &worldConn{world: w, id: id, addr: addr, stat: network.ConnStats{Stats: network.Stats{Direction: dir, Opened: time.Now()}}}
}

func (w *world) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy++
	w.mostBusy = max(w.mostBusy, w.busy)
}

func (w *world) exit() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
}

// knock returns who is at an address, in the time that it takes.
func (w *world) knock(ctx context.Context, addr ma.Multiaddr) (resident, error) {
	w.mu.Lock()
	r, there := w.at[addr.String()]
	w.mu.Unlock()
	takes := handshakeTime
	if !there {
		takes = dialTimeout
	}
	select {
	case <-ctx.Done():
		return resident{}, ctx.Err()
	case <-time.After(takes):
	}
	if !there {
		return resident{}, errNobody
	}
	return r, nil
}

func (w *world) learn(ctx context.Context, addr ma.Multiaddr) (peer.ID, error) {
	w.enter()
	defer w.exit()
	w.mu.Lock()
	w.learns++
	w.mu.Unlock()
	r, err := w.knock(ctx, addr)
	return r.id, err
}

// worldHost is the host in a world.
type worldHost struct {
	host.Host
	*world
}

func (h worldHost) ID() peer.ID                    { return h.self }
func (h worldHost) Peerstore() peerstore.Peerstore { return h.ps }
func (h worldHost) Network() network.Network       { return worldNetwork{world: h.world} }

func (h worldHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	h.enter()
	defer h.exit()
	h.mu.Lock()
	h.dials++
	if h.dialling[info.ID]++; h.dialling[info.ID] > 1 {
		h.t.Errorf("%v is dialled twice at once", info.ID)
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.dialling[info.ID]--
	}()
	err := errNobody
	for _, addr := range info.Addrs {
		var r resident
		if r, err = h.knock(ctx, addr); err == nil && r.id == info.ID {
			h.connect(r.id, addr, network.DirOutbound, r.speak)
			return nil
		}
		if err == nil {
			err = errMismatch
		}
	}
	return err
}

type worldNetwork struct {
	network.Network
	*world
}

func (n worldNetwork) Connectedness(id peer.ID) network.Connectedness {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns[id] != nil {
		return network.Connected
	}
	return network.NotConnected
}

func (n worldNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.conns[id]; c != nil {
		return []network.Conn{c}
	}
	return nil
}

func (n worldNetwork) Conns() []network.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	var conns []network.Conn
	for _, c := range n.conns {
		conns = append(conns, c)
	}
	return conns
}

func (n worldNetwork) Peers() []peer.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []peer.ID
	for id := range n.conns {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

type worldConn struct {
	network.Conn
	world *world
	id    peer.ID
	addr  ma.Multiaddr
	stat  network.ConnStats
}

func (c *worldConn) Stat() network.ConnStats       { return c.stat }
func (c *worldConn) RemoteMultiaddr() ma.Multiaddr { return c.addr }

func (c *worldConn) Close() error {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	if c.world.conns[c.id] == c {
		delete(c.world.conns, c.id)
	}
	return nil
}
