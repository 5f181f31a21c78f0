package routing

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
)

// announceParallel is how many peers are told of an absence or a departure at once.
const announceParallel = 64

// claim returns what the node says of itself now, unsigned. mu is held, or m is not shared yet.
func (m *Membership) claim(incarnation uint64) swim.Claim {
	return swim.Claim{
		Incarnation: incarnation, Away: m.away, Departure: m.departure, Addrs: announcedAddrs(m.host.Addrs()), Relay: m.relays(), Zone: m.cfg.Zone, Version: m.cfg.Version,
	}
}

// relays says whether the host relays for others now.
func (m *Membership) relays() bool {
	return slices.Contains(m.host.Mux().Protocols(), swarm.RelayProtocol)
}

// announcedAddrs returns the addresses that are worth telling to others, sorted. Loopback addresses are told only when there are no
// others: elsewhere they lead to another program.
func announcedAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		return len(a.Bytes()) > maxAddrSize || manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a)
	})
	if slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) }) {
		addrs = slices.DeleteFunc(addrs, manet.IsIPLoopback)
	}
	// Sorted after the cut: the host lists the most useful first.
	addrs = addrs[:min(len(addrs), maxAddrs-1)] // the mark of a relay takes a place
	slices.SortFunc(addrs, compareAddrs)
	return slices.CompactFunc(addrs, func(a, b ma.Multiaddr) bool { return a.Equal(b) })
}

// reannounce makes a new claim with an incarnation above the given one. Incarnations begin with the clock's milliseconds, so that they grow
// over restarts. mu is held.
func (m *Membership) reannounce(above uint64) {
	if above == math.MaxUint64 {
		return
	}
	now := time.Now()
	c, err := sealClaim(m.cfg.Key, m.cfg.Network, m.claim(max(above+1, uint64(now.UnixMilli()))))
	if err != nil {
		m.logger.Error("can't sign what this node says of itself", "error", err)
		return
	}
	m.machine.Announce(now, c)
}

// announceAddrs tells others when the node's addresses have changed, or whether it relays.
func (m *Membership) announceAddrs() {
	m.update(func(time.Time) {
		self := m.machine.Self()
		if self.Relay == m.relays() && slices.EqualFunc(self.Addrs, announcedAddrs(m.host.Addrs()), ma.Multiaddr.Equal) {
			return
		}
		m.reannounce(self.Incarnation)
		m.refreshed = time.Time{}
		m.logger.Debug("own addresses changed", "addrs", m.machine.Self().Addrs, "relay", m.machine.Self().Relay)
	})
}

// AnnounceAbsence tells all peers that are connected, and through them the others, that this node stops and expects to be back within grace, up to
// swim.MaxAbsence. Their views show it as Away meanwhile, and as Dead afterwards. It returns when everybody was told or ctx ended; the error is
// fault.Unavailable when somebody was not. It may be called while Run runs, and after it, but not after Close.
func (m *Membership) AnnounceAbsence(ctx context.Context, grace time.Duration) error {
	grace = grace.Truncate(time.Millisecond)
	if grace <= 0 || grace > swim.MaxAbsence {
		return fault.New(fault.Invalid, "absence of %v: want more than 0 and at most %v", grace, swim.MaxAbsence)
	}
	return m.announce(ctx, "absence", func() { m.away = grace })
}

// AnnounceLeave tells all peers that are connected, and through them the others, that this node hands over what it holds and goes for good. All views,
// its own included, show it as Leaving from then on, until the program ends. What it returns, and when it may be called, is as with AnnounceAbsence.
func (m *Membership) AnnounceLeave(ctx context.Context) error {
	return m.announce(ctx, "departure", func() { m.departure = max(m.departure, swim.Leaving) })
}

// AnnounceLeft tells all peers that are connected, and through them the others, that this node is gone for good. They forget it at once and know it again
// only when it says that it is back, as its next run does. It is the last that a node says. What it returns, and when it may be called, is as with AnnounceAbsence.
func (m *Membership) AnnounceLeft(ctx context.Context) error {
	return m.announce(ctx, "departure", func() { m.away, m.departure = 0, swim.Left })
}

// announce makes a new claim after set, which runs under mu, and brings it to everybody who is connected.
func (m *Membership) announce(ctx context.Context, what string, set func()) error {
	m.update(func(time.Time) {
		set()
		m.reannounce(m.machine.Self().Incarnation)
		m.republish()
	})
	var told errgroup.Group
	told.SetLimit(announceParallel)
	wanted := 0
	for _, p := range m.present() {
		if m.host.Network().Connectedness(p) != network.Connected {
			continue
		}
		wanted++
		told.Go(func() error {
			_, _, err := m.ping(ctx, p, nil)
			return err
		})
	}
	if err := told.Wait(); err != nil {
		return fault.New(fault.Unavailable, "tell %d peers of the %s: %w", wanted, what, err)
	}
	return nil
}

// present lists the members that take part in the network.
func (m *Membership) present() []peer.ID {
	var ids []peer.ID
	v := m.View()
	for i := range v.Members {
		if mem := &v.Members[i]; mem.ID != v.Self && (mem.State == Alive || mem.State == Suspect) {
			ids = append(ids, mem.ID)
		}
	}
	return ids
}
