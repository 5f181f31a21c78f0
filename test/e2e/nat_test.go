//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// natPatience bounds waits for what relays and hole punches lead to.
	natPatience = 30 * time.Second
	// takeoverTime is the time promised until another relay has taken over.
	takeoverTime = 15 * time.Second
	// ratesPatience is how long a pair has for a direct connection from its start, when rates are measured.
	ratesPatience = 15 * time.Second
	// natTriesVariable is how many pairs of nodes TestHolePunchRates starts; it is not run where the variable is not set.
	natTriesVariable = "MOOT_NAT_TRIES"
)

// overTCP and overQUIC are the options with which a node listens on one transport.
func overTCP(port int) string  { return fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port) }
func overQUIC(port int) string { return fmt.Sprintf("/ip4/0.0.0.0/udp/%d/quic-v1", port) }

// A natLab is an internet with two peers that anybody can dial, and sites behind NATs.
type natLab struct {
	t        *testing.T
	lab      *netns.Lab
	internet *netns.Link
	hosts    []*netns.Host // of relays
	relays   []*peer
	extra    []string // options of all peers
}

func newNATLab(t *testing.T) *natLab {
	t.Helper()
	needs(t, namespaces, nats)
	l := &natLab{t: t, lab: newLab(t)}
	var err error
	l.internet, err = l.lab.PublicLink("internet")
	check(t, err)
	return l.withRelays()
}

// newWAN returns a lab whose middle has private addresses too, as the network between a company's sites.
func newWAN(t *testing.T) *natLab {
	t.Helper()
	needs(t, namespaces, nats)
	l := &natLab{t: t, lab: newLab(t), extra: []string{"--private-wan"}}
	l.internet = newLink(t, l.lab, "wan")
	return l.withRelays()
}

func (l *natLab) withRelays() *natLab {
	for i := range 2 {
		l.hosts = append(l.hosts, newHost(l.t, l.lab, fmt.Sprint("relay", i), l.internet))
	}
	return l
}

// startRelays starts the public peers. Nobody tells them to relay: each finds out from the other that it can be dialled.
func (l *natLab) startRelays(args ...string) {
	l.t.Helper()
	for i, h := range l.hosts {
		p := newPeer(l.t, h, fmt.Sprint("relay", i), append(l.options("/ip4/0.0.0.0/tcp/4242", overQUIC(4242)), args...)...)
		check(l.t, p.Start())
		l.relays = append(l.relays, p)
	}
	for _, p := range l.relays {
		p.waitReady()
		eventually(l.t, natPatience, func() error {
			if r := p.status().Reachability; r.State != "reachable" || r.Relaying == nil {
				return fmt.Errorf("%s: %+v", p.name, r)
			}
			return nil
		})
	}
}

// options are those of a peer that listens on the given addresses and knows the public ones, by QUIC where it listens on nothing else.
func (l *natLab) options(listen ...string) []string {
	args := append([]string{"--mdns=false"}, l.extra...)
	for _, a := range listen {
		args = append(args, "--listen", a)
	}
	for _, h := range l.hosts {
		addr := h.Addrs(l.internet).V4.Addr()
		if !slices.ContainsFunc(listen, func(a string) bool { return strings.Contains(a, "/tcp/") }) {
			args = append(args, "--bootstrap", fmt.Sprintf("/ip4/%s/udp/4242/quic-v1", addr))
		} else {
			args = append(args, "--bootstrap", fmt.Sprintf("/ip4/%s/tcp/4242", addr))
		}
	}
	return args
}

// site makes a host behind a NAT of its own.
func (l *natLab) site(name string, kind netns.NAT) *netns.Host {
	l.t.Helper()
	inside := newLink(l.t, l.lab, name)
	router := newHost(l.t, l.lab, "nat-"+name, inside, l.internet)
	check(l.t, router.Translate(l.internet, kind))
	host := newHost(l.t, l.lab, name, inside)
	check(l.t, host.Gateway(router, inside))
	return host
}

// connection says how p is connected to q: "relay", or the transports of direct connections.
func (p *peer) connection(q *peer) string {
	p.t.Helper()
	known, ok := p.peers()[q.id]
	if !ok || !known.Connected {
		return "none"
	}
	return strings.Join(known.Transports, ",")
}

