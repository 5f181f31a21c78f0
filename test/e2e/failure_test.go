//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is promised of the failure detector in a small network.
const (
	suspectPromise = 3 * time.Second
	dropPromise    = 10 * time.Second
	returnPromise  = 3 * time.Second
)

// TestFailureDetection freezes a peer and lets it go on, then kills and restarts it, and times what two others see.
func TestFailureDetection(t *testing.T) {
	lab := newLab(t)
	link := newLink(t, lab, "link")
	hostA := newHost(t, lab, "a", link)
	a := newPeer(t, hostA, "a", "--mdns=false").start()
	var others []*peer
	for _, name := range []string{"b", "c", "d"} {
		others = append(others, newPeer(t, newHost(t, lab, name, link), name, "--mdns=false", "--bootstrap", tcp(hostA, link)).start())
	}
	b, victim := others[0], others[2]
	meet(t, a, b, others[1], victim)

	watch := func(what string, since time.Time, within time.Duration, states ...string) {
		t.Helper()
		for _, p := range []*peer{a, b} {
			t.Logf("%s: %s sees %s after %v", what, p.name, strings.Join(states, " or "),
				p.sees(victim, since, within, states...).Round(10*time.Millisecond))
		}
	}

	began := time.Now()
	check(t, victim.Signal(syscall.SIGSTOP))
	watch("frozen", began, suspectPromise, "suspect", "dead")
	watch("frozen", began, dropPromise, "dead")
	began = time.Now()
	check(t, victim.Signal(syscall.SIGCONT))
	watch("thawed", began, returnPromise, "alive")
	meet(t, a, b, others[1], victim)

	began = time.Now()
	check(t, victim.Kill())
	watch("killed", began, suspectPromise, "suspect", "dead")
	watch("killed", began, dropPromise, "dead")
	victim.start()
	watch("restarted", time.Now(), returnPromise, "alive")
	meet(t, a, b, others[1], victim)
}

// TestReturnByPeerCache restarts a node whose bootstrap peer is gone: it finds the others from what it remembers.
func TestReturnByPeerCache(t *testing.T) {
	lab := newLab(t)
	link := newLink(t, lab, "link")
	hostA := newHost(t, lab, "a", link)
	a := newPeer(t, hostA, "a", "--mdns=false").start()
	b := newPeer(t, newHost(t, lab, "b", link), "b", "--mdns=false", "--bootstrap", tcp(hostA, link)).start()
	c := newPeer(t, newHost(t, lab, "c", link), "c", "--mdns=false", "--bootstrap", tcp(hostA, link)).start()
	meet(t, a, b, c)
	eventually(t, settlePatience, func() error {
		cache, err := os.ReadFile(filepath.Join(c.Home, "peers.json"))
		if err == nil && !strings.Contains(string(cache), b.id) {
			err = os.ErrNotExist
		}
		return err
	})

	check(t, c.Kill())
	check(t, a.Kill())
	c.start()
	meet(t, b, c)
	if foundBy(c, b, "bootstrap") {
		t.Error("c says that it found b through the bootstrap address")
	}
	t.Logf("c found b by %v", c.peers()[b.id].FoundBy)
}
