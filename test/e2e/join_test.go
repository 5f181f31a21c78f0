//go:build e2e && linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/test/netns"
)

// TestJoinThroughRelay: the only validator of a network for members only is behind a NAT, and so is the one who is invited. The one member that both reach keeps no ledger.
func TestJoinThroughRelay(t *testing.T) {
	t.Parallel()
	l := newNATLab(t)
	founder := newPeer(t, l.site("a", netns.EndpointDependent), "founder")
	founder.do("init", "--network", networkName(t))
	founder.Args = l.options(overTCP(4242), overQUIC(4242))
	founder.start()

	// A member in the middle, which is admitted by its id, as it can't dial the founder.
	relay := newPeer(t, l.hosts[0], "relay")
	relay.Args = []string{"--mdns=false", "--ledger=false"}
	made := relay.feed(founder.do("ledger", "genesis"), "init", "--genesis", "-", "--json")
	founder.do("members", "admit", decode[v1.Node](t, made).ID, "--name", "relay")
	relay.start()
	eventually(t, natPatience, func() error {
		if r := founder.status().Reachability; r.State != "unreachable" || len(r.Relays) == 0 {
			return fmt.Errorf("founder: %+v", *r)
		}
		return nil
	})

	text := founder.do("invite", "--note", "for the other side")
	line, err := admission.ParseLine(text)
	check(t, err)
	if first := line.Addrs[0].String(); !strings.HasSuffix(first, relay.id) {
		t.Errorf("the line leads to %s first, not to %s", first, relay.id)
	}
	site := l.site("b", netns.EndpointDependent)
	guest := newPeer(t, site, "guest")
	guest.Args = []string{"--mdns=false"}
	began := time.Now()
	guest.feed(text, "join", "-", "--yes", "--run=false", "--name", "guest")
	t.Logf("joined after %s", time.Since(began).Round(time.Millisecond))
	guest.start()
	t.Logf("the founder is reached after %s", guest.connectsBy(founder, "relay").Round(time.Millisecond))
	exchange(t, "joined", guest, founder)

	late := newPeer(t, site, "late")
	if r := late.command(text, "join", "-", "--yes"); r.Code != 5 || !strings.Contains(r.Stderr, "used up") {
		t.Errorf("a copy of the line: exit code %d, %s", r.Code, r.Stderr)
	}
}