// connectsBy waits until p's only connection to q is of a kind, and returns how long that took.
func (p *peer) connectsBy(q *peer, kind string) time.Duration {
	p.t.Helper()
	began := time.Now()
	eventually(p.t, natPatience, func() error {
		if got := p.connection(q); got != kind {
			return fmt.Errorf("%s is connected to %s by %s, want %s", p.name, q.name, got, kind)
		}
		return nil
	})
	return time.Since(began)
}

// unreachable waits until p knows that it can't be dialled, and has both relays.
func (p *peer) unreachable() {
	p.t.Helper()
	eventually(p.t, natPatience, func() error {
		if r := p.status().Reachability; r.State != "unreachable" || len(r.Relays) < 2 {
			return fmt.Errorf("%s: %+v", p.name, *r)
		}
		return nil
	})
}

// exchange pings and uses records between two peers, in both directions.
func exchange(t *testing.T, key string, a, b *peer) {
	t.Helper()
	for i, pair := range [][2]*peer{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		from.do("ping", "-c", "1", to.id)
		name, value := fmt.Sprintf("%s-%d", key, i), strings.Repeat("x", 200_000)
		from.feed(value, "put", name, "--file", "-")
		if got := to.do("get", name); got != value {
			t.Errorf("%s wrote %d bytes, %s read %d", from.name, len(value), to.name, len(got))
		}
	}
}

// TestHolePunching has two peers behind NATs that map a port alike for all reach one another directly, over either transport.
func TestHolePunching(t *testing.T) {
	for _, transport := range []string{"quic-v1", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			l := newNATLab(t)
			l.startRelays()
			listen := map[string]string{"quic-v1": overQUIC(4242), "tcp": overTCP(4242)}[transport]
			a := newPeer(t, l.site("a", netns.EndpointIndependent), "a", l.options(listen)...).start()
			a.unreachable()
			b := newPeer(t, l.site("b", netns.EndpointIndependent), "b", l.options(listen)...).start()
			b.unreachable()
			t.Logf("direct after %s", a.connectsBy(b, transport).Round(time.Millisecond))
			b.connectsBy(a, transport)
			exchange(t, transport, a, b)
			if r := b.status().Reachability; transport == "tcp" && r.NATTCP != "endpoint-independent" {
				t.Errorf("the NAT is taken for %s", r.NATTCP)
			}
		})
	}
}

// TestPrivateWAN has peers of two sites with a NAT each reach one another directly where there are no public addresses at all.
func TestPrivateWAN(t *testing.T) {
	t.Parallel()
	l := newWAN(t)
	l.startRelays("--relay")
	a := newPeer(t, l.site("a", netns.EndpointIndependent), "a", l.options(overQUIC(4242), overTCP(4242))...).start()
	b := newPeer(t, l.site("b", netns.EndpointIndependent), "b", l.options(overQUIC(4242), overTCP(4242))...).start()
	a.unreachable()
	b.unreachable()
	eventually(t, natPatience, func() error {
		if got := a.connection(b); got == "none" || strings.Contains(got, "relay") {
			return fmt.Errorf("a is connected to b by %s", got)
		}
		return nil
	})
	exchange(t, "wan", a, b)
}

