//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/netns"
)

// doctorPatience bounds the time until a finding is there. A look takes up to 5 s.
const doctorPatience = 60 * time.Second

// found is a finding that is wanted, with a part of its summary and of the command.
type found struct{ check, severity, summary, command string }

func (w found) in(f v1.Finding) bool {
	return f.Check == w.check && f.Severity == w.severity && strings.Contains(f.Summary, w.summary) && strings.Contains(f.Command, w.command)
}

// look asks the doctor once, as a program does.
func (p *peer) look() (d v1.Diagnosis, code int) {
	p.t.Helper()
	r := p.command("", "doctor", "--json")
	return decode[v1.Diagnosis](p.t, r.Stdout), r.Code
}

// suffers waits until the doctor finds what is wanted and nothing else, and wants the exit code to fit. What the machine that the tests run on lacks is left out, unless it is wanted.
func (p *peer) suffers(want ...found) {
	p.t.Helper()
	p.suffersWithin(doctorPatience, want...)
}

// suffersWithin is suffers with another bound than doctorPatience.
func (p *peer) suffersWithin(patience time.Duration, want ...found) {
	p.t.Helper()
	began := time.Now()
	var last v1.Diagnosis
	eventually(p.t, patience, func() error {
		d, code := p.look()
		last = d
		if d.Healthy != (code == 0) || code > 1 || d.Healthy == slices.ContainsFunc(d.Findings, func(f v1.Finding) bool { return f.Severity == v1.SeverityProblem }) {
			p.t.Fatalf("%s: exit code %d of %+v", p.name, code, d)
		}
		rest := slices.DeleteFunc(slices.Clone(d.Findings), func(f v1.Finding) bool {
			return slices.ContainsFunc(want, func(w found) bool { return w.in(f) }) || ofMachine(f) && !slices.ContainsFunc(want, func(w found) bool { return w.check == f.Check })
		})
		for _, w := range want {
			if !slices.ContainsFunc(d.Findings, w.in) {
				return fmt.Errorf("%s: no finding like %+v in %+v", p.name, w, d.Findings)
			}
		}
		if len(rest) > 0 {
			return fmt.Errorf("%s: found beside that: %+v", p.name, rest)
		}
		return nil
	})
	for _, f := range last.Findings {
		p.t.Logf("%s after %s: %s  %s: %s\n  try: %s", p.name, time.Since(began).Round(10*time.Millisecond), f.Severity, f.Check, f.Summary, f.Command)
	}
}

// shows waits until the doctor finds something, whatever else: of a ledger without load the validator that is slowest may have missed the last block.
func (p *peer) shows(want found) {
	p.t.Helper()
	eventually(p.t, doctorPatience, func() error {
		if d, _ := p.look(); !slices.ContainsFunc(d.Findings, want.in) {
			return fmt.Errorf("%s: no finding like %+v in %+v", p.name, want, d.Findings)
		}
		return nil
	})
}

// ailing is suffers as a test of its own, beside others.
func ailing(t *testing.T, p *peer, want ...found) {
	t.Run(p.name, func(t *testing.T) {
		t.Parallel()
		patient := *p
		patient.t = t
		patient.suffers(want...)
	})
}

// ofMachine reports whether a finding may come of the machine that the tests run on.
func ofMachine(f v1.Finding) bool { return f.Check == "disk" || f.Check == "udp" }

// rules sets rules of nftables on a host.
func rules(t *testing.T, h *netns.Host, text string) {
	t.Helper()
	if out, err := h.Command(t.Context(), "nft", text).CombinedOutput(); err != nil {
		t.Fatalf("nft %s: %v\n%s", text, err, out)
	}
}

