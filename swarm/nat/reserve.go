package nat

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// wantedRelays is how many relays a node that can't be reached has: with two, there is one when the other dies.
	wantedRelays = 2
	// maxAddrsPerRelay is how many of a relay's addresses are told to others.
	maxAddrsPerRelay = 3
	// reserveTime bounds a reservation, connecting included.
	reserveTime = 5 * time.Second
	// refusedTime is how long a relay that did not take the node is left alone.
	refusedTime = 15 * time.Second
	// relayTag protects the connections to relays from being closed when there are many.
	relayTag = "folkmoot-relay"
)

// reserver keeps reservations at relays while the node needs them.
type reserver struct {
	t *Traversal

	mu      sync.Mutex
	held    map[peer.ID]*reservation // guarded by mu
	refused map[peer.ID]time.Time    // guarded by mu; until when
}

// reservation is the node's place at a relay.
type reservation struct {
	addrs          []ma.Multiaddr // that lead through it
	over           []network.Conn // the connections that there were when it was made; a relay forgets it when it has none left
	renew, expires time.Time
}

// lost says whether the relay was parted from since, though perhaps met again.
func (r *reservation) lost() bool {
	return !slices.ContainsFunc(r.over, func(c network.Conn) bool { return !c.IsClosed() })
}

func newReserver(t *Traversal) *reserver {
	return &reserver{t: t, held: make(map[peer.ID]*reservation), refused: make(map[peer.ID]time.Time)}
}

// addrs returns the addresses that lead through the relays.
func (r *reserver) addrs() []ma.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	var addrs []ma.Multiaddr
	for _, h := range r.held {
		addrs = append(addrs, h.addrs...)
	}
	slices.SortFunc(addrs, ma.Multiaddr.Compare)
	return addrs
}

// relays returns the relays that the node has a place at, sorted.
func (r *reserver) relays() []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []peer.ID
	for p := range r.held {
		ids = append(ids, p)
	}
	slices.Sort(ids)
	return ids
}

// run keeps as many reservations as are wanted until ctx ends.
func (r *reserver) run(ctx context.Context) {
	tick := time.NewTicker(scanInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.t.wake:
		}
		if r.scan(ctx) {
			r.t.apply()
		}
	}
}

// scan drops what is lost or not needed, renews, and makes what is missing. It says whether the addresses changed.
func (r *reserver) scan(ctx context.Context) (changed bool) {
	needed := r.t.judge.verdict().State == Unreachable
	for _, p := range r.relays() {
		if !needed || !r.keeps(p, time.Now()) {
			r.drop(p)
			changed = true
		}
	}
	if !needed {
		return changed
	}
	for _, info := range r.wanting(time.Now()) {
		err := r.take(ctx, info)
		switch {
		case ctx.Err() != nil:
			return changed
		case err != nil:
			r.t.logger.Debug("no place at a relay", "relay", info.ID, "error", err)
			changed = r.refuse(info.ID) || changed
		default:
			changed = true
		}
	}
	return changed
}

// keeps says whether a relay at which the node has a place can be said to keep it: it is connected, relays, and its time is not over.
func (r *reserver) keeps(p peer.ID, now time.Time) bool {
	r.mu.Lock()
	expires := r.held[p].expires
	r.mu.Unlock()
	return directConn(r.t.host.Network(), p) != nil && r.serves(p) && now.Before(expires)
}

// serves says whether a peer relays, as far as it has said. One that ends it says so, and stays connected.
func (r *reserver) serves(p peer.ID) bool {
	all, err := r.t.host.Peerstore().GetProtocols(p)
	return err != nil || len(all) == 0 || slices.Contains(all, swarm.RelayProtocol)
}

// wanting returns the relays at which a reservation is to be made or renewed now.
func (r *reserver) wanting(now time.Time) []peer.AddrInfo {
	offered := r.t.peers.Relays()
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, until := range r.refused {
		if now.After(until) {
			delete(r.refused, p)
		}
	}
	var wanted []peer.AddrInfo
	missing := wantedRelays - len(r.held)
	for _, info := range offered {
		h := r.held[info.ID]
		_, refused := r.refused[info.ID]
		switch {
		case h != nil && (now.After(h.renew) || h.lost()):
			wanted = append(wanted, info)
		case h == nil && !refused && missing > 0:
			wanted = append(wanted, info)
			missing--
		}
	}
	return wanted
}

// take makes or renews a reservation.
func (r *reserver) take(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, reserveTime)
	defer cancel()
	addrs, err := through(info)
	if err != nil {
		return err
	}
	if directConn(r.t.host.Network(), info.ID) == nil {
		if err := r.t.host.Connect(network.WithForceDirectDial(ctx, "relay"), info); err != nil {
			return fmt.Errorf("connect to the relay: %w", err)
		}
	}
	reserved, err := client.Reserve(ctx, r.t.host, peer.AddrInfo{ID: info.ID})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[info.ID] == nil {
		r.t.host.ConnManager().Protect(info.ID, relayTag)
		r.t.logger.Info("reachable through a relay", "relay", info.ID)
	}
	r.held[info.ID] = &reservation{
		addrs: addrs, over: r.t.host.Network().ConnsToPeer(info.ID), renew: time.Now().Add(max(time.Until(reserved.Expiration)/2, time.Minute)), expires: reserved.Expiration,
	}
	return nil
}

// refuse leaves a relay alone for a while, and says whether the node had a place there.
func (r *reserver) refuse(p peer.ID) (had bool) {
	r.mu.Lock()
	_, had = r.held[p]
	r.refused[p] = time.Now().Add(refusedTime)
	r.mu.Unlock()
	if had {
		r.drop(p)
	}
	return had
}

func (r *reserver) drop(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, p)
	r.t.host.ConnManager().Unprotect(p, relayTag)
	r.t.logger.Info("no longer reachable through a relay", "relay", p)
}

// through returns the addresses that lead through a relay: of those at which it says it is reached, the first few that others can dial.
func through(relay peer.AddrInfo) ([]ma.Multiaddr, error) {
	circuit, err := ma.NewMultiaddr(fmt.Sprintf("/p2p/%s/p2p-circuit", relay.ID))
	if err != nil {
		return nil, err
	}
	var addrs []ma.Multiaddr
	for _, transport := range []string{"quic-v1", "tcp", ""} { // one of each first
		for _, a := range relay.Addrs {
			t := swarm.TransportOf(a)
			if dialable(a) && (t == transport || transport == "") && len(addrs) < maxAddrsPerRelay && !ma.Contains(addrs, a.Encapsulate(circuit)) {
				addrs = append(addrs, a.Encapsulate(circuit))
				if transport != "" {
					break
				}
			}
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("the relay has no address that could be told to others")
	}
	return addrs, nil
}
