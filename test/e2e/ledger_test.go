//go:build e2e && linux

package e2e

import (
	"testing"
	"time"
)

// TestLedgerKills kills one validator after the other and starts it again while people pay, and then all at once.
func TestLedgerKills(t *testing.T) {
	n := newTown(t)
	load := n.pay()
	n.acknowledged(5)
	for round := range 2 {
		for _, i := range n.random.Perm(validators) {
			victim := n.peers[i]
			check(t, victim.Kill())
			n.acknowledged(5)
			n.start(victim)
			began := time.Now()
			n.reach(n.height(n.peers[(i+1)%validators]), victim)
			t.Logf("round %d: %s has caught up %s after its start", round+1, victim.name, time.Since(began).Round(time.Millisecond))
		}
	}
	for _, p := range n.peers {
		check(t, p.Kill())
	}
	n.start(n.peers...)
	n.acknowledged(10)
	load.end()
	n.audit()
}
