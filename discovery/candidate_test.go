package discovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func TestCandidates(t *testing.T) {
	self, a, b := peerN(0), peerN(1), peerN(2)
	relay := "/ip4/10.0.0.9/tcp/1/p2p/" + b.String() + "/p2p-circuit"
	var many, want []string
	for i := range 2 * maxAddrsExamined {
		many = append(many, addrN(i+1).String())
	}
	for _, s := range many[:MaxAddrsPerPeer] {
		want = append(want, " "+s)
	}
	tests := []struct {
		name  string
		id    peer.ID
		addrs []string
		want  []string // peer id, space, addresses
	}{
		{"known", a, []string{"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1"}, []string{a.String() + " /ip4/10.0.0.1/tcp/1 /ip4/10.0.0.1/udp/1/quic-v1"}},
		{"unknown", "", []string{"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.1/tcp/1"}, []string{" /ip4/10.0.0.1/tcp/1", " /ip4/10.0.0.2/tcp/1"}},
		{"named by its addresses", "", []string{"/ip4/10.0.0.1/tcp/1/p2p/" + a.String(), "/ip4/10.0.0.2/tcp/1/p2p/" + b.String(), "/ip4/10.0.0.3/tcp/1/p2p/" + a.String()},
			[]string{a.String() + " /ip4/10.0.0.1/tcp/1 /ip4/10.0.0.3/tcp/1", b.String() + " /ip4/10.0.0.2/tcp/1"}},
		{"ids that differ", a, []string{"/ip4/10.0.0.1/tcp/1/p2p/" + b.String(), "/ip4/10.0.0.1/tcp/2/p2p/" + a.String()}, []string{a.String() + " /ip4/10.0.0.1/tcp/2"}},
		{"ourselves", self, []string{"/ip4/10.0.0.1/tcp/1"}, nil},
		{"ourselves by address", "", []string{"/ip4/10.0.0.1/tcp/1/p2p/" + self.String()}, nil},
		{"no addresses", a, nil, nil},
		{"an id that is none", "x", []string{"/ip4/10.0.0.1/tcp/1"}, nil},
		{"an id too long", peer.ID(strings.Repeat("x", 1000)), []string{"/ip4/10.0.0.1/tcp/1"}, nil},
		{"nobody there", a, []string{"/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "/ip4/224.0.0.1/tcp/1", "/ip6/ff02::1/udp/1/quic-v1", "/ip6/::ffff:0.0.0.0/tcp/1", "/ip4/10.0.0.1/tcp/0",
			"/ip4/10.0.0.1", "/p2p/" + a.String(), "/unix/x", "/dnsaddr/x/tcp/1"}, nil},
		{"IPv6, zones and names", a, []string{"/ip6/fd00::1/tcp/1", "/ip6zone/eth0/ip6/fe80::1/tcp/1", "/dns4/x/tcp/1"},
			[]string{a.String() + " /ip6/fd00::1/tcp/1 /ip6zone/eth0/ip6/fe80::1/tcp/1 /dns4/x/tcp/1"}},
		{"relay", a, []string{relay}, []string{a.String() + " " + relay}},
		{"somebody behind a relay", "", []string{relay}, nil},
		{"too long", a, []string{"/dns4/" + strings.Repeat("x", MaxAddrSize) + "/tcp/1"}, nil},
		{"very many", a, many, []string{a.String() + " " + strings.Join(many[:MaxAddrsPerPeer], " ")}},
		{"very many unknown", "", many, want},
		{"good after very many bad", a, append(slices.Repeat([]string{"/ip4/0.0.0.0/tcp/1"}, maxAddrsExamined), "/ip4/10.0.0.1/tcp/1"), nil},
	}
	for _, tt := range tests {
		info := peer.AddrInfo{ID: tt.id}
		for _, s := range tt.addrs {
			info.Addrs = append(info.Addrs, ma.StringCast(s))
		}
		var got []string
		for _, c := range candidates(info, self) {
			got = append(got, strings.TrimRight(strings.Trim(fmt.Sprint(c.addrs), "[]"), " "))
			got[len(got)-1] = c.id.String() + " " + got[len(got)-1]
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := candidates(peer.AddrInfo{ID: a, Addrs: []ma.Multiaddr{nil, {}}}, self); got != nil {
		t.Errorf("empty addresses: %v", got)
	}
}

// FuzzCandidates feeds addresses in the binary form in which other peers send them.
func FuzzCandidates(f *testing.F) {
	f.Add(ma.StringCast("/ip4/10.0.0.1/tcp/1").Bytes(), ma.StringCast("/ip6/fd00::1/udp/1/quic-v1/p2p/"+peerN(1).String()).Bytes(), []byte(nil))
	f.Add(ma.StringCast("/ip4/10.0.0.1/tcp/1/p2p/"+peerN(1).String()+"/p2p-circuit").Bytes(), []byte{}, []byte(peerN(2)))
	f.Fuzz(func(t *testing.T, first, second, id []byte) {
		info := peer.AddrInfo{ID: peer.ID(id)}
		for _, b := range [][]byte{first, second} {
			if addr, err := ma.NewMultiaddrBytes(b); err == nil {
				info.Addrs = append(info.Addrs, addr)
			}
		}
		self := peerN(0)
		found := candidates(info, self)
		for _, c := range found {
			if c.id == self || len(c.addrs) == 0 || c.id == "" && len(c.addrs) != 1 || info.ID != "" && c.id != info.ID {
				t.Fatalf("candidate %v of report %v", c, info)
			}
			for _, addr := range c.addrs {
				if _, last := peer.SplitAddr(addr); !usable(addr) || last != "" {
					t.Fatalf("address %v", addr)
				}
			}
			again := candidates(peer.AddrInfo{ID: c.id, Addrs: c.addrs}, self)
			if len(again) != 1 || again[0].id != c.id || !slices.EqualFunc(again[0].addrs, c.addrs, ma.Multiaddr.Equal) {
				t.Fatalf("candidate %v becomes %v when it is reported", c, again)
			}
		}
	})
}