// TestRelays has two peers behind NATs that no hole can be punched through, one with the only validator of the ledger, and ends the relay that they use.
func TestRelays(t *testing.T) {
	t.Parallel()
	l := newNATLab(t)
	founder := newPeer(t, l.site("a", netns.EndpointIndependent), "a")
	founder.do("init", "--network", networkName(t), "--members-only=false")
	founder.Args = l.options(overTCP(4242), overQUIC(4242))
	check(t, founder.Start())
	founder.waitReady()
	genesis := founder.do("ledger", "genesis")
	check(t, founder.Kill())

	enter := func(p *peer) *peer {
		p.feed(genesis, "init", "--genesis", "-")
		p.Args = p.Args[3:] // no open network
		return p
	}
	for i, h := range l.hosts {
		l.relays = append(l.relays, enter(newPeer(t, h, fmt.Sprint("relay", i), l.options("/ip4/0.0.0.0/tcp/4242", overQUIC(4242))...)))
		check(t, l.relays[i].Start())
	}
	founder.start()
	far := enter(newPeer(t, l.site("b", netns.EndpointDependent), "b", l.options(overTCP(4242), overQUIC(4242))...)).start()
	for _, p := range l.relays {
		p.waitReady()
	}
	founder.unreachable()
	far.unreachable()
	founder.connectsBy(far, "relay")
	exchange(t, "relayed", founder, far)
	if r := far.status().Reachability; r.NATTCP != "endpoint-dependent" {
		t.Errorf("the symmetric NAT is taken for %s", r.NATTCP)
	}

	// The account of one pays one of the other.
	founder.do("ledger", "account", "new", "bank")
	founder.do("ledger", "asset", "define", "EUR", "--issuer", "bank")
	far.do("ledger", "account", "new", "ann")
	ann := strings.TrimSpace(far.do("ledger", "account", "show", "ann", "--json"))
	id := decode[struct {
		ID string `json:"id"`
	}](t, ann).ID
	pay := func(amount, want string) {
		t.Helper()
		founder.do("ledger", "issue", amount, "EUR", "--to", id)
		eventually(t, natPatience, func() error {
			if got := far.do("ledger", "balances", "ann"); !strings.Contains(got, want) {
				return fmt.Errorf("the balance is\n%s, want %s", got, want)
			}
			return nil
		})
	}
	pay("1.50", "1.50")

	// The relay in use dies.
	by := founder.peers()[far.id].RelayedBy
	if len(by) == 0 {
		t.Fatal("no relay is named")
	}
	i := slices.IndexFunc(l.relays, func(p *peer) bool { return p.id == by[0] })
	check(t, l.relays[i].Kill())
	began := time.Now()
	for _, pair := range [][2]*peer{{founder, far}, {far, founder}} {
		eventually(t, takeoverTime, func() error {
			if r := pair[0].within(takeoverTime, "", "ping", "-c", "1", pair[1].id); r.Code != 0 {
				return fmt.Errorf("%s", r.Stderr)
			}
			return nil
		})
	}
	took := time.Since(began)
	t.Logf("the other relay carries after %s", took.Round(time.Millisecond))
	if took > takeoverTime {
		t.Errorf("took over after %s, want %s", took, takeoverTime)
	}
	exchange(t, "other-relay", founder, far)
	pay("2", "3.50")
}

// TestHolePunchRates starts pairs of peers anew, each at ports that no NAT has seen, and says how many came to a direct connection. It is for docs/measurements.md.
func TestHolePunchRates(t *testing.T) {
	tries, err := strconv.Atoi(os.Getenv(natTriesVariable))
	if err != nil {
		t.Skipf("%s is not set", natTriesVariable)
	}
	for _, transport := range []string{"quic-v1", "tcp"} {
		for _, kinds := range [][2]netns.NAT{{netns.EndpointIndependent, netns.EndpointIndependent}, {netns.EndpointIndependent, netns.EndpointDependent}} {
			t.Run(fmt.Sprintf("%s/%d-%d", transport, kinds[0], kinds[1]), func(t *testing.T) { punchRates(t, tries, transport, kinds) })
		}
	}
}

func punchRates(t *testing.T, tries int, transport string, kinds [2]netns.NAT) {
	t.Parallel()
	l := newNATLab(t)
	l.startRelays()
	hosts := []*netns.Host{l.site("a", kinds[0]), l.site("b", kinds[1])}
	direct, relayed := 0, 0
	var times []time.Duration
	for i := range tries {
		port := 20_000 + i
		listen := map[string]string{"quic-v1": overQUIC(port), "tcp": overTCP(port)}[transport]
		a := newPeer(t, hosts[0], fmt.Sprint("a", i), l.options(listen)...)
		b := newPeer(t, hosts[1], fmt.Sprint("b", i), l.options(listen)...)
		began := time.Now()
		check(t, a.Start())
		check(t, b.Start())
		a.waitReady()
		b.waitReady()
		kind := ""
		for time.Since(began) < ratesPatience {
			if kind = a.connection(b); strings.Contains(kind, transport) { // the relayed one may be there yet
				times = append(times, time.Since(began))
				direct++
				break
			}
			time.Sleep(pollInterval)
		}
		if r := a.command("", "ping", "-c", "1", b.id); kind == "relay" && r.Code == 0 {
			relayed++
		}
		t.Logf("try %d: %s", i, kind)
		check(t, a.Stop())
		check(t, b.Stop())
	}
	slices.Sort(times)
	if len(times) > 0 {
		t.Logf("direct %d of %d, after %s (median), %s (most); relayed %d", direct, tries, times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond), relayed)
	} else {
		t.Logf("direct %d of %d, relayed %d", direct, tries, relayed)
	}
}
