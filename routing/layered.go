package routing

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

// layeredRouter asks one router after the other.
type layeredRouter []Router

// NewLayeredRouter returns a Router that asks the given ones in order, and takes the first answer.
func NewLayeredRouter(routers ...Router) Router { return layeredRouter(routers) }

// FindPeer is fault.NotFound only when every router says so.
func (r layeredRouter) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	return first(r, func(router Router) (peer.AddrInfo, error) { return router.FindPeer(ctx, p) })
}

// ClosestPeers returns the first answer, which may be empty.
func (r layeredRouter) ClosestPeers(ctx context.Context, key []byte, n int) ([]peer.ID, error) {
	return first(r, func(router Router) ([]peer.ID, error) { return router.ClosestPeers(ctx, key, n) })
}

// ClosestPeersTo returns the first answer, which may be empty.
func (r layeredRouter) ClosestPeersTo(ctx context.Context, target [sha256.Size]byte, n int) ([]peer.AddrInfo, error) {
	return first(r, func(router Router) ([]peer.AddrInfo, error) { return router.ClosestPeersTo(ctx, target, n) })
}

// first returns the first answer. Without one the error has the kind that all errors share, or else fault.Unavailable, because
// whoever failed for another reason might have known.
func first[T any](routers []Router, ask func(Router) (T, error)) (T, error) {
	var none T
	var errs []error
	for _, r := range routers {
		answer, err := ask(r)
		if err == nil {
			return answer, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return none, fault.New(fault.Unavailable, "no router")
	}
	kind := fault.KindOf(errs[0])
	for _, err := range errs {
		if fault.KindOf(err) != kind {
			kind = fault.Unavailable
		}
	}
	if kind == fault.NotFound { // the last one looked the furthest
		return none, errs[len(errs)-1]
	}
	return none, fault.As(kind, errors.Join(errs...))
}
