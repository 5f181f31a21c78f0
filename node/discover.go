package node

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/folkmoot/folkmoot/discovery"
	"github.com/folkmoot/folkmoot/discovery/dns"
	"github.com/folkmoot/folkmoot/discovery/kademlia"
	"github.com/folkmoot/folkmoot/discovery/mdns"
	"github.com/folkmoot/folkmoot/discovery/peercache"
	"github.com/folkmoot/folkmoot/discovery/static"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

// cacheDelay is how long the view must have changed before the peer cache is written: changes come in bursts.
const cacheDelay = 2 * time.Second

func (n *Node) peerCachePath() string { return filepath.Join(n.cfg.Home, peersFile) }

// loadPeerCache reads the peer cache. A cache that can't be read costs only speed, so it is logged and left behind.
func (n *Node) loadPeerCache() {
	entries, err := peercache.Load(n.peerCachePath())
	if err != nil {
		n.cfg.Logger.Warn("read the peer cache; starting without it", "error", err)
	}
	n.cached = slices.DeleteFunc(entries, func(e peercache.Entry) bool { return e.ID == n.home.ID })
}

func (n *Node) rememberedPeers() []peer.AddrInfo {
	var peers []peer.AddrInfo
	for _, e := range n.cached {
		if n.members == nil || n.members.book.Allowed(e.ID) {
			peers = append(peers, peer.AddrInfo{ID: e.ID, Addrs: e.Addrs})
		}
	}
	return peers
}

// keepPeerCache writes the peer cache whenever the view changed, until ctx ends, and once more then.
func (n *Node) keepPeerCache(ctx context.Context) error {
	for {
		changed := n.membership.Changed()
		n.savePeerCache()
		select {
		case <-ctx.Done():
			n.savePeerCache()
			return nil
		case <-changed:
		}
		select {
		case <-ctx.Done():
		case <-time.After(cacheDelay):
		}
	}
}

// savePeerCache writes everybody who answered lately, whatever their state now: in a network that stands still they are the way back. Where nobody did, the
// old cache stays.
func (n *Node) savePeerCache() {
	var entries []peercache.Entry
	for _, m := range n.membership.View().Members {
		if m.ID != n.home.ID && !m.LastSeen.IsZero() && len(m.Addrs) > 0 {
			entries = append(entries, peercache.Entry{ID: m.ID, Addrs: m.Addrs, LastSeen: m.LastSeen})
		}
	}
	if len(entries) == 0 {
		return
	}
	if err := peercache.Save(n.peerCachePath(), entries); err != nil {
		n.cfg.Logger.Warn("write the peer cache", "error", err)
	}
}

func (n *Node) openDiscovery(crypto.PrivKey) (err error) {
	finders, err := n.finders()
	if err != nil {
		return err
	}
	n.connector, err = discovery.NewConnector(discovery.ConnectorConfig{
		Host:     n.host,
		Finders:  finders,
		Learn:    swarm.LearnPeerID,
		Protocol: routing.MembershipProtocol(n.home.NetworkID),
		Logger:   n.cfg.Logger.With("part", "discovery"),
	})
	if err != nil {
		return fmt.Errorf("open discovery: %w", err)
	}
	return nil
}

// finders makes the finders that the configuration asks for, and those that every node has.
func (n *Node) finders() ([]discovery.Finder, error) {
	log := n.cfg.Logger.With("part", "discovery")
	makers := []struct {
		wanted bool
		make   func() (discovery.Finder, error)
	}{
		{true, func() (discovery.Finder, error) {
			return peercache.New(peercache.Config{Entries: n.cached, Alone: n.alone, Logger: log})
		}},
		{true, func() (discovery.Finder, error) {
			return kademlia.New(kademlia.Config{Walker: n.kademlia, Known: n.othersAlive, Logger: log})
		}},
		{n.cfg.MDNS, func() (discovery.Finder, error) {
			return mdns.New(mdns.Config{Host: n.host, Network: n.home.NetworkID, Logger: log})
		}},
		{len(n.cfg.Bootstrap) > 0, func() (discovery.Finder, error) {
			return static.New(static.Config{Addrs: n.cfg.Bootstrap, Resolver: madns.DefaultResolver, Connected: discovery.ConnectedTo(n.host), Logger: log})
		}},
		{len(n.cfg.DNS) > 0, func() (discovery.Finder, error) {
			return dns.New(dns.Config{Names: n.cfg.DNS, Logger: log})
		}},
	}
	var finders []discovery.Finder
	for _, m := range makers {
		if !m.wanted {
			continue
		}
		f, err := m.make()
		if err != nil {
			return nil, err
		}
		finders = append(finders, f)
	}
	return finders, nil
}

// alone tells whether the node has no connection at all.
func (n *Node) alone() bool { return len(n.host.Network().Conns()) == 0 }
