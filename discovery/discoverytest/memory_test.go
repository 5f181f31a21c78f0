package discoverytest

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery"
)

func TestMemory(t *testing.T) {
	TestFinder(t, func(t *testing.T) discovery.Finder {
		m := NewMemory("memory")
		m.Set(peer.AddrInfo{ID: test.RandPeerIDFatal(t), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/4242")}})
		return m
	})
}
