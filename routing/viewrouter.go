package routing

import (
	"context"
	"crypto/sha256"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
)

// viewRouter answers from the live view.
type viewRouter struct {
	host   host.Host
	viewer Viewer
}

// NewViewRouter returns a Router that asks nobody and answers from the live view alone, with the last known addresses of those that are away or
// dead. What a partial view does not hold it can't tell, which is fault.Unavailable.
func NewViewRouter(h host.Host, v Viewer) Router {
	return &viewRouter{host: h, viewer: v}
}

// FindPeer is fault.NotFound for a peer that is not in the view, and fault.Unavailable while the view is partial or holds nobody else who lives.
func (r *viewRouter) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	if err := ctx.Err(); err != nil {
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: %w", p, err)
	}
	if p == r.host.ID() {
		return peer.AddrInfo{ID: p, Addrs: r.host.Addrs()}, nil
	}
	v := r.viewer.View()
	if m, ok := v.Member(p); ok {
		if info := (peer.AddrInfo{ID: p, Addrs: r.addrs(&m)}); len(info.Addrs) > 0 {
			return info, nil
		}
	}
	switch {
	case v.Partial:
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: not in the part of the network that this node keeps in view", p)
	case v.Count(Alive) <= 1:
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: no other peer is alive", p)
	}
	return peer.AddrInfo{}, fault.New(fault.NotFound, "find %s: not in the network as this node sees it", p)
}

// addrs returns what is known of a member's addresses.
func (r *viewRouter) addrs(m *Member) []ma.Multiaddr {
	switch {
	case m.ID == r.host.ID():
		return r.host.Addrs()
	case len(m.Addrs) > 0:
		return m.Addrs
	}
	return r.host.Peerstore().Addrs(m.ID)
}

// ClosestPeers returns the closest of the members that are alive, and of the node itself.
func (r *viewRouter) ClosestPeers(ctx context.Context, key []byte, n int) ([]peer.ID, error) {
	if err := validateKey(key); err != nil {
		return nil, err
	}
	_, nearest, err := r.closest(ctx, sha256.Sum256(key), n)
	return nearest, err
}

// ClosestPeersTo returns the closest of the members that are alive, and of the node itself.
func (r *viewRouter) ClosestPeersTo(ctx context.Context, target [sha256.Size]byte, n int) ([]peer.AddrInfo, error) {
	v, nearest, err := r.closest(ctx, target, n)
	if err != nil {
		return nil, err
	}
	infos := make([]peer.AddrInfo, 0, len(nearest))
	for _, p := range nearest {
		m, _ := v.Member(p)
		infos = append(infos, peer.AddrInfo{ID: p, Addrs: r.addrs(&m)})
	}
	return infos, nil
}

func (r *viewRouter) closest(ctx context.Context, target [sha256.Size]byte, n int) (*View, []peer.ID, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fault.New(fault.Unavailable, "closest peers: %w", err)
	}
	v := r.viewer.View()
	if v.Partial {
		return nil, nil, fault.New(fault.Unavailable, "closest peers: this node keeps only a part of the network in view")
	}
	return v, v.Nearest(target, n), nil
}
