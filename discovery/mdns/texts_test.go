package mdns

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"
)

func addrs(texts ...string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range texts {
		out = append(out, ma.StringCast(s))
	}
	return out
}

func TestAnnounceable(t *testing.T) {
	relay := "/p2p/" + test.RandPeerIDFatal(t).String() + "/p2p-circuit"
	var many []string
	for i := range 2 * maxAnnounced {
		many = append(many, fmt.Sprintf("/ip4/10.0.0.%d/tcp/4242", i+1))
	}
	tests := []struct {
		name     string
		all      []string
		announce []string
	}{
		{"none", nil, nil},
		{"loopback only", []string{"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"}, []string{"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"}},
		{"loopback beside others", []string{"/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"}, []string{"/ip4/10.0.0.1/tcp/1"}},
		{"unreachable from the link", []string{"/ip6/fe80::1/tcp/1", "/ip6zone/eth0/ip6/fe80::1/tcp/1", "/ip4/0.0.0.0/tcp/1", "/dns4/x/tcp/1", "/ip4/10.0.0.1"}, nil},
		{"for browsers and relays", []string{"/ip4/10.0.0.1/tcp/1/ws", "/ip4/10.0.0.1/udp/1/quic-v1/webtransport", "/ip4/10.0.0.1/udp/1/webrtc-direct",
			"/ip4/10.0.0.1/tcp/1" + relay, "/ip4/10.0.0.1/udp/1/quic-v1"}, []string{"/ip4/10.0.0.1/udp/1/quic-v1"}},
		{"very many", many, many[:maxAnnounced]},
	}
	for _, tt := range tests {
		if got := announceable(addrs(tt.all...)); !slices.EqualFunc(got, addrs(tt.announce...), ma.Multiaddr.Equal) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.announce)
		}
	}
}

func TestParseReadsWhatIsAnnounced(t *testing.T) {
	id := test.RandPeerIDFatal(t)
	want := peer.AddrInfo{ID: id, Addrs: addrs("/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/udp/1/quic-v1")}
	got := parse(texts(id, want.Addrs))
	if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestParsePassesOver(t *testing.T) {
	id := test.RandPeerIDFatal(t).String()
	for _, s := range []string{"", "dnsaddr=", "dnsaddr=x", "/ip4/10.0.0.1/tcp/1/p2p/" + id, "dnsaddr=/ip4/10.0.0.1/tcp/1", "dnsaddr=/p2p/" + id,
		"dnsaddr=/dns4/x/tcp/1/p2p/" + id, "dnsaddr=/dnsaddr/x/p2p/" + id, "dnsaddr=/ip4/10.0.0.1/p2p/" + id,
		"dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + id + "/p2p-circuit/p2p/" + id, "dnsaddr=/ip4/10.0.0.1/tcp/1/http-path/" + strings.Repeat("a", 200) + "/p2p/" + id} {
		if got := parse([]string{s}); got != nil {
			t.Errorf("%q reads as %v", s, got)
		}
	}
	good := "dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + id
	if got := parse([]string{"v=1", good, good}); len(got) != 1 || len(got[0].Addrs) != 1 {
		t.Errorf("an address among other attributes reads as %v", got)
	}
	if got := parse(append(make([]string, maxTexts), good)); got != nil {
		t.Errorf("a string over the bound was read: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	const id = "12D3KooWEXGYgevjAFWs1iNMmriw3qZYVbEUeE9V7RVhgQ97gUSV"
	f.Add("dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + id + "\ndnsaddr=/ip6/fd00::1/udp/1/quic-v1/p2p/" + id)
	f.Add("dnsaddr=/ip6zone/x/ip6/fe80::1/tcp/1/p2p/" + id)
	f.Add("x=y\n\ndnsaddr=")
	f.Fuzz(func(t *testing.T, s string) {
		peers := parse(strings.Split(s, "\n"))
		var again []string
		for _, p := range peers {
			if p.ID == "" || len(p.Addrs) == 0 {
				t.Fatalf("reads as %v", p)
			}
			for _, a := range p.Addrs {
				if !suitable(a) {
					t.Fatalf("%v is not for a link", a)
				}
			}
			again = append(again, texts(p.ID, p.Addrs)...)
		}
		if len(again) > maxTexts {
			t.Fatalf("%d addresses", len(again))
		}
		for _, text := range again {
			if len(text) > maxTextSize {
				return // a short form of an address may have a longer canonical one
			}
		}
		if got := parse(again); len(again) > 0 && !reflect.DeepEqual(got, peers) {
			t.Fatalf("%v, announced again, reads as %v", peers, got)
		}
	})
}
