package routing

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// allows says whether a peer may be in the view.
func (m *Membership) allows(p peer.ID) bool { return m.cfg.Allowed == nil || m.cfg.Allowed(p) }

// Evict removes from the view all that Config.Allowed does not allow any more, and closes their connections. For the others that is as if they had died.
func (m *Membership) Evict() {
	if m.cfg.Allowed == nil {
		return
	}
	m.update(func(now time.Time) {
		m.machine.Evict(now, m.allows)
	})
	for _, p := range m.host.Network().Peers() {
		if !m.allows(p) {
			if err := m.host.Network().ClosePeer(p); err != nil {
				m.logger.Debug("close the connections of a peer that is no member any more", "peer", p, "error", err)
			}
		}
	}
}
