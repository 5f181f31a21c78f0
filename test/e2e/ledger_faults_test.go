//go:build e2e && linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	// underWay is how long heights must stand still for nothing to be under way any more.
	underWay = 3 * time.Second
	// shortTimeout is what a command is told to wait for a block that can't come.
	shortTimeout = "3s"
)

// TestLedgerPartition divides the validators into two and two, so that nothing goes on, and then into three and one, so that the three go on.
func TestLedgerPartition(t *testing.T) {
	n := newTown(t)
	load := n.pay()
	n.acknowledged(5)

	order := n.random.Perm(validators)
	check(t, n.link.Split(n.hosts[order[0]], n.hosts[order[1]]))
	before := n.still(n.peers...)
	waiting := n.withoutQuorum(order[0], order[2]) // one of each side
	if after := n.heights(n.peers...); !slices.Equal(before, after) {
		t.Errorf("without a quorum the heights went from %v to %v", before, after)
	}
	check(t, n.link.Heal(n.hosts...))
	n.acknowledgedAfter("two and two", 10)
	for _, id := range waiting {
		n.everywhere(id)
	}

	lonely := n.random.IntN(validators)
	check(t, n.link.Split(n.hosts[lonely]))
	n.acknowledgedAfter("one is cut off", 10)
	alone := n.still(n.peers[lonely])
	n.refusesForQuorum(n.peers[lonely])
	n.acknowledged(5)
	if now := n.heights(n.peers[lonely]); !slices.Equal(alone, now) {
		t.Errorf("cut off, %s went from height %v to %v", n.peers[lonely].name, alone, now)
	}
	check(t, n.link.Heal(n.hosts...))
	began := time.Now()
	n.reach(n.height(n.peers[(lonely+1)%validators]), n.peers[lonely])
	t.Logf("%s has caught up %s after it was cut off", n.peers[lonely].name, time.Since(began).Round(time.Millisecond))
	n.acknowledged(5)
	load.end()
	n.audit()
}

// withoutQuorum hands a transfer in at each of some nodes, and wants the node to say, when its time for requests is over, that there is no quorum. It returns the transfers' ids.
func (n *town) withoutQuorum(nodes ...int) (ids []string) {
	n.t.Helper()
	began := time.Now()
	var all errgroup.Group
	for _, i := range nodes {
		transfer, encoded, err := n.newTransfer(n.random)
		check(n.t, err)
		ids = append(ids, transfer.ID)
		all.Go(func() error {
			_, err := n.clients[i].SubmitTransaction(n.t.Context(), encoded, v1.SubmitOptions{})
			transfer.Return, transfer.Detail = time.Now(), fmt.Sprint(err)
			n.history.Add(transfer)
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "more than two thirds of the voting power") {
				return fmt.Errorf("without a quorum %s answers: %v", n.peers[i].name, err)
			}
			return nil
		})
	}
	check(n.t, all.Wait())
	n.t.Logf("told that there is no quorum after %s", time.Since(began).Round(time.Millisecond))
	return ids
}

// everywhere waits until a transaction is in a block at all nodes.
func (n *town) everywhere(id string) {
	n.t.Helper()
	for _, c := range n.clients {
		eventually(n.t, ledgerPatience, func() error {
			_, err := c.Transaction(n.t.Context(), id)
			return err
		})
	}
}

// heights returns the heights of peers.
func (n *town) heights(peers ...*peer) (list []int64) {
	n.t.Helper()
	for _, p := range peers {
		list = append(list, n.height(p))
	}
	return list
}

// still waits until what was under way has come to its end at peers, and returns their heights.
func (n *town) still(peers ...*peer) (heights []int64) {
	n.t.Helper()
	eventually(n.t, ledgerPatience, func() error {
		heights = n.heights(peers...)
		time.Sleep(underWay)
		if now := n.heights(peers...); !slices.Equal(heights, now) {
			return fmt.Errorf("heights go from %v to %v", heights, now)
		}
		return nil
	})
	return heights
}

// acknowledgedAfter is acknowledged, and tells how long it took.
func (n *town) acknowledgedAfter(what string, more int) {
	n.t.Helper()
	began := time.Now()
	n.acknowledged(more)
	n.t.Logf("%s: %d more transfers are acknowledged after %s", what, more, time.Since(began).Round(time.Millisecond))
}

// refusesForQuorum wants a command that waits for a block at a peer to end, when its time is over, with the exit code that says that this is open.
func (n *town) refusesForQuorum(p *peer) {
	n.t.Helper()
	r := p.command("", "ledger", "anchor", p.Home+"/network.json", "--by", "operator", "--timeout", shortTimeout)
	if r.Code != 4 {
		n.t.Errorf("without a quorum %s answers with exit code %d, want 4: %s%s", p.name, r.Code, r.Stdout, r.Stderr)
	}
	n.t.Logf("%s: %s", p.name, r.Stderr)
}

// TestLedgerClock has the clock of one validator ahead by minutes, then behind, and then right again. The others go on all the time, at their own time, and it follows them.
func TestLedgerClock(t *testing.T) {
	needs(t, clocks)
	n := newTown(t)
	load := n.pay()
	wrong := n.peers[n.random.IntN(validators)]
	for _, ahead := range []time.Duration{7 * time.Minute, -7 * time.Minute, 0} {
		check(t, wrong.Kill())
		wrong.Ahead = ahead
		n.start(wrong)
		what := fmt.Sprintf("%s has a clock %s ahead", wrong.name, ahead)
		n.acknowledgedAfter(what, 30)
		n.reach(n.height(n.peers[0]), n.peers...)
		n.rightTime(what)
		s, err := n.status(wrong)
		check(t, err)
		if says := strings.Contains(s.Problem, "clock"); says != (ahead < 0) {
			t.Errorf("%s, and says: %q", what, s.Problem)
		}
	}
	load.end()
	n.audit()
}

// maxDrift is how far the ledger's time may be from the machine's while people pay: a block takes the time of the one before.
const maxDrift = 30 * time.Second

// rightTime wants the ledger's time to be that of most clocks.
func (n *town) rightTime(what string) {
	n.t.Helper()
	for _, p := range n.peers {
		s, err := n.status(p)
		check(n.t, err)
		if drift := time.Since(s.Time); drift < -time.Second || drift > maxDrift {
			n.t.Errorf("%s: the last block of %s is of %s ago", what, p.name, drift)
		}
	}
}

// lossRate is the share of packets that get lost.
const lossRate = 0.3

// TestLedgerLoss loses packets, first those to one validator and then those to all.
func TestLedgerLoss(t *testing.T) {
	needs(t, losses)
	n := newTown(t)
	load := n.pay()
	check(t, n.hosts[n.random.IntN(validators)].Lose(lossRate))
	n.acknowledgedAfter("one link loses packets", 30)
	for _, h := range n.hosts {
		check(t, h.Lose(lossRate))
	}
	n.acknowledgedAfter("all links lose packets", 10)
	for _, h := range n.hosts {
		check(t, h.Lose(0))
	}
	n.acknowledgedAfter("no link loses packets", 10)
	load.end()
	n.audit()
}
