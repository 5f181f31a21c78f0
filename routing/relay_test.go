package routing

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
)

func multiaddrs(texts ...string) []ma.Multiaddr {
	all := make([]ma.Multiaddr, len(texts))
	for i, t := range texts {
		all[i] = ma.StringCast(t)
	}
	return all
}

// That a peer relays is told beside its addresses, in a form that programs without relays read.
func TestClaimsTellOfRelays(t *testing.T) {
	network, err := swarm.OpenNetwork("relays")
	if err != nil {
		t.Fatal(err)
	}
	key := testKey(t)
	for _, relay := range []bool{false, true} {
		c, err := sealClaim(key, network, swim.Claim{Incarnation: 1, Relay: relay, Addrs: multiaddrs("/ip4/20.0.0.1/tcp/1", "/ip4/20.0.0.1/udp/1/quic-v1")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := openClaim(network, c.Sealed)
		if err != nil || got.Relay != relay || len(got.Addrs) != 2 {
			t.Errorf("relay %t: opened as %+v, %v", relay, got, err)
		}
	}
	if _, err := sealClaim(key, network, swim.Claim{Incarnation: 1, Addrs: multiaddrs("/p2p-circuit")}); err == nil {
		t.Error("the mark was taken for an address")
	}
}

func TestWhoMoved(t *testing.T) {
	const id = "/p2p/12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA/p2p-circuit"
	for _, c := range []struct {
		name        string
		before, now []string
		want        bool
	}{
		{"another address", []string{"/ip4/20.0.0.1/tcp/1"}, []string{"/ip4/20.0.0.2/tcp/1"}, true},
		{"one address stays", []string{"/ip4/20.0.0.1/tcp/1", "/ip4/20.0.0.2/tcp/1"}, []string{"/ip4/20.0.0.2/tcp/1"}, false},
		{"another relay", []string{"/ip4/20.0.0.1/tcp/1" + id}, []string{"/ip4/20.0.0.2/tcp/1" + id}, false},
		{"relayed from now on", []string{"/ip4/20.0.0.1/tcp/1"}, []string{"/ip4/20.0.0.2/tcp/1" + id}, false},
		{"moved, with the same relay", []string{"/ip4/10.0.0.1/tcp/1", "/ip4/20.0.0.2/tcp/1" + id}, []string{"/ip4/10.0.0.2/tcp/1", "/ip4/20.0.0.2/tcp/1" + id}, true},
	} {
		if got := moved(multiaddrs(c.before...), multiaddrs(c.now...)); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
