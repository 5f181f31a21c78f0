package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/discovery"
	"github.com/folkmoot/folkmoot/discovery/discoverytest"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

// zone is a resolver with the answers that it was given; everything else is NXDOMAIN.
type zone struct {
	delay time.Duration

	mu    sync.Mutex
	hosts map[string][]string   // guarded by mu
	srvs  map[string][]*net.SRV // guarded by mu
}

func (z *zone) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if network != "ip" {
		return nil, fmt.Errorf("network %q", network)
	}
	if err := z.wait(ctx); err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.hosts[host] == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var ips []netip.Addr
	for _, s := range z.hosts[host] {
		ips = append(ips, netip.MustParseAddr(s))
	}
	return ips, nil
}

func (z *zone) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if service != "" || proto != "" {
		return "", nil, fmt.Errorf("service %q, proto %q", service, proto)
	}
	if err := z.wait(ctx); err != nil {
		return "", nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.srvs[name] == nil {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, z.srvs[name], nil
}

func (z *zone) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(z.delay):
		return nil
	}
}

func (z *zone) set(host string, ips ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.hosts == nil {
		z.hosts = make(map[string][]string)
	}
	z.hosts[host] = ips
}

func newFinder(t *testing.T, z *zone, names ...string) *Finder {
	t.Helper()
	f, err := New(Config{Names: names, Resolver: z})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestConformance(t *testing.T) {
	discoverytest.TestFinder(t, func(t *testing.T) discovery.Finder {
		z := &zone{delay: 3 * time.Millisecond}
		z.set("moot.default.svc", "10.0.0.1", "10.0.0.2")
		z.set("other", "fd00::1")
		return newFinder(t, z, "moot.default.svc", "other:5000", "absent")
	})
}

// A report is an address with the time since the start.
type report struct {
	at   time.Duration
	addr string
}

// collect runs f for d beside during and returns what it reported.
func collect(t *testing.T, f *Finder, d time.Duration, during func()) []report {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var (
		wg      sync.WaitGroup
		reports []report
	)
	wg.Go(during)
	if err := f.Find(ctx, func(p peer.AddrInfo) {
		if p.ID != "" || len(p.Addrs) != 1 {
			t.Errorf("reported %v, want one address without a peer id", p)
		}
		reports = append(reports, report{time.Since(start), p.Addrs[0].String()})
	}); err != nil {
		t.Errorf("Find: %v", err)
	}
	wg.Wait()
	return reports
}

func TestPodThatMovesIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{delay: time.Millisecond}
		const absent, moved, gone = time.Minute, 2*time.Minute + 3*time.Second, 4 * time.Minute
		reports := collect(t, newFinder(t, z, "moot"), 6*time.Minute, func() {
			time.Sleep(absent)
			z.set("moot", "10.0.0.1")
			time.Sleep(moved - absent)
			z.set("moot", "10.0.0.2")
			time.Sleep(gone - moved)
			z.set("moot")
			time.Sleep(time.Minute)
			z.set("moot", "10.0.0.2")
		})
		bounds := []struct {
			addr     string
			from, to time.Duration
			repeats  int
		}{
			{"/ip4/10.0.0.1/tcp/4242", absent, moved + DefaultInterval, 2},
			{"/ip4/10.0.0.2/tcp/4242", moved, gone + DefaultInterval, 3},
			{"/ip4/10.0.0.2/tcp/4242", gone + time.Minute, 6 * time.Minute, 2},
		}
		for _, b := range bounds {
			var in []report
			for _, r := range reports {
				if r.addr == b.addr && r.at >= b.from && r.at <= b.to {
					in = append(in, r)
				}
			}
			if len(in) < b.repeats || in[0].at > b.from+2*DefaultInterval {
				t.Errorf("%s from %v to %v: reported %v, want within %v and %d times", b.addr, b.from, b.to, in, 2*DefaultInterval, b.repeats)
			}
			if most := int((b.to-b.from)/RepeatInterval) + 1; len(in) > most {
				t.Errorf("%s from %v to %v: reported %d times, want at most %d", b.addr, b.from, b.to, len(in), most)
			}
		}
		if reports[0].addr != "/ip4/10.0.0.1/tcp/4242" || reports[0].at < absent {
			t.Errorf("first report %v", reports[0])
		}
	})
}

