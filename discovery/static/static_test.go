package static

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery"
	"github.com/folkmoot/folkmoot/discovery/discoverytest"
	"github.com/folkmoot/folkmoot/fault"
)

// names is a resolver with fixed answers by the text of the address.
type names struct {
	mu      sync.Mutex
	answers map[string][]string // guarded by mu
}

func (n *names) Resolve(_ context.Context, addr ma.Multiaddr) ([]ma.Multiaddr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	texts, ok := n.answers[addr.String()]
	if !ok {
		return nil, errors.New("no such name")
	}
	var addrs []ma.Multiaddr
	for _, s := range texts {
		addrs = append(addrs, ma.StringCast(s))
	}
	return addrs, nil
}

func (n *names) set(addr string, answers ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[addr] = answers
}

func never(peer.AddrInfo) bool { return false }

func newFinder(t *testing.T, connected func(peer.AddrInfo) bool, resolver Resolver, addrs ...string) *Finder {
	t.Helper()
	cfg := Config{Resolver: resolver, Connected: connected}
	for _, s := range addrs {
		cfg.Addrs = append(cfg.Addrs, ma.StringCast(s))
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestConformance(t *testing.T) {
	id := test.RandPeerIDFatal(t)
	discoverytest.TestFinder(t, func(t *testing.T) discovery.Finder {
		resolver := &names{answers: map[string][]string{"/dns4/boot/tcp/4242": {"/ip4/10.0.0.3/tcp/4242"}}}
		return newFinder(t, never, resolver, "/ip4/10.0.0.1/tcp/4242/p2p/"+id.String(), "/ip4/10.0.0.2/tcp/4242", "/dns4/boot/tcp/4242")
	})
}

// collect runs f for d and returns what it reported in that time, in order, with the time since the start.
func collect(t *testing.T, f *Finder, d time.Duration, during func()) (reports []string, at []time.Duration) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var wg sync.WaitGroup
	if during != nil {
		wg.Go(during)
	}
	if err := f.Find(ctx, func(p peer.AddrInfo) {
		reports = append(reports, fmt.Sprint(p.Addrs))
		at = append(at, time.Since(start))
	}); err != nil {
		t.Errorf("Find: %v", err)
	}
	wg.Wait()
	return reports, at
}

func TestReportsRarelyButForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFinder(t, never, &names{}, "/ip4/10.0.0.1/tcp/4242")
		_, at := collect(t, f, time.Hour, nil)
		if len(at) == 0 || at[0] != 0 {
			t.Fatalf("reported at %v, want the first at once", at)
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < RepeatBase || gap > RepeatLimit*3/2 {
				t.Errorf("reports %d and %d are %v apart, want %v to %v", i-1, i, gap, RepeatBase, RepeatLimit*3/2)
			}
		}
		if n := len(at); n < 20 || n > 40 {
			t.Errorf("%d reports in an hour, want about 25", n)
		}
	})
}

func TestConnectedPeerIsReportedOnceItIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		connected := func(peer.AddrInfo) bool {
			since := time.Since(start)
			return since > time.Second && since < 30*time.Minute
		}
		f := newFinder(t, connected, &names{}, "/ip4/10.0.0.1/tcp/4242")
		_, at := collect(t, f, 31*time.Minute, nil)
		if len(at) < 2 || at[0] != 0 || at[1] < 30*time.Minute || at[1] > 30*time.Minute+CheckInterval {
			t.Errorf("reported at %v, want at once and then when the peer was lost", at)
		}
	})
}

func TestNamesAreResolvedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver := &names{answers: map[string][]string{}}
		f := newFinder(t, never, resolver, "/dns4/boot/tcp/4242")
		reports, _ := collect(t, f, time.Hour, func() {
			time.Sleep(10 * time.Minute) // the name does not exist yet
			resolver.set("/dns4/boot/tcp/4242", "/ip4/10.0.0.1/tcp/4242")
			time.Sleep(20 * time.Minute)
			resolver.set("/dns4/boot/tcp/4242", "/ip4/10.0.0.2/tcp/4242")
		})
		want := []string{"[/ip4/10.0.0.1/tcp/4242]", "[/ip4/10.0.0.2/tcp/4242]"}
		if got := slices.Compact(reports); !slices.Equal(got, want) {
			t.Errorf("reported %v, want %v", got, want)
		}
	})
}

