package routing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
)

// findQuorum is how many peers must have answered before "none knew" means that a peer does not exist; fewer are enough where fewer are known.
const findQuorum = 3

// PeerFinder finds the addresses of a peer; see Router.FindPeer.
type PeerFinder interface {
	FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error)
}

// Finder is a Router that can also be made to ask, and tells what the closest peers say of themselves.
type Finder interface {
	Router
	// Seek is FindPeer for another peer than the node itself, and asks others even where the view holds it.
	Seek(ctx context.Context, p peer.ID) (peer.AddrInfo, error)
	// Closest is like ClosestPeersTo and returns all that the peers say of themselves. State is Alive, and Since is when they were found.
	Closest(ctx context.Context, target [sha256.Size]byte, n int) ([]Member, error)
}

// finder makes a Finder of a way to seek the peers nearest to a point.
type finder struct {
	m *Membership
	// others is asked for peers that no member knows; nil: nobody.
	others PeerFinder
	// seek returns what was learnt of the n peers nearest to target, those that count as alive in the state answered, and how many others answered. It is fault.Unavailable when ctx ended.
	seek func(ctx context.Context, target [sha256.Size]byte, n int) (s *search, answers int, err error)
}

// FindPeer seeks p unless it is in the view and alive.
func (f *finder) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	if err := ctx.Err(); err != nil {
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: %w", p, err)
	}
	if p == f.m.host.ID() {
		return peer.AddrInfo{ID: p, Addrs: f.m.host.Addrs()}, nil
	}
	if m, ok := f.m.View().Member(p); ok && m.State == Alive && len(m.Addrs) > 0 {
		return peer.AddrInfo{ID: p, Addrs: m.Addrs}, nil
	}
	return f.Seek(ctx, p)
}

// Seek asks others for p.
func (f *finder) Seek(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	s, answers, err := f.seek(ctx, sha256.Sum256([]byte(p)), 1)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("find %s: %w", p, err)
	}
	if _, i, found := s.place(p); found && len(s.contacts[i].claim.Addrs) > 0 {
		return peer.AddrInfo{ID: p, Addrs: s.contacts[i].claim.Addrs}, nil
	}
	if f.others != nil {
		if info, err := f.others.FindPeer(ctx, p); err == nil {
			return info, nil
		}
	}
	if answers < max(1, min(findQuorum, len(s.contacts)-1)) {
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: %d peers answered", p, answers)
	}
	return peer.AddrInfo{}, fault.New(fault.NotFound, "find %s: none of %d peers knew it", p, answers)
}

// ClosestPeers seeks the closest peers to key.
func (f *finder) ClosestPeers(ctx context.Context, key []byte, n int) ([]peer.ID, error) {
	if err := validateKey(key); err != nil {
		return nil, err
	}
	members, err := f.Closest(ctx, sha256.Sum256(key), n)
	if err != nil {
		return nil, err
	}
	ids := make([]peer.ID, 0, len(members))
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return ids, nil
}

// ClosestPeersTo seeks the closest peers to target.
func (f *finder) ClosestPeersTo(ctx context.Context, target [sha256.Size]byte, n int) ([]peer.AddrInfo, error) {
	members, err := f.Closest(ctx, target, n)
	if err != nil {
		return nil, err
	}
	infos := make([]peer.AddrInfo, 0, len(members))
	for _, m := range members {
		infos = append(infos, peer.AddrInfo{ID: m.ID, Addrs: m.Addrs})
	}
	return infos, nil
}

// Closest seeks the closest peers to target.
func (f *finder) Closest(ctx context.Context, target [sha256.Size]byte, n int) ([]Member, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Unavailable, "closest peers: %w", err)
	}
	s, _, err := f.seek(ctx, target, n)
	if err != nil {
		return nil, fmt.Errorf("closest peers: %w", err)
	}
	now := time.Now()
	var members []Member
	for _, c := range s.found(n) {
		members = append(members, newMember(&swim.Member{Claim: c, State: Alive, Since: now, LastSeen: now}))
	}
	return members, nil
}
