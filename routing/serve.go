package routing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
)

// handle answers a request. An error costs the peer its stream.
func (m *Membership) handle(ctx context.Context, from peer.ID, request []byte) ([]byte, error) {
	if len(request) == 0 {
		return nil, errMalformed
	}
	m.meter.received(len(request))
	response, err := m.answer(ctx, from, messageKind(request[0]), request[1:])
	if err != nil {
		m.logger.Debug("membership request refused", "peer", from, "error", err)
		return nil, err
	}
	data, err := encode(response)
	m.meter.sent(len(data))
	return data, err
}

func (m *Membership) answer(ctx context.Context, from peer.ID, k messageKind, data []byte) (body, error) {
	switch k {
	case kindPing:
		return m.handlePing(from, data)
	case kindAsk:
		return m.handleAsk(ctx, from, data)
	case kindProve:
		return m.handleProve(from, data)
	case kindSummary:
		return m.handleSummary(from, data)
	case kindTrade:
		return m.handleTrade(from, data)
	case kindClosest:
		return m.handleClosest(from, data)
	}
	return nil, fmt.Errorf("%w: kind %d", errMalformed, k)
}

func errTooOften(what string) error { return fault.New(fault.Forbidden, "%s too often", what) }

func (m *Membership) handlePing(from peer.ID, data []byte) (body, error) {
	if !m.limits.allow(from, limitPings) {
		return nil, errTooOften("pings")
	}
	var g gossip
	if err := decode(data, &g); err != nil {
		return nil, err
	}
	msg, err := m.open(from, &g)
	if err != nil {
		return nil, err
	}
	if !m.allows(from) {
		return nil, fault.New(fault.Forbidden, "not a member of the network")
	}
	m.update(func(now time.Time) {
		m.machine.Receive(now, from, msg)
		m.machine.Met(now, from)
	})
	return m.compose(from), nil
}

func (m *Membership) handleSummary(from peer.ID, data []byte) (body, error) {
	if !m.limits.allow(from, limitSyncs) {
		return nil, errTooOften("summaries")
	}
	var r summaryRequest
	if err := decode(data, &r); err != nil {
		return nil, err
	}
	page := summarize(m.entries(), &r)
	page.Partial = m.View().Partial
	return page, nil
}

func (m *Membership) handleTrade(from peer.ID, data []byte) (body, error) {
	if !m.limits.allow(from, limitSyncs) {
		return nil, errTooOften("trades")
	}
	var t trade
	if err := decode(data, &t); err != nil {
		return nil, err
	}
	claims, _, err := m.verify(from, t.Claims)
	if err != nil {
		return nil, err
	}
	// What is handed over are members that the other side believes present, whether or not their claims are news.
	var offered []swim.Entry
	for _, c := range t.Claims {
		offered = append(offered, c.Entry)
	}
	_, present, departed := m.compare(offered)
	m.update(func(now time.Time) { m.machine.Learn(now, from, claims, present) })
	answer := m.claimsOf(append(t.Wanted, departed...))
	return &trade{Claims: answer[:min(len(answer), tradeClaims)]}, nil
}

// entries names the claims that this node holds, sorted by peer.
func (m *Membership) entries() []swim.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Entries()
}

// claimsOf returns the claims of those of the given peers that are known.
func (m *Membership) claimsOf(ids []peer.ID) []sealedClaim {
	m.mu.Lock()
	defer m.mu.Unlock()
	var claims []*swim.Claim
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if c := m.machine.Claim(id); c != nil && c.Sealed != nil {
			claims = append(claims, c)
		}
	}
	return sealedOf(claims)
}
