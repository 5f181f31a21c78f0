package routing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// maxCalls is the most requests of one peer that are under way at once.
	maxCalls = 64
	// streamIdle is how long a stream without calls is kept. It is longer than a round of probes through LargeNetwork members.
	streamIdle = 2 * time.Minute
	// candidateAddrTTL is how long a candidate's addresses stay in the peerstore.
	candidateAddrTTL = 2 * time.Minute
	// freshConn is the age up to which a peer's newest connection is kept though probes failed: those went over older ones, or there was none.
	freshConn = 2 * time.Second
)

// probe carries out a direct probe and reports how it went.
func (m *Membership) probe(ctx context.Context, a swim.Probe) {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	answer, rtt, err := m.ping(ctx, a.Target, a.Addrs)
	defer m.release(a.Target)
	m.meter.probed(err)
	if err != nil {
		m.update(func(now time.Time) { m.machine.Failed(now, a.ID, errors.Is(err, syscall.ECONNREFUSED)) })
		return
	}
	m.update(func(now time.Time) {
		m.machine.Receive(now, a.Target, answer)
		m.machine.Answered(now, a.ID, rtt)
	})
}

// ping makes one exchange of gossip with a peer and returns what it answered, with the time that took. The time is 0 where a connection had to be made.
// A stream that turns out to be broken is replaced once.
func (m *Membership) ping(ctx context.Context, target peer.ID, addrs []ma.Multiaddr) (swim.Message, time.Duration, error) {
	dialled, err := m.connect(ctx, target, addrs)
	if err != nil {
		return swim.Message{}, 0, fmt.Errorf("connect to %s: %w", target, err)
	}
	request, err := encodeRequest(kindPing, m.compose(target))
	if err != nil {
		return swim.Message{}, 0, fmt.Errorf("encode a ping: %w", err)
	}
	start := time.Now()
	response, err := m.call(ctx, target, request)
	if errors.Is(err, rpc.ErrStreamLost) && ctx.Err() == nil {
		dialled = true
		if _, err := m.connect(ctx, target, nil); err != nil {
			return swim.Message{}, 0, fmt.Errorf("connect to %s again: %w", target, err)
		}
		response, err = m.call(ctx, target, request)
	}
	if err != nil {
		return swim.Message{}, 0, err
	}
	rtt := time.Since(start)
	if dialled {
		rtt = 0
	}
	var g gossip
	if err := decode(response, &g); err != nil {
		return swim.Message{}, 0, fmt.Errorf("answer of %s: %w", target, err)
	}
	answer, err := m.open(target, &g)
	return answer, rtt, err
}

// call makes a request and counts its bytes.
func (m *Membership) call(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
	m.meter.sent(len(request))
	response, err := m.client.Call(ctx, to, request)
	m.meter.received(len(response))
	return response, err
}

// connect makes sure that target is connected and reports whether that took a dial. The dial ignores the back-off that earlier failures led to: probes have a pace of their own. Where the way to the
// target may lead through relays, these are tried beside its own addresses, which may be of another site and swallow every packet.
func (m *Membership) connect(ctx context.Context, target peer.ID, addrs []ma.Multiaddr) (dialled bool, err error) {
	if m.host.Network().Connectedness(target) == network.Connected {
		return false, nil
	}
	store := m.host.Peerstore()
	store.AddAddrs(target, addrs, candidateAddrTTL)
	if slices.ContainsFunc(store.Addrs(target), swarm.IsRelayed) {
		swarm.ForgetFailures(m.host, target)
		return true, m.host.Connect(ctx, peer.AddrInfo{ID: target})
	}
	return true, m.host.Connect(network.WithForceDirectDial(ctx, "membership probe"), peer.AddrInfo{ID: target})
}

// compose returns the gossip for a peer.
func (m *Membership) compose(to peer.ID) *gossip {
	m.mu.Lock()
	msg := m.machine.Compose(to)
	m.mu.Unlock()
	return &gossip{Incarnation: msg.Incarnation, Known: msg.Known, Claims: sealedOf(msg.Claims), Rumours: msg.Rumours}
}

// open verifies the claims in a peer's gossip. Claims that are no news are left out unverified.
func (m *Membership) open(from peer.ID, g *gossip) (swim.Message, error) {
	claims, stale, err := m.verify(from, g.Claims)
	return swim.Message{Incarnation: g.Incarnation, Known: g.Known, Claims: claims, Rumours: g.Rumours, Stale: stale}, err
}

// verify returns those claims that are news, and the names of the others. An error says that from passed on what nobody signed.
func (m *Membership) verify(from peer.ID, sealed []sealedClaim) (claims []*swim.Claim, stale []swim.Entry, err error) {
	news, stale := m.news(sealed)
	for _, s := range news {
		if !m.limits.allow(from, limitClaims) {
			m.logger.Debug("too many claims", "peer", from)
			break
		}
		c, err := openSealed(m.cfg.Network, from, s)
		if err != nil {
			return nil, nil, err
		}
		if m.allows(c.ID) {
			claims = append(claims, c)
		}
	}
	return claims, stale, nil
}

// openSealed verifies a claim that from passed on.
func openSealed(network swarm.NetworkID, from peer.ID, s sealedClaim) (*swim.Claim, error) {
	c, err := openClaim(network, s.Sealed)
	if err != nil {
		return nil, fmt.Errorf("claim passed on by %s: %w", from, err)
	}
	if c.ID != s.ID || c.Incarnation != s.Incarnation {
		return nil, fault.New(fault.Invalid, "claim passed on by %s is not what it is said to be", from)
	}
	return c, nil
}

// news returns the claims that the machine does not have, and the names of the others.
func (m *Membership) news(sealed []sealedClaim) (news []sealedClaim, stale []swim.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range sealed {
		if m.machine.Wants(s.ID, s.Incarnation) {
			news = append(news, s)
		} else {
			stale = append(stale, s.Entry)
		}
	}
	return news, stale
}

// disconnect closes the connections to a peer that carry nothing any more: all, but for the newest while it is fresh. Left open they would be preferred to a new one,
// since libp2p opens streams where the most are open.
func (m *Membership) disconnect(p peer.ID) {
	conns := m.host.Network().ConnsToPeer(p)
	slices.SortFunc(conns, func(a, b network.Conn) int { return b.Stat().Opened.Compare(a.Stat().Opened) })
	for i, c := range conns {
		if i > 0 || time.Since(c.Stat().Opened) > freshConn {
			c.Close()
		}
	}
}
