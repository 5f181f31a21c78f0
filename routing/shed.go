package routing

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// shedInterval is how often connections are looked through that could be given up.
	shedInterval = 2 * time.Second
	// shedAfter is how old a connection must be: what it was made for may be about to begin.
	shedAfter = 5 * time.Second
)

// release gives up the stream to a peer that is not asked regularly, so that the connection can be given up.
func (m *Membership) release(p peer.ID) {
	m.mu.Lock()
	keep := m.protected[p] || !m.shedding
	m.mu.Unlock()
	if !keep {
		m.client.Release(p)
	}
}

// shed closes connections that this node made, that nobody uses, and that it does not keep on purpose, in a network too large for a full mesh. Those that others made
// they close themselves: they may be keeping them.
func (m *Membership) shed() {
	m.mu.Lock()
	shedding, protected := m.shedding, m.protected
	m.mu.Unlock()
	if !shedding {
		return
	}
	for _, c := range m.host.Network().Conns() {
		s := c.Stat()
		if time.Since(s.Opened) < shedAfter || protected[c.RemotePeer()] {
			continue
		}
		m.client.Release(c.RemotePeer())
		if s.Direction == network.DirOutbound && len(c.GetStreams()) == 0 {
			c.Close()
		}
	}
}
