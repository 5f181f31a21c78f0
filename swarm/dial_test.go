package swarm

import (
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func TestTCPIsDialledFirst(t *testing.T) {
	const quic, tcp, tcp6, ws = "/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/tcp/1", "/ip4/10.0.0.1/tcp/2/ws"
	for _, c := range []struct {
		name  string
		addrs []string
		first string
	}{
		{"all kinds", []string{quic, ws, tcp}, tcp},
		{"both versions", []string{quic, tcp, tcp6}, tcp6},
		{"no TCP", []string{quic, ws}, quic},
	} {
		var addrs []ma.Multiaddr
		for _, a := range c.addrs {
			addrs = append(addrs, ma.StringCast(a))
		}
		delays := map[string]time.Duration{}
		for _, d := range rankTCPFirst(addrs) {
			delays[d.Addr.String()] = d.Delay
		}
		if len(delays) != len(addrs) {
			t.Fatalf("%s: %d of %d addresses are dialled", c.name, len(delays), len(addrs))
		}
		for a, delay := range delays {
			if a != c.first && delay <= delays[c.first] {
				t.Errorf("%s: %s after %v, not after %s at %v", c.name, a, delay, c.first, delays[c.first])
			}
			if TransportOf(ma.StringCast(a)) != "tcp" && c.first != quic && delay < tcpHeadStart {
				t.Errorf("%s: %s after %v, want at least %v", c.name, a, delay, tcpHeadStart)
			}
		}
	}
}