// TestDoctorAlone has nodes that find nobody, each for another reason.
func TestDoctorAlone(t *testing.T) {
	t.Parallel()
	needs(t, nats)
	lab := newLab(t)
	link := newLink(t, lab, "link")
	host := func(name string) *netns.Host { return newHost(t, lab, name, link) }
	apart := func(name string) *netns.Host { return newHost(t, lab, name, newLink(t, lab, name)) }

	other, closed, silent, resolver := host("other"), host("closed"), host("silent"), host("dns")
	rules(t, silent, "table ip lab { chain in { type filter hook input priority filter; tcp dport 4242 drop; udp dport 4242 drop; }; }")
	serveDNS(t, resolver, "moot.test").publish([]netip.Addr{closed.Addrs(link).V4.Addr()})
	stranger := newPeer(t, other, "other", "--mdns=false").inNetwork("other")
	named := newPeer(t, host("named"), "named", "--mdns=false", "--bootstrap", tcp(other, link), "--bootstrap", tcp(closed, link), "--bootstrap", tcp(silent, link))
	quic := func(h *netns.Host) string { return fmt.Sprintf("/ip4/%s/udp/4242/quic-v1", h.Addrs(link).V4.Addr()) }
	overQUIC := newPeer(t, host("quic"), "quic", "--mdns=false", "--bootstrap", quic(other), "--bootstrap", quic(closed), "--bootstrap", quic(silent))

	asking := host("asking")
	check(t, asking.Resolver(resolver.Addrs(link).V4.Addr()))
	byName := newPeer(t, asking, "asking", "--mdns=false", "--dns", "moot.test", "--dns", "nobody.test:4242")
	unheard := host("unheard")
	check(t, unheard.Resolver(silent.Addrs(link).V4.Addr()))
	rules(t, silent, "table ip dns { chain in { type filter hook input priority filter; udp dport 53 drop; }; }")
	first, itsResolver := host("first"), host("dns2")
	serveDNS(t, itsResolver, "moot.test").publish([]netip.Addr{first.Addrs(link).V4.Addr()})
	check(t, first.Resolver(itsResolver.Addrs(link).V4.Addr()))
	firstPod := newPeer(t, first, "first", "--mdns=false", "--dns", "moot.test")
	noResolver := newPeer(t, unheard, "unheard", "--mdns=false", "--dns", "moot.test")

	alone := newPeer(t, apart("alone"), "alone")
	walled := apart("walled")
	rules(t, walled, "table ip lab { chain in { type filter hook input priority filter; policy drop; ct state established,related accept; iifname lo accept; tcp dport 4242 accept; }; }")
	rules(t, walled, "table ip6 lab { chain in { type filter hook input priority filter; policy drop; ct state established,related accept; iifname lo accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }")
	noMulticast := newPeer(t, walled, "walled")
	mute := apart("mute")
	rules(t, mute, "table inet lab { chain out { type filter hook output priority filter; udp dport 5353 drop; }; }")
	muted := newPeer(t, mute, "mute")
	flat := apart("flat")
	flatPeer := newPeer(t, flat, "flat")
	for name := range interfaces(t, flat) {
		if _, err := netns.IP("-n", flat.Name, "link", "set", name, "multicast", "off"); err != nil {
			t.Fatal(err)
		}
	}

	all := []*peer{stranger, named, overQUIC, byName, noResolver, firstPod, alone, noMulticast, muted, flatPeer}
	for _, p := range all {
		check(t, p.Start())
	}
	for _, p := range all {
		p.waitReady()
	}
	ailing(t, named,
		found{"peers", "problem", "the node at " + tcp(other, link) + " is of another network", "moot status"},
		found{"peers", "problem", "nobody listens at " + tcp(closed, link), "moot status"},
		found{"peers", "problem", tcp(silent, link) + " does not answer: a firewall drops the packets", "port 4242"},
	)
	ailing(t, overQUIC,
		found{"peers", "problem", "the node at " + quic(other) + " is of another network", "moot status"},
		found{"peers", "problem", quic(closed), ""},
		found{"peers", "problem", quic(silent), ""},
	)
	ailing(t, byName,
		found{"peers", "problem", "the name nobody.test:4242 has no addresses", "dig +short nobody.test"},
		found{"peers", "problem", "nobody listens at " + tcp(closed, link), "moot status"},
	)
	ailing(t, noResolver, found{"peers", "problem", "moot.test can't be looked up", "dig"})
	ailing(t, firstPod, found{"peers", "warning", "the name moot.test leads to this node alone", "dig +short moot.test"})
	ailing(t, alone, found{"peers", "warning", "nobody is on this link", "--bootstrap"})
	ailing(t, noMulticast, found{"peers", "warning", ": what is sent is not delivered", "--bootstrap"})
	ailing(t, muted, found{"peers", "warning", "operation not permitted", "--bootstrap"})
	ailing(t, flatPeer, found{"peers", "warning", "no interface but the loopback is up", "--bootstrap"})
}

// interfaces returns the interfaces of a host but its loopback.
func interfaces(t *testing.T, h *netns.Host) map[string]net.Interface {
	t.Helper()
	list := map[string]net.Interface{}
	check(t, h.Do(func() error {
		all, err := net.Interfaces()
		for _, i := range all {
			if i.Flags&net.FlagLoopback == 0 {
				list[i.Name] = i
			}
		}
		return err
	}))
	return list
}