func TestResolve(t *testing.T) {
	a, b := test.RandPeerIDFatal(t).String(), test.RandPeerIDFatal(t).String()
	resolver := &names{answers: map[string][]string{
		"/dnsaddr/net":                {"/dns4/a/tcp/1/p2p/" + a, "/ip4/10.0.0.2/tcp/2/p2p/" + b, "/ip4/10.0.0.2/udp/2/quic-v1/p2p/" + b},
		"/dns4/a/tcp/1/p2p/" + a:      {"/ip4/10.0.0.1/tcp/1/p2p/" + a},
		"/dnsaddr/loop":               {"/dnsaddr/loop", "/dnsaddr/loop"},
		"/dnsaddr/wss":                {"/dns4/a/tcp/443/tls/ws/p2p/" + a},
		"/dns4/a/tcp/443/tls/ws":      {"/ip4/10.0.0.1/tcp/443/tls/ws"},
		"/dnsaddr/half":               {"/ip4/10.0.0.9/tcp/9", "/dns4/gone/tcp/1"},
		"/dns6/many/udp/1/quic-v1":    slices.Repeat([]string{"/ip6/fd00::1/udp/1/quic-v1"}, 5*MaxResolved),
		"/dns/both/tcp/4242/p2p/" + b: {"/ip4/10.0.0.2/tcp/4242/p2p/" + b, "/ip6/fd00::2/tcp/4242/p2p/" + b},
	}}
	tests := []struct {
		addr string
		want []string // peer id, space, addresses
		fail bool
	}{
		{addr: "/ip4/10.0.0.1/tcp/4242", want: []string{" [/ip4/10.0.0.1/tcp/4242]"}},
		{addr: "/dnsaddr/net", want: []string{b + " [/ip4/10.0.0.2/tcp/2 /ip4/10.0.0.2/udp/2/quic-v1]", a + " [/ip4/10.0.0.1/tcp/1]"}},
		{addr: "/dns/both/tcp/4242/p2p/" + b, want: []string{b + " [/ip4/10.0.0.2/tcp/4242 /ip6/fd00::2/tcp/4242]"}},
		{addr: "/dnsaddr/loop", want: nil},
		{addr: "/dnsaddr/wss", want: []string{a + " [/dns4/a/tcp/443/tls/ws]"}},
		{addr: "/dns4/a/tcp/443/tls/ws", want: []string{" [/ip4/10.0.0.1/tcp/443/tls/ws]"}},
		{addr: "/dnsaddr/half", want: []string{" [/ip4/10.0.0.9/tcp/9]"}, fail: true},
		{addr: "/dnsaddr/absent", fail: true},
	}
	for _, tt := range tests {
		addrs, err := resolve(t.Context(), resolver, ma.StringCast(tt.addr))
		var got []string
		for _, p := range group(addrs) {
			got = append(got, fmt.Sprint(p.ID, " ", p.Addrs))
		}
		if !slices.Equal(got, tt.want) || (err != nil) != tt.fail {
			t.Errorf("%s resolves to %q, %v; want %q", tt.addr, got, err, tt.want)
		}
	}
	addrs, err := resolve(t.Context(), resolver, ma.StringCast("/dns6/many/udp/1/quic-v1"))
	if len(addrs) != MaxResolved || err != nil {
		t.Errorf("a name with very many answers resolves to %d, %v; want %d", len(addrs), err, MaxResolved)
	}
}

func TestValidate(t *testing.T) {
	id := test.RandPeerIDFatal(t).String()
	for _, good := range []string{"/ip4/1.2.3.4/tcp/1", "/dnsaddr/x", "/dnsaddr/x/p2p/" + id, "/ip6/::1/udp/1/quic-v1/p2p/" + id,
		"/ip4/1.2.3.4/tcp/1/p2p/" + id + "/p2p-circuit/p2p/" + id} {
		if err := validate(ma.StringCast(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"/p2p/" + id, "/ip4/1.2.3.4", "/dns4/x", "/unix/a", "/ip4/1.2.3.4/tcp/1/p2p/" + id + "/p2p-circuit"} {
		if err := validate(ma.StringCast(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error %v, want fault.Invalid", bad, err)
		}
	}
	for _, cfg := range []Config{
		{Resolver: &names{}, Connected: never},
		{Resolver: &names{}, Connected: never, Addrs: make([]ma.Multiaddr, MaxAddrs+1)},
		{Resolver: &names{}, Connected: never, Addrs: make([]ma.Multiaddr, 1)},
		{Connected: never, Addrs: []ma.Multiaddr{ma.StringCast("/dnsaddr/x")}},
	} {
		if _, err := New(cfg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: error %v, want fault.Invalid", cfg, err)
		}
	}
}
