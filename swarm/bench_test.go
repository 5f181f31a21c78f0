package swarm

import (
	"testing"

	"github.com/libp2p/go-libp2p"
	ma "github.com/multiformats/go-multiaddr"
)

// BenchmarkNewHost is what starting and stopping a host costs.
func BenchmarkNewHost(b *testing.B) {
	cfg := Config{Key: newKey(b), Network: testNetwork(b), Listen: []ma.Multiaddr{ma.StringCast(transports["tcp"]), ma.StringCast(transports["quic-v1"])}}
	for b.Loop() {
		h, err := NewHost(cfg)
		if err != nil {
			b.Fatal(err)
		}
		h.Close()
	}
}

// BenchmarkLibp2pDefaults is what BenchmarkNewHost is compared with.
func BenchmarkLibp2pDefaults(b *testing.B) {
	for b.Loop() {
		h, err := libp2p.New(libp2p.ListenAddrStrings(transports["tcp"], transports["quic-v1"]))
		if err != nil {
			b.Fatal(err)
		}
		h.Close()
	}
}
