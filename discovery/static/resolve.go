package static

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// MaxResolved is how many addresses of one answer, and of one bootstrap address in all, are used.
	MaxResolved = 32
	// MaxResolveDepth is how often an answer may lead to another name: a /dnsaddr to a /dns4 to an address is two.
	MaxResolveDepth = 4
	// ResolveTimeout bounds the resolving of one bootstrap address.
	ResolveTimeout = 10 * time.Second
)

// Resolver resolves the first name in an address; an address without names comes back as it is.
type Resolver interface {
	Resolve(ctx context.Context, addr ma.Multiaddr) ([]ma.Multiaddr, error)
}

// resolve returns the addresses without names that addr leads to, and what kept it from finding all.
func resolve(ctx context.Context, resolver Resolver, addr ma.Multiaddr) ([]ma.Multiaddr, error) {
	var (
		done []ma.Multiaddr
		errs []error
	)
	todo := []ma.Multiaddr{addr}
	for range MaxResolveDepth {
		var next []ma.Multiaddr
		for _, a := range todo {
			if !named(a) {
				done = append(done, a)
				continue
			}
			answers, err := resolver.Resolve(ctx, a)
			if err != nil {
				errs = append(errs, err)
			}
			next = append(next, answers...)
		}
		todo = next[:min(len(next), MaxResolved)]
	}
	for _, a := range todo {
		if !named(a) {
			done = append(done, a)
		}
	}
	done = slices.DeleteFunc(done, func(a ma.Multiaddr) bool { return len(a) == 0 })
	return done[:min(len(done), MaxResolved)], errors.Join(errs...)
}

// named returns whether an address holds a name that is to be resolved here. TLS needs the name, so libp2p resolves that of
// a secure WebSocket itself, which it can where the peer's id is known.
func named(addr ma.Multiaddr) bool {
	if _, id := peer.SplitAddr(addr); id != "" && secureWebSocket(addr) && addr[0].Code() != ma.P_DNSADDR {
		return false
	}
	return slices.ContainsFunc(addr, func(c ma.Component) bool {
		switch c.Code() {
		case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
			return true
		}
		return false
	})
}

func secureWebSocket(addr ma.Multiaddr) bool {
	return slices.ContainsFunc(addr, func(c ma.Component) bool { return c.Code() == ma.P_WSS || c.Code() == ma.P_TLS })
}

// group gathers addresses by the peer that they name. Addresses that name none are one entry, since a name stands for
// one peer with several addresses, or for several of which any will do.
func group(addrs []ma.Multiaddr) []peer.AddrInfo {
	var peers []peer.AddrInfo
	for _, addr := range addrs {
		transport, id := peer.SplitAddr(addr)
		if len(transport) == 0 {
			continue
		}
		i := slices.IndexFunc(peers, func(p peer.AddrInfo) bool { return p.ID == id })
		if i < 0 {
			i = len(peers)
			peers = append(peers, peer.AddrInfo{ID: id})
		}
		peers[i].Addrs = append(peers[i].Addrs, transport)
	}
	return peers
}
