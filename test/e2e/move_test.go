//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/netns"
)

// A podNetwork is a network of peers that know nothing of one another but a name, as the pods of a StatefulSet do.
type podNetwork struct {
	t      *testing.T
	link   *netns.Link
	server *dnsServer
	hosts  []*netns.Host
	peers  []*peer
}

func newPodNetwork(t *testing.T, pods int) *podNetwork {
	t.Helper()
	const name = "moot.test"
	lab := newLab(t)
	n := &podNetwork{t: t, link: newLink(t, lab, "link")}
	resolver := newHost(t, lab, "dns", n.link)
	n.server = serveDNS(t, resolver, name)
	for i := range pods {
		host := newHost(t, lab, fmt.Sprint("pod", i), n.link)
		check(t, host.Resolver(resolver.Addrs(n.link).V4.Addr()))
		n.hosts = append(n.hosts, host)
		n.peers = append(n.peers, newPeer(t, host, fmt.Sprint("pod", i), "--mdns=false", "--dns", name))
	}
	n.publish()
	for _, p := range n.peers {
		check(t, p.Start())
	}
	for _, p := range n.peers {
		p.waitReady()
	}
	meet(t, n.peers...)
	return n
}

// publish makes the name stand for all pods' addresses.
func (n *podNetwork) publish() {
	var addrs []netip.Addr
	for _, h := range n.hosts {
		addrs = append(addrs, h.Addrs(n.link).V4.Addr(), h.Addrs(n.link).V6.Addr())
	}
	n.server.publish(addrs)
}

// renumber gives pods new addresses.
func (n *podNetwork) renumber(pods ...int) {
	n.t.Helper()
	for _, i := range pods {
		_, err := n.hosts[i].Renumber(n.link)
		check(n.t, err)
	}
	n.publish()
}

// start starts pods that have stopped.
func (n *podNetwork) start(pods ...int) (began time.Time) {
	n.t.Helper()
	began = time.Now()
	for _, i := range pods {
		check(n.t, n.peers[i].Start())
	}
	for _, i := range pods {
		n.peers[i].waitReady()
	}
	return began
}

// follow wants every peer to know every moved one at its new address, and nowhere else, within the time promised, and to reach it then. That it is reached is not timed: most of that is the time in which
// commands start.
func (n *podNetwork) follow(what string, began time.Time, moved ...int) {
	n.t.Helper()
	for i, p := range n.peers {
		eventually(n.t, time.Until(began.Add(followPromise)), func() error { return n.knowsMoved(i, moved) })
		n.t.Logf("%s: %s follows after %v", what, p.name, time.Since(began).Round(10*time.Millisecond))
	}
	if took := time.Since(began); took > followPromise {
		n.t.Errorf("%s: followed by all after %v, promised %v", what, took, followPromise)
	}
	for i, p := range n.peers {
		for _, m := range moved {
			if i != m {
				p.do("ping", n.peers[m].id, "-c", "1")
				n.peers[m].do("ping", p.id, "-c", "1")
			}
		}
	}
}

// knowsMoved returns an error unless a peer knows the moved ones at their new addresses.
func (n *podNetwork) knowsMoved(i int, moved []int) error {
	known := n.peers[i].peers()
	for _, m := range moved {
		if i == m {
			continue
		}
		now, addrs := known[n.peers[m].id], n.hosts[m].Addrs(n.link)
		current := func(a string) bool {
			return strings.Contains(a, "/"+addrs.V4.Addr().String()+"/") || strings.Contains(a, "/"+addrs.V6.Addr().String()+"/")
		}
		if now.State != "alive" || len(now.Addresses) == 0 || slices.ContainsFunc(now.Addresses, func(a string) bool { return !current(a) }) {
			return fmt.Errorf("%s knows %s as %s at %v, want alive at %s and %s", n.peers[i].name, n.peers[m].name, now.State, now.Addresses, addrs.V4, addrs.V6)
		}
	}
	return nil
}

// TestMove restarts peers with the same identity at new addresses, as Kubernetes does with pods: one that said farewell, one that was killed, one whose last words nobody heard, and all
// at once. All know only a name.
func TestMove(t *testing.T) {
	n := newPodNetwork(t, 5)
	n.peers[4].terminate(stopPromise)
	n.renumber(4)
	n.follow("stopped", n.start(4), 4)

	check(t, n.peers[3].Kill())
	n.renumber(3)
	n.follow("killed", n.start(3), 3)

	n.renumber(2) // with its address went everything that the kernel would have said of its connections
	check(t, n.peers[2].Kill())
	n.follow("vanished", n.start(2), 2)

	all := []int{0, 1, 2, 3, 4}
	n.renumber(all...)
	for i := range all {
		check(t, n.peers[i].Kill())
	}
	n.follow("all vanished", n.start(all...), all...)
	n.peers[0].do("put", "key", "value")
	if got := n.peers[4].do("get", "key"); got != "value" {
		t.Errorf("after all moved a record is %q", got)
	}
}
