//go:build e2e && linux

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/netns"
)

// someKeys is how many records a network has that is looked at.
const someKeys = 40

// putSome puts records.
func putSome(p *peer) {
	p.t.Helper()
	for i := range someKeys {
		p.do("put", fmt.Sprintf("key/%d", i), "value", "--consistency", "all")
	}
}

// TestDoctorRecords has holders of records stop without a word, and then end.
func TestDoctorRecords(t *testing.T) {
	t.Parallel()
	hub, near := newHub(t)
	all := []*peer{hub}
	for i := range 5 {
		p := near(fmt.Sprint("p", i))
		check(t, p.Start())
		all = append(all, p)
	}
	for _, p := range all[1:] {
		p.waitReady()
	}
	meet(t, all...)
	putSome(hub)
	hub.suffers()

	stopped := all[1]
	check(t, stopped.Signal(syscall.SIGSTOP))
	hub.suffers(found{"records", "warning", "1 peer did not say how their records fare: " + stopped.id, "moot peers"})
	hub.suffers(
		found{"peers", "warning", "1 peer has not answered lately: " + stopped.id, "moot ping " + stopped.id},
		found{"records", "warning", "1 peer did not say how their records fare: " + stopped.id, "moot peers"},
	)
	check(t, stopped.Signal(syscall.SIGCONT))
	hub.suffers()

	for _, p := range all[1:4] {
		check(t, p.Kill())
	}
	hub.suffers(
		found{"peers", "warning", "3 peers have died: ", "moot peers"},
		found{"records", "problem", "records can't be read: too few", "moot peers"},
		found{"records", "warning", "records have fewer copies than wanted", "moot status"},
	)
}

// TestDoctorClock has the clocks of two of five peers wrong.
func TestDoctorClock(t *testing.T) {
	t.Parallel()
	needs(t, clocks)
	hub, near := newHub(t)
	ahead, behind := near("ahead"), near("behind")
	ahead.Ahead, behind.Ahead = time.Minute, -time.Minute
	all := []*peer{hub, near("a"), near("b"), ahead, behind}
	for _, p := range all[1:] {
		check(t, p.Start())
	}
	for _, p := range all[1:] {
		p.waitReady()
	}
	meet(t, all...)
	for i := range someKeys {
		hub.do("put", fmt.Sprintf("key/%d", i), "value")
	}
	ailing(t, ahead, found{"clock", "problem", "clock is 1m0s ahead of others' (4 were compared)", "timedatectl"})
	ailing(t, behind, found{"clock", "problem", "clock is 1m0s behind others'", "timedatectl"})
	ailing(t, hub)
}

// TestDoctorReach has a peer that others can't dial, with relays and without.
func TestDoctorReach(t *testing.T) {
	for _, relays := range []bool{true, false} {
		t.Run(fmt.Sprint(relays), func(t *testing.T) {
			t.Parallel()
			l := newNATLab(t)
			for i, h := range l.hosts {
				p := newPeer(t, h, fmt.Sprint("relay", i), append(l.options("/ip4/0.0.0.0/tcp/4242", overQUIC(4242)), fmt.Sprintf("--relay=%t", relays))...)
				check(t, p.Start())
				l.relays = append(l.relays, p)
			}
			p := newPeer(t, l.site("p", netns.EndpointDependent), "p", l.options(overTCP(4242), overQUIC(4242))...)
			check(t, p.Start())
			for _, p := range append(l.relays, p) {
				p.waitReady()
			}
			want := found{"reachability", "problem", "others can't dial this node, and no relay is found", "--announce"}
			if relays {
				want = found{"reachability", "warning", "reach it through 2 relays", "--announce"}
			}
			p.suffers(want)
			l.relays[0].suffers()
		})
	}
}

// TestDoctorLedger has validators of a ledger end, one of which runs another version.
func TestDoctorLedger(t *testing.T) {
	t.Parallel()
	n := newTown(t)
	asked, other := n.peers[0], n.peers[3]
	asked.suffers()

	check(t, other.Kill())
	asked.suffers(
		found{"peers", "warning", "1 peer has died: " + other.id, "moot peers"},
		found{"ledger", "warning", "validators with 1 of 4 of the voting power did not vote", "moot ledger validators"},
	)
	check(t, n.peers[2].Kill())
	asked.suffers(
		found{"peers", "warning", "2 peers have died: ", "moot peers"},
		found{"ledger", "problem", "no block for", "moot ledger status"},
		found{"ledger", "problem", "validators with 2 of 4 of the voting power did not vote", "moot ledger validators"},
	)
}