func TestLookup(t *testing.T) {
	many := make([]string, 2*MaxAnswers)
	for i := range many {
		many[i] = fmt.Sprintf("10.1.%d.%d", i/256, i%256)
	}
	z := &zone{
		hosts: map[string][]string{
			"plain":  {"10.0.0.1", "fd00::1", "10.0.0.1", "::ffff:10.0.0.2"},
			"bad":    {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1", "fe80::1%eth0", "fd00::1%eth0", "10.0.0.7"},
			"many":   many,
			"pods":   {"10.0.0.1", "10.0.0.3"},
			"pod-1.": {"10.0.0.1"},
			"pod-2.": {"10.0.0.2", "fd00::2"},
		},
		srvs: map[string][]*net.SRV{
			"_moot._tcp.pods": {{Target: "pod-1.", Port: 5001}, {Target: "pod-2.", Port: 5002}, {Target: "gone.", Port: 5003}},
			"_p2p._udp.x":     {{Target: "pod-1.", Port: 6001}, {Target: "", Port: 1}, {Target: "a b", Port: 1}, {Target: "pod-2.", Port: 0}},
		},
	}
	tests := []struct{ name, want string }{
		{"plain", "10.0.0.1:4242 [fd00::1]:4242 10.0.0.2:4242"},
		{"plain:7", "10.0.0.1:7 [fd00::1]:7 10.0.0.2:7"},
		{"bad", "10.0.0.7:4242"},
		{"absent", ""},
		{"pods", "10.0.0.1:5001 10.0.0.2:5002 [fd00::2]:5002 10.0.0.3:4242"},
		{"pods:80", "10.0.0.1:80 10.0.0.3:80"},
		{"_p2p._udp.x", "10.0.0.1:6001"},
	}
	for _, tt := range tests {
		f := newFinder(t, z, tt.name)
		var got []string
		addrs, _ := f.lookup(t.Context(), f.names[0])
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	f := newFinder(t, z, "many")
	if addrs, _ := f.lookup(t.Context(), f.names[0]); len(addrs) != MaxAnswers {
		t.Errorf("%d answers are used, want %d", len(addrs), MaxAnswers)
	}
}

// TestLookupOnce tells names without addresses from servers that don't answer.
func TestLookupOnce(t *testing.T) {
	z := &zone{hosts: map[string][]string{"moot": {"10.0.0.1"}, "useless": {"224.0.0.1"}}}
	got, err := Lookup(t.Context(), z, "moot")
	if err != nil || fmt.Sprint(got) != "[/ip4/10.0.0.1/tcp/4242]" {
		t.Errorf("found %v, %v", got, err)
	}
	for name, want := range map[string]fault.Kind{"absent": fault.NotFound, "_p2p._udp.x": fault.NotFound, "useless": fault.NotFound, "a b": fault.Invalid} {
		if got, err := Lookup(t.Context(), z, name); fault.KindOf(err) != want || len(got) > 0 {
			t.Errorf("%s: found %v, %v; want %v", name, got, err, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		if got, err := Lookup(t.Context(), &zone{delay: time.Hour}, "moot"); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("of a server that does not answer: %v, %v", got, err)
		}
	})
}

func TestSlowServerDoesNotStopPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{delay: time.Hour} // each lookup times out
		start := time.Now()
		f := newFinder(t, z, "moot")
		if got, err := f.lookup(t.Context(), f.names[0]); len(got) != 0 || err == nil {
			t.Errorf("found %v, %v", got, err)
		}
		if d := time.Since(start); d != LookupTimeout {
			t.Errorf("a lookup without an answer took %v, want %v", d, LookupTimeout)
		}
	})
}

func TestParseName(t *testing.T) {
	good := map[string]Name{
		"moot":                           {Host: "moot", Port: swarm.DefaultPort},
		"moot.default.svc.cluster.local": {Host: "moot.default.svc.cluster.local", Port: swarm.DefaultPort},
		"moot.:1":                        {Host: "moot.", Port: 1, PortGiven: true},
		"a_b-c.D9:65535":                 {Host: "a_b-c.D9", Port: 65535, PortGiven: true},
		"_moot._tcp.moot":                {Host: "_moot._tcp.moot", Port: swarm.DefaultPort},
	}
	for s, want := range good {
		if got, err := ParseName(s); err != nil || got != want || got.String() != s {
			t.Errorf("%q: %+v (%s), %v; want %+v", s, got, got, err, want)
		}
	}
	bad := []string{"", ".", "a..b", "-a", "a-", "a b", "a:", "a:0", "a:65536", "a:x", "a:1:2", ":4242", "_x._tcp.y:1", "10.0.0.1", "10.0.0.1:4242",
		"::1", "[::1]", "[::1]:4242", "fe80::1%eth0", "ä.de", "a/b", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a.b"}
	for _, s := range bad {
		if got, err := ParseName(s); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %+v, %v; want fault.Invalid", s, got, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, cfg := range []Config{
		{}, {Names: []string{"a", "b c"}}, {Names: slices.Repeat([]string{"a"}, MaxNames+1)}, {Names: []string{"a"}, Interval: -1},
	} {
		if _, err := New(cfg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: error %v, want fault.Invalid", cfg, err)
		}
	}
	if f, err := New(Config{Names: []string{"a"}}); err != nil || f.interval != DefaultInterval || f.resolver != Resolver(net.DefaultResolver) {
		t.Errorf("defaults: %+v, %v", f, err)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"moot", "moot:1", "_moot._tcp.moot", "a.b.", "10.0.0.1", "::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: error %v is not fault.Invalid", s, err)
			}
			return
		}
		if n.Port == 0 || len(n.Host) > maxNameSize+1 || len(n.srv()) > maxNameSize+1 || n.isSRV() && n.PortGiven {
			t.Fatalf("%q: %+v", s, n)
		}
		again, err := ParseName(n.String())
		if err != nil || again != n {
			t.Fatalf("%q reads %+v, whose text reads %+v, %v", s, n, again, err)
		}
	})
}
