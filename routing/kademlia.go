package routing

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2prouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// refreshBuckets is how often the routing table's buckets are refreshed, refreshTimeout bounds each lookup for that.
	refreshBuckets = 10 * time.Minute
	refreshTimeout = 10 * time.Second
	// walkKeySize is the size of the random key of a walk.
	walkKeySize = 32
)

// KademliaConfig configures a Kademlia.
type KademliaConfig struct {
	Host    host.Host
	Network swarm.NetworkID
	// Viewer says who is alive: Kademlia's own table keeps dead peers.
	Viewer Viewer
	Logger *slog.Logger // nil: silent
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *KademliaConfig) Validate() error {
	if c.Host == nil || c.Viewer == nil {
		return fault.New(fault.Invalid, "kademlia: Host and Viewer are needed")
	}
	return nil
}

// Kademlia finds peers by the iterative lookups of Kademlia (Maymounkov, Mazières, 2002), in libp2p's form (kad-dht 1.0.0), under the network's own
// protocol id. Every node is a server. kad-dht's own values and providers are switched off: those of foreign peers are kept by the record store, see ServeForeign.
type Kademlia struct {
	dht    *dht.IpfsDHT
	host   host.Host
	viewer Viewer
	logger *slog.Logger
	closed func() error
	// foreign answers others in place of dht.
	foreign *foreignServer
}

var _ PeerFinder = (*Kademlia)(nil)

// NewKademlia returns a Kademlia that answers others from here on. Close ends that.
func NewKademlia(cfg KademliaConfig) (*Kademlia, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	k := &Kademlia{host: cfg.Host, viewer: cfg.Viewer, logger: cfg.Logger}
	if k.logger == nil {
		k.logger = slog.New(slog.DiscardHandler)
	}
	d, err := dht.New(cfg.Host,
		dht.ProtocolPrefix(kademliaPrefix(cfg.Network)),
		dht.Mode(dht.ModeServer),
		dht.BootstrapPeers(),
		dht.DisableValues(),
		dht.DisableProviders(),
		dht.RoutingTableRefreshPeriod(refreshBuckets),
		dht.RoutingTableRefreshQueryTimeout(refreshTimeout),
		dht.QueryFilter(func(_ any, p peer.AddrInfo) bool { return k.worthAsking(p.ID) }),
	)
	if err != nil {
		return nil, fmt.Errorf("start Kademlia: %w", err)
	}
	k.dht = d
	k.foreign = newForeignServer(k, KademliaProtocol(cfg.Network))
	k.closed = sync.OnceValue(func() error {
		k.foreign.close()
		return d.Close()
	})
	return k, nil
}

// KademliaProtocol returns the id of the protocol that Kademlia speaks. Its streams are opened anew when they are reset.
func KademliaProtocol(n swarm.NetworkID) protocol.ID { return kademliaPrefix(n) + "/kad/1.0.0" }

// kademliaPrefix is what kad-dht puts before "/kad/1.0.0".
func kademliaPrefix(n swarm.NetworkID) protocol.ID { return protocol.ID("/folkmoot/" + n.String()) }

// worthAsking says whether a lookup may ask p: whoever the view does not know, and whoever it believes alive.
func (k *Kademlia) worthAsking(p peer.ID) bool {
	m, known := k.viewer.View().Member(p)
	return !known || m.State == Alive
}

// Close stops to answer. Run must have returned, or never been called.
func (k *Kademlia) Close() error { return k.closed() }

// Run keeps the routing table in step with the live view until ctx ends: who becomes alive is offered to it, and who dies is removed. It returns nil.
func (k *Kademlia) Run(ctx context.Context) error {
	states := make(map[peer.ID]State)
	for {
		changed := k.viewer.Changed()
		k.follow(states)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// follow applies to the routing table what has changed since states was taken, and updates states. The table calls back
// under its lock, so this is done on Run's goroutine alone.
func (k *Kademlia) follow(states map[peer.ID]State) {
	v := k.viewer.View()
	table := k.dht.RoutingTable()
	for i := range v.Members {
		m := &v.Members[i]
		if m.ID == v.Self || states[m.ID] == m.State {
			continue
		}
		states[m.ID] = m.State
		switch m.State {
		case Alive:
			if _, err := table.TryAddPeer(m.ID, true, true); err != nil {
				k.logger.Debug("not in the routing table", "peer", m.ID, "reason", err)
			}
		case Dead, Away:
			table.RemovePeer(m.ID)
		}
	}
	for p := range states {
		if _, known := v.Member(p); !known {
			delete(states, p)
			table.RemovePeer(p)
		}
	}
}

// FindPeer looks p up. Addresses of connected peers are returned without asking anybody.
func (k *Kademlia) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	if err := ctx.Err(); err != nil {
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: %w", p, err)
	}
	if p == k.host.ID() {
		return peer.AddrInfo{ID: p, Addrs: k.host.Addrs()}, nil
	}
	wanted := min(findQuorum, k.dht.RoutingTable().Size())
	answers := 0
	info, err := k.counting(ctx, &answers, func(ctx context.Context) (peer.AddrInfo, error) { return k.dht.FindPeer(ctx, p) })
	switch {
	case err == nil && len(info.Addrs) > 0:
		return info, nil
	case ctx.Err() != nil:
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: %w", p, ctx.Err())
	case answers < max(wanted, 1):
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: %d of %d peers answered", p, answers, wanted)
	case err == nil || errors.Is(err, libp2prouting.ErrNotFound):
		return peer.AddrInfo{}, fault.New(fault.NotFound, "find %s: none of %d peers knew it", p, answers)
	}
	return peer.AddrInfo{}, fmt.Errorf("find %s: %w", p, err)
}

// counting runs a lookup and counts the peers that answered it.
func (k *Kademlia) counting(ctx context.Context, answers *int, lookup func(context.Context) (peer.AddrInfo, error)) (peer.AddrInfo, error) {
	watched, cancel := context.WithCancel(ctx)
	watched, events := libp2prouting.RegisterForQueryEvents(watched)
	var counter sync.WaitGroup
	counter.Go(func() {
		for e := range events {
			if e.Type == libp2prouting.PeerResponse {
				*answers++
			}
		}
	})
	info, err := lookup(watched)
	cancel()
	counter.Wait()
	return info, err
}

// lookup returns the closest peers to key that are not known to be silent, this node not included.
func (k *Kademlia) lookup(ctx context.Context, key []byte) ([]peer.ID, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.As(fault.Unavailable, err)
	}
	found, err := k.dht.GetClosestPeers(ctx, string(key))
	switch {
	case errors.Is(err, kbucket.ErrLookupFailure): // the routing table is empty
	case ctx.Err() != nil:
		return nil, fault.As(fault.Unavailable, ctx.Err())
	case err != nil:
		return nil, err
	}
	return slices.DeleteFunc(found, func(p peer.ID) bool { return p == k.host.ID() || !k.worthAsking(p) }), nil
}

// Walk looks a random key up and returns the peers met with their addresses, those left out that are known to be silent.
func (k *Kademlia) Walk(ctx context.Context) ([]peer.AddrInfo, error) {
	key := make([]byte, walkKeySize)
	rand.Read(key)
	found, err := k.lookup(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("random walk: %w", err)
	}
	var infos []peer.AddrInfo
	for _, p := range found {
		if info := k.host.Peerstore().PeerInfo(p); len(info.Addrs) > 0 {
			infos = append(infos, info)
		}
	}
	return infos, nil
}
