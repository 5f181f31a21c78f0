package swim

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Evict forgets the members and candidates that are not allowed any more. The caller hands in no claims of such peers, so that they don't come back.
func (m *Machine) Evict(now time.Time, allowed func(peer.ID) bool) {
	m.advance(now)
	m.candidates.drop(func(c *candidate) bool { return !allowed(c.id) })
	for _, mem := range slices.Clone(m.roster) {
		if !allowed(mem.id()) {
			m.forget(mem)
		}
	}
	m.pump()
}
