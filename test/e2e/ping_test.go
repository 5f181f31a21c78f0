//go:build e2e && linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// stranger is the id of a peer that is nowhere.
const stranger = "12D3KooWLr1gYejUTeriAsSu6roR2aQ423G3Q4fFTqzqSwTsMz9n"

// TestPing lets two hosts ping one another by peer id and by address, and a third that has met neither by address.
func TestPing(t *testing.T) {
	lab := newLab(t)
	link := newLink(t, lab, "link")
	hostA, hostB, hostC := newHost(t, lab, "a", link), newHost(t, lab, "b", link), newHost(t, lab, "c", link)
	a := newPeer(t, hostA, "a", "--mdns=false").start()
	b := newPeer(t, hostB, "b", "--mdns=false", "--bootstrap", tcp(hostA, link)).start()
	c := newPeer(t, hostC, "c", "--mdns=false").start()
	meet(t, a, b)

	addrs := hostB.Addrs(link)
	v4, v6 := addrs.V4.Addr(), addrs.V6.Addr()
	for _, from := range []*peer{a, c} {
		for _, to := range []string{
			fmt.Sprintf("/ip4/%s/tcp/4242", v4),
			fmt.Sprintf("/ip6/%s/tcp/4242", v6),
			fmt.Sprintf("/ip4/%s/tcp/4242/p2p/%s", v4, b.id),
			fmt.Sprintf("/ip4/%s/udp/4242/quic-v1/p2p/%s", v4, b.id),
			fmt.Sprintf("/ip6/%s/udp/4242/quic-v1/p2p/%s", v6, b.id),
		} {
			if out := from.do("ping", "-c", "2", to); !strings.Contains(out, b.id) {
				t.Errorf("%s: ping %s does not name the peer that answered, %s:\n%s", from.name, to, b.id, out)
			}
		}
	}
	a.do("ping", "-c", "3", b.id)
	b.do("ping", "-c", "3", a.id)

	// An address of another peer than the one named is refused: identity is proven, not believed.
	wrong := fmt.Sprintf("/ip4/%s/tcp/4242/p2p/%s", v4, stranger)
	if r := c.command("", "ping", "-c", "1", wrong); r.Code == 0 {
		t.Errorf("b answered in the name of another peer:\n%s", r.Stdout)
	}
	nobody := fmt.Sprintf("/ip4/%s/tcp/4243", v4)
	if r := c.command("", "ping", "-c", "1", nobody); r.Code == 0 || strings.Count(r.Stderr, "\n") != 1 {
		t.Errorf("ping of a closed port: exit code %d, want a failure and one line on stderr:\n%s", r.Code, r.Stderr)
	}
}
