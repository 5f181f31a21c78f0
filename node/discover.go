package node

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

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

// rememberedPeers reads the peer cache. A cache that can't be read costs only speed, so it is logged and left behind.
func (n *Node) rememberedPeers() []peer.AddrInfo {
	entries, err := peercache.Load(n.peerCachePath())
	if err != nil {
		n.cfg.Logger.Warn("read the peer cache; starting without it", "error", err)
		return nil
	}
	peers := make([]peer.AddrInfo, 0, len(entries))
	for _, e := range entries {
		if e.ID != n.home.ID {
			peers = append(peers, peer.AddrInfo{ID: e.ID, Addrs: e.Addrs})
		}
	}
	return peers
}

// keepPeerCache writes the peers that are alive to the peer cache whenever the view changed, until ctx ends, and once more then.
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

// savePeerCache keeps the old cache while nobody else is alive: it is the way back.
func (n *Node) savePeerCache() {
	var entries []peercache.Entry
	for _, m := range n.membership.View().Members {
		if m.ID != n.home.ID && m.State == routing.Alive && len(m.Addrs) > 0 {
			entries = append(entries, peercache.Entry{ID: m.ID, Addrs: m.Addrs, Seen: m.LastSeen})
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
	cached := peercache.NewFinder(n.host, n.rememberedPeers())
	walker := kademlia.NewFinder(n.kademlia, log)
	finders := []discovery.Finder{cached, walker}
	if n.cfg.MDNS {
		finders = append(finders, mdns.NewFinder(n.host, n.home.NetworkID, log))
	}
	if len(n.cfg.Bootstrap) > 0 {
		f, err := static.NewFinder(n.host, n.cfg.Bootstrap, log)
		if err != nil {
			return nil, fmt.Errorf("bootstrap: %w", err)
		}
		finders = append(finders, f)
	}
	if len(n.cfg.DNS) > 0 {
		f, err := dns.NewFinder(n.cfg.DNS, log)
		if err != nil {
			return nil, fmt.Errorf("dns: %w", err)
		}
		finders = append(finders, f)
	}
	return finders, nil
}
