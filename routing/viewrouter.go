package routing

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

// viewRouter answers from the live view.
type viewRouter struct {
	host   host.Host
	viewer Viewer
}

// NewViewRouter returns a Router that asks nobody and answers from the live view alone, with the last known addresses of those that are away or
// dead.
func NewViewRouter(h host.Host, v Viewer) Router {
	return &viewRouter{host: h, viewer: v}
}

// FindPeer is fault.NotFound for a peer that is not in the view, and fault.Unavailable while the view holds nobody else who lives.
func (r *viewRouter) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	if err := ctx.Err(); err != nil {
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: %w", p, err)
	}
	if p == r.host.ID() {
		return peer.AddrInfo{ID: p, Addrs: r.host.Addrs()}, nil
	}
	v := r.viewer.View()
	if m, ok := v.Member(p); ok {
		info := peer.AddrInfo{ID: p, Addrs: m.Addrs}
		if len(info.Addrs) == 0 {
			info.Addrs = r.host.Peerstore().Addrs(p)
		}
		if len(info.Addrs) > 0 {
			return info, nil
		}
	}
	if v.Count(Alive) <= 1 {
		return peer.AddrInfo{}, fault.New(fault.Unavailable, "find %s: no other peer is alive", p)
	}
	return peer.AddrInfo{}, fault.New(fault.NotFound, "find %s: not in the network as this node sees it", p)
}

// ClosestPeers returns the closest of the members that are alive, and of the node itself.
func (r *viewRouter) ClosestPeers(ctx context.Context, key []byte, n int) ([]peer.ID, error) {
	if err := validateKey(key); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Unavailable, "closest peers: %w", err)
	}
	v := r.viewer.View()
	alive := make([]peer.ID, 0, len(v.Members))
	for i := range v.Members {
		if v.Members[i].State == Alive {
			alive = append(alive, v.Members[i].ID)
		}
	}
	return closest(alive, key, n), nil
}
