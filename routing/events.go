package routing

import (
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
)

// subscribe returns the host's events that matter to the membership.
func (m *Membership) subscribe() (event.Subscription, error) {
	events, err := m.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged), new(event.EvtLocalAddressesUpdated), new(event.EvtLocalProtocolsUpdated),
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to the host's events: %w", err)
	}
	return events, nil
}

func (m *Membership) handleEvent(e any) {
	ours := MembershipProtocol(m.cfg.Network)
	switch e := e.(type) {
	case event.EvtPeerIdentificationCompleted:
		if slices.Contains(e.Protocols, ours) {
			m.met(e.Peer)
		}
	case event.EvtPeerProtocolsUpdated:
		if slices.Contains(e.Added, ours) {
			m.met(e.Peer)
		}
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness == network.NotConnected {
			m.disconnected(e.Peer)
		}
	case event.EvtLocalAddressesUpdated:
		m.announceAddrs()
	case event.EvtLocalProtocolsUpdated:
		if slices.Contains(e.Added, swarm.RelayProtocol) || slices.Contains(e.Removed, swarm.RelayProtocol) {
			m.announceAddrs()
		}
	}
}

func (m *Membership) met(p peer.ID) {
	if !m.allows(p) {
		return
	}
	m.update(func(now time.Time) { m.machine.Met(now, p) })
}

// meetConnected introduces the peers that were connected before Run began.
func (m *Membership) meetConnected() {
	for _, p := range m.host.Network().Peers() {
		if spoken, err := m.host.Peerstore().SupportsProtocols(p, MembershipProtocol(m.cfg.Network)); err == nil && len(spoken) > 0 {
			m.met(p)
		}
	}
}

// disconnected has a peer probed whose last connection is gone. In a large network connections come and go, and only the loss of one
// that is kept on purpose means something.
func (m *Membership) disconnected(p peer.ID) {
	m.update(func(now time.Time) {
		if m.protected[p] {
			m.machine.ConnectionLost(now, p)
		}
	})
}

// keepAddrs puts a member's addresses into the peerstore, in place of those that it had before. mu is held.
func (m *Membership) keepAddrs(c *swim.Claim) {
	before := m.known[c.ID]
	if before == c || len(c.Addrs) == 0 {
		return
	}
	m.known[c.ID] = c
	store := m.host.Peerstore()
	if before != nil && !slices.EqualFunc(before.Addrs, c.Addrs, equalAddr) {
		store.ClearAddrs(c.ID)
		if moved(before.Addrs, c.Addrs) {
			// It moved. What is sent over connections to where it was is lost.
			m.tasks.Go(func() { m.disconnect(c.ID) })
		}
	}
	store.AddAddrs(c.ID, c.Addrs, memberAddrTTL)
}

// moved says whether a peer that was at some addresses is at others altogether. Those that lead through relays say nothing of where it is.
func moved(before, now []ma.Multiaddr) bool {
	direct := slices.DeleteFunc(slices.Clone(now), swarm.IsRelayed)
	had := false
	for _, a := range before {
		if swarm.IsRelayed(a) {
			continue
		}
		if had = true; slices.ContainsFunc(direct, a.Equal) {
			return false
		}
	}
	return had && len(direct) > 0
}

// forgetAddrs lets a former member's addresses expire. mu is held.
func (m *Membership) forgetAddrs(p peer.ID) {
	delete(m.known, p)
	m.host.Peerstore().UpdateAddrs(p, memberAddrTTL, candidateAddrTTL)
}
