//go:build e2e && linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/test/netns"
)

// TestMDNS has peers of one network on both sides of a router and a second network on one of the links: mDNS finds those of
// its own link and network. Every peer finds another one, so that the finders have worked when the strangers are looked for.
func TestMDNS(t *testing.T) {
	lab := newLab(t)
	north, south := newLink(t, lab, "north"), newLink(t, lab, "south")
	hosts := map[string]*netns.Host{}
	for _, name := range []string{"a", "b", "x", "y"} {
		hosts[name] = newHost(t, lab, name, north)
	}
	for _, name := range []string{"c", "d"} {
		hosts[name] = newHost(t, lab, name, south)
	}
	join(t, lab, north, south,
		[]*netns.Host{hosts["a"], hosts["b"], hosts["x"], hosts["y"]}, []*netns.Host{hosts["c"], hosts["d"]})

	// The order mixes the groups: who starts last announces itself to all that were there before.
	x := newPeer(t, hosts["x"], "x").inNetwork("other").start()
	c := newPeer(t, hosts["c"], "c").start()
	a := newPeer(t, hosts["a"], "a").start()
	b := newPeer(t, hosts["b"], "b").start()
	d := newPeer(t, hosts["d"], "d").start()
	y := newPeer(t, hosts["y"], "y").inNetwork("other").start()

	meet(t, a, b)
	meet(t, c, d)
	meet(t, x, y)
	for _, pair := range [][2]*peer{{a, b}, {c, d}, {x, y}} {
		for _, p := range pair {
			known := p.peers()
			if len(known) != 1 {
				t.Errorf("%s knows %d peers, want the one of its link and network: %v", p.name, len(known), known)
			}
		}
		if !foundBy(pair[0], pair[1], "mdns") && !foundBy(pair[1], pair[0], "mdns") {
			t.Errorf("neither of %s and %s says that mDNS found the other", pair[0].name, pair[1].name)
		}
	}
	// The router works: what mDNS did not find can be reached.
	a.do("ping", "-c", "1", tcp(hosts["c"], south))
}

func foundBy(p, q *peer, finder string) bool {
	return slices.Contains(p.peers()[q.id].FoundBy, finder)
}

// TestTwoLinks is the original demonstration: two links with two peers each, mDNS within a link and Kademlia across, and
// the four commands of the prompt from one link to the other.
func TestTwoLinks(t *testing.T) {
	lab := newLab(t)
	north, south := newLink(t, lab, "north"), newLink(t, lab, "south")
	hostA, hostB := newHost(t, lab, "a", north), newHost(t, lab, "b", north)
	hostC, hostD := newHost(t, lab, "c", south), newHost(t, lab, "d", south)
	join(t, lab, north, south, []*netns.Host{hostA, hostB}, []*netns.Host{hostC, hostD})

	a := newPeer(t, hostA, "a").start()
	c := newPeer(t, hostC, "c").start()
	d := newPeer(t, hostD, "d").start()
	b := newPeer(t, hostB, "b", "--bootstrap", tcp(hostC, south)).start() // the only way across
	meet(t, a, b, c, d)
	for _, pair := range [][2]*peer{{a, c}, {a, d}, {b, d}} {
		if foundBy(pair[0], pair[1], "mdns") {
			t.Errorf("%s says that mDNS found %s, which is behind the router", pair[0].name, pair[1].name)
		}
	}

	a.feed("PUT greeting hello\nPUT_PROVIDER films/1\n", "shell")
	got := d.feed("GET greeting\nGET_PROVIDERS films/1\n", "shell")
	for _, want := range []string{"hello", a.id} {
		if !strings.Contains(got, want) {
			t.Errorf("what the prompt of d printed lacks %q:\n%s", want, got)
		}
	}
	if out := c.do("get", "greeting"); out != "hello" {
		t.Errorf("c gets %q", out)
	}
	if out := b.do("providers", "films/1"); !strings.Contains(out, a.id) {
		t.Errorf("b does not name a, %s, as provider:\n%s", a.id, out)
	}
	if r := c.command("", "get", "missing"); r.Code != 3 {
		t.Errorf("get of a key that nobody put: exit code %d, want 3", r.Code)
	}
	if r := c.command("GET missing\n", "shell"); r.Code != 3 {
		t.Errorf("a script that gets a key that nobody put: exit code %d, want 3", r.Code)
	}
	if out := a.do("find", d.id); !strings.Contains(out, fmt.Sprint(hostD.Addrs(south).V4.Addr())) {
		t.Errorf("find does not tell d's address:\n%s", out)
	}
}
