package routing

import (
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// protectTag names the protection to libp2p's connection manager.
	protectTag = "folkmoot-membership"
	// memberAddrTTL keeps members' addresses in the peerstore until they are forgotten.
	memberAddrTTL = peerstore.PermanentAddrTTL
)

// protect tells the connection manager which connections it must not trim. mu is held.
func (m *Membership) protect() {
	manager := m.host.ConnManager()
	wanted := make(map[peer.ID]bool)
	neighbours, all := m.machine.Neighbours()
	for _, p := range neighbours {
		wanted[p] = true
		if !m.protected[p] {
			manager.Protect(p, protectTag)
		}
	}
	for p := range m.protected {
		if !wanted[p] {
			manager.Unprotect(p, protectTag)
		}
	}
	m.protected, m.shedding = wanted, !all || m.machine.Partial()
}

func equalAddr(a, b ma.Multiaddr) bool { return a.Equal(b) }
