package routing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
)

const (
	// askTimeout bounds the question to one peer, dialling included.
	askTimeout = 1500 * time.Millisecond
	// maxClosest is the most peers in one answer.
	maxClosest = 20
)

// LookupConfig configures a Lookup.
type LookupConfig struct {
	Membership *Membership
	// Others is asked for peers that no member knows; nil: nobody.
	Others PeerFinder
}

// Lookup is the iterative Router: it finds peers by Kademlia's iterative lookups over the membership protocol, whether or not the view holds them. Everything that it hears is signed by
// whom it is about, and whom it finds has answered it. Its methods may be called from many goroutines, while the Membership runs and before.
type Lookup struct{ finder }

var _ Finder = (*Lookup)(nil)

// NewLookup returns a Lookup. It fails with fault.Invalid without a Membership.
func NewLookup(cfg LookupConfig) (*Lookup, error) {
	if cfg.Membership == nil {
		return nil, fault.New(fault.Invalid, "lookup: Membership is needed")
	}
	m := cfg.Membership
	return &Lookup{finder{m: m, others: cfg.Others, seek: func(ctx context.Context, target [sha256.Size]byte, n int) (*search, int, error) {
		s, err := m.search(ctx, target, n)
		if err != nil {
			return nil, 0, err
		}
		return s, s.answers() - 1, nil
	}}}, nil
}

// reply is what a peer said in a search: the claims of the closest peers to the target that it knows, unless err.
type reply struct {
	contact *contact
	claims  []sealedClaim
	err     error
}

// search looks the n closest peers to target up. It is fault.Unavailable when ctx ended or too many peers had to be asked.
func (m *Membership) search(ctx context.Context, target [sha256.Size]byte, n int) (*search, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.As(fault.Unavailable, err)
	}
	s := m.newSearch(target, n)
	if err := m.ask(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// ask asks the nearest peers of s that have not answered, and those that they tell of, until the nearest have all answered. It is fault.Unavailable as search is.
func (m *Membership) ask(ctx context.Context, s *search) error {
	ctx, cancel := context.WithCancel(ctx)
	var asks sync.WaitGroup
	defer asks.Wait()
	defer cancel()
	replies := make(chan reply, maxAsked)
	slow := time.NewTicker(slowAnswer)
	defer slow.Stop()
	for {
		for _, c := range s.next(time.Now()) {
			asks.Go(func() {
				claims, err := m.askClosest(ctx, c.claim, s.target)
				replies <- reply{c, claims, err}
			})
		}
		if done, complete := s.done(); complete {
			return nil
		} else if done {
			return fault.New(fault.Unavailable, "%d peers were asked, and there are still nearer ones", s.asked)
		}
		select {
		case r := <-replies:
			m.takeIn(s, r)
		case <-slow.C:
		case <-ctx.Done():
			return fault.As(fault.Unavailable, ctx.Err())
		}
	}
}

// newSearch returns a search that knows the closest of the view. This node need not be asked.
func (m *Membership) newSearch(target [sha256.Size]byte, n int) *search {
	s := newSearch(target, n)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.machine.Closest(target, s.width) {
		s.hear(c)
	}
	s.hear(m.machine.Self()).state = answered
	return s
}

// takeIn takes in what a peer said of others that may be in the view. Who passes on a claim that nobody signed is not believed at all.
func (m *Membership) takeIn(s *search, r reply) {
	if r.err != nil {
		m.logger.Debug("a lookup goes on without a peer", "peer", r.contact.id, "error", r.err)
		r.contact.state = failed
		return
	}
	var claims []*swim.Claim
	for _, sealed := range r.claims {
		if !m.allows(sealed.ID) || !s.wants(sealed.ID, sealed.Incarnation) || !m.limits.allow(r.contact.id, limitClaims) {
			continue
		}
		c, err := openSealed(m.cfg.Network, r.contact.id, sealed)
		if err != nil {
			m.logger.Debug("a peer's answer to a lookup is dropped", "peer", r.contact.id, "error", err)
			r.contact.state = failed
			return
		}
		claims = append(claims, c)
	}
	r.contact.state = answered
	for _, c := range claims {
		if c.Departure != swim.Left {
			s.hear(c).depth = r.contact.depth + 1
		}
	}
}

// askClosest asks a peer for the closest peers to target that it knows.
func (m *Membership) askClosest(ctx context.Context, whom *swim.Claim, target [sha256.Size]byte) ([]sealedClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if _, err := m.connect(ctx, whom.ID, whom.Addrs); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", whom.ID, err)
	}
	request, err := encodeRequest(kindClosest, &closestRequest{Target: target, Count: maxClosest})
	if err != nil {
		return nil, err
	}
	response, err := m.call(ctx, whom.ID, request)
	if err != nil {
		return nil, err
	}
	var answer closestAnswer
	if err := decode(response, &answer); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", whom.ID, err)
	}
	return answer.Claims, nil
}

// handleClosest tells which peers this node knows to be alive and close to a point.
func (m *Membership) handleClosest(from peer.ID, data []byte) (body, error) {
	if !m.limits.allow(from, limitLookups) {
		return nil, errTooOften("lookups")
	}
	var r closestRequest
	if err := decode(data, &r); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &closestAnswer{Claims: sealedOf(m.machine.Closest(r.Target, int(r.Count)))}, nil
}
