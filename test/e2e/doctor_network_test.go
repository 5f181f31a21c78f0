//go:build e2e && linux

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/test/moottest"
	"github.com/folkmoot/folkmoot/test/netns"
)

// someKeys is how many records a network has that is looked at.
const someKeys = 40

// clockError is by how much clocks are wrong: records of such a clock are taken.
const clockError = 20 * time.Second

// clockPatience is how long it may take until clocks were compared, which pairs of peers do about once a minute and put off while others are at it.
const clockPatience = 4 * time.Minute

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
	if out := hub.do("doctor"); !strings.Contains(out, "all is well: looked at 9 things") && !strings.Contains(out, "disk: ") {
		t.Errorf("the doctor says: %s", out)
	}

	stopped := all[1]
	check(t, stopped.Signal(syscall.SIGSTOP))
	hub.suffers(found{"records", "warning", "1 peer did not say how their records fare: " + stopped.id, "moot peers"})
	hub.suffers(
		found{"peers", "warning", "1 peer has not answered lately: " + stopped.id, "moot ping " + stopped.id},
		found{"records", "warning", "1 peer did not say how their records fare: " + stopped.id, "moot peers"},
	)
	check(t, stopped.Signal(syscall.SIGCONT))
	hub.suffers()

	kill := func(peers ...*peer) {
		for _, p := range peers {
			check(t, p.Kill())
		}
	}
	kill(all[1:3]...) // four are left where five copies are wanted
	hub.suffers(
		found{"peers", "warning", "2 peers have died: ", "moot peers"},
		found{"records", "warning", fmt.Sprintf("%d records have fewer copies than wanted", someKeys), "moot status"},
	)
	kill(all[3:5]...) // and now two, where three are needed
	hub.suffers(
		found{"peers", "warning", "4 peers have died: ", "moot peers"},
		found{"records", "problem", fmt.Sprintf("%d records can't be read: too few", someKeys), "moot peers"},
	)
	if r := hub.command("", "doctor"); r.Code != 1 || !strings.Contains(r.Stdout, "problem  records: ") || !strings.Contains(r.Stdout, "  try: moot peers\n") || !strings.Contains(r.Stderr, "there are problems") {
		t.Errorf("the doctor says, with exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestDoctorClock has the clocks of two of five peers wrong. A peer learns others' clocks when they begin to compare records with it, which of two the one with the smaller id does within 75 s: so the one that is ahead has the largest.
func TestDoctorClock(t *testing.T) {
	t.Parallel()
	needs(t, clocks)
	hub, near := newHub(t)
	all := []*peer{near("a"), near("b"), near("c"), near("d")}
	for _, p := range all {
		p.id = strings.TrimSpace(p.do("init", "--network", networkName(t), "--open", "--json"))
		p.id = decode[struct {
			ID string `json:"id"`
		}](t, p.id).ID
	}
	slices.SortFunc(all, func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
	behind, ahead := all[2], all[3] // of two peers the one with the smaller id compares first, and the other sees its clock then
	ahead.Ahead, behind.Ahead = clockError, -clockError
	for _, p := range all {
		check(t, p.Start())
	}
	for _, p := range all {
		p.waitReady()
	}
	all = append(all, hub)
	meet(t, all...)
	for i := range someKeys {
		hub.do("put", fmt.Sprintf("key/%d", i), "value")
	}
	behind.suffersWithin(clockPatience, found{"clock", "problem", "clock is 20s behind", "timedatectl"})
	hub.suffersWithin(clockPatience)
	ahead.suffersWithin(clockPatience, found{"clock", "problem", "clock is 20s ahead of", "timedatectl"})
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
	newer, err := moottest.BuildVersion(t.Context(), t.TempDir(), "99.1.0")
	check(t, err)
	n := newTownIn(t, func(n *town) { n.peers[3].Binary = newer })
	asked, other := n.peers[0], n.peers[3]
	asked.shows(found{"versions", "warning", "peers run other versions than this node's devel: 1 with 99.1.0", "moot peers --json"})
	other.shows(found{"versions", "warning", "peers run other versions than this node's 99.1.0: 3 with devel", "moot peers --json"})

	check(t, other.Kill())
	for salt := range uint64(3) { // so that three blocks are without its vote, and the next one says so
		n.issue(1 + salt)
	}
	asked.suffers(
		found{"peers", "warning", "1 peer has died: " + other.id, "moot peers"},
		found{"ledger", "warning", "validators with 1 of 4 of the voting power have voted for none of the last 3 blocks", "moot ledger validators"},
	)
	check(t, n.peers[2].Kill())
	_, encoded, err := n.sign(4, n.bank, &ledger.Issue{Asset: n.asset, To: n.people[0].id, Amount: ledger.NewAmount(1)})
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if done, err := n.clients[0].SubmitTransaction(ctx, encoded, v1.SubmitOptions{}); err == nil {
		t.Fatalf("with half of the validators a transaction was carried out: %+v", done)
	}
	asked.suffers(
		found{"peers", "warning", "2 peers have died: ", "moot peers"},
		found{"ledger", "problem", "the ledger stands still: validators with 2 of 4 of the voting power don't vote", "moot ledger validators"},
	)
}

// issue has the bank issue a cent, and waits until it has.
func (n *town) issue(salt uint64) {
	n.t.Helper()
	_, encoded, err := n.sign(salt, n.bank, &ledger.Issue{Asset: n.asset, To: n.people[0].id, Amount: ledger.NewAmount(1)})
	check(n.t, err)
	done, err := n.clients[0].SubmitTransaction(n.t.Context(), encoded, v1.SubmitOptions{})
	check(n.t, err)
	if !done.Applied {
		n.t.Fatalf("the bank can't issue: %s", done.Failure)
	}
}
