package routing

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing/swim"
)

const (
	// fullMesh is the number of members up to which every connection between members is kept.
	fullMesh = 128
	// maxProtected is how many connections are kept on purpose in a larger network.
	maxProtected = 64
	// protectTag names the protection to libp2p's connection manager.
	protectTag = "folkmoot-membership"
	// memberAddrTTL keeps members' addresses in the peerstore until they are forgotten.
	memberAddrTTL = peerstore.PermanentAddrTTL
)

// protect tells the connection manager which connections it must not trim. mu is held.
func (m *Membership) protect() {
	manager := m.host.ConnManager()
	wanted := make(map[peer.ID]bool)
	for _, p := range chooseProtected(m.host.ID(), m.presentMembers()) {
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
	m.protected = wanted
}

func (m *Membership) presentMembers() []peer.ID {
	var ids []peer.ID
	for _, mem := range m.machine.Members(nil) {
		if mem.State == swim.Alive || mem.State == swim.Suspect {
			ids = append(ids, mem.Claim.ID)
		}
	}
	return ids
}

// chooseProtected returns all of members, or maxProtected of them in a network too large for a full mesh. It ranks pairs by a hash
// that both sides compute alike, so that many connections are kept by both.
func chooseProtected(self peer.ID, members []peer.ID) []peer.ID {
	if len(members) <= fullMesh {
		return members
	}
	type ranked struct {
		rank [sha256.Size]byte
		id   peer.ID
	}
	all := make([]ranked, 0, len(members))
	for _, id := range members {
		all = append(all, ranked{sha256.Sum256([]byte(min(self, id) + max(self, id))), id})
	}
	slices.SortFunc(all, func(a, b ranked) int { return bytes.Compare(a.rank[:], b.rank[:]) })
	chosen := make([]peer.ID, 0, maxProtected)
	for _, r := range all[:maxProtected] {
		chosen = append(chosen, r.id)
	}
	return chosen
}

func equalAddr(a, b ma.Multiaddr) bool { return a.Equal(b) }
