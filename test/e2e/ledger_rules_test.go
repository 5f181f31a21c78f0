//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/moottest"
)

const (
	// nextRules is the build tag of a program that knows one version of the rules more.
	nextRules = "nextrules"
	// rulesLater is how many blocks after the proposal the rules change: more than the votes take.
	rulesLater = 30
)

// TestLedgerRules changes the ledger's rules: three of four validators are upgraded before, one after the other; the fourth stops before the first block of the new rules, says what to install, again after a restart, and goes on
// with its records; with the newer program it goes on with the ledger, too.
func TestLedgerRules(t *testing.T) {
	newer, err := moottest.Build(t.Context(), t.TempDir(), nextRules)
	check(t, err)
	n := newTown(t)
	old := n.random.IntN(validators)
	stale := n.peers[old]
	var upgraded []*peer
	for i, p := range n.peers {
		if i != old {
			p.terminate(startPatience)
			p.Binary = newer
			n.start(p)
			n.reach(n.height(stale), p)
			upgraded = append(upgraded, p)
		}
	}
	stale.do("put", "notice", "before")

	from := n.height(upgraded[0]) + rulesLater
	made := decode[struct{ Proposal string }](t, upgraded[0].do("ledger", "rules", "propose", "2", "--from", fmt.Sprint(from), "--by", "operator", "--json"))
	for _, p := range []*peer{upgraded[1], stale} { // the word of the operator of an old one counts as well
		p.do("ledger", "validators", "vote", made.Proposal, "--by", "operator")
	}
	for _, p := range n.peers {
		eventually(t, ledgerPatience, func() error {
			if r := decode[v1.Rules](t, p.do("ledger", "rules", "--json")); r.Version != 1 || r.Next != 2 || r.From != from {
				return fmt.Errorf("%s says of the rules: %+v", p.name, r)
			}
			return nil
		})
	}
	for _, p := range n.peers {
		warned := strings.Contains(p.do("ledger"), "install a program that knows version 2")
		if warned != (p == stale) {
			t.Errorf("before the rules change %s warns: %t", p.name, warned)
		}
	}

	load := n.pay()
	n.reach(from+5, upgraded...)
	n.stoppedForRules(stale, from)
	check(t, stale.Kill())
	check(t, stale.Start())
	n.stoppedForRules(stale, from)
	if got := upgraded[0].do("get", "notice"); got != "after" {
		t.Errorf("the record is %q", got)
	}
	check(t, stale.Signal(syscall.SIGTERM))
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	code, err := stale.Wait(ctx)
	check(t, err)
	if code != 1 || !strings.Contains(stale.Output(), "install a program that knows version 2") {
		t.Errorf("the old program ends with exit code %d", code)
	}

	stale.Binary = newer
	n.start(stale)
	n.reach(n.height(upgraded[0]), stale)
	n.acknowledged(5)
	load.end()
	n.audit()
}

// stoppedForRules waits until a peer says that it has stopped before the block of a height for want of its rules, and wants records to go on.
func (n *town) stoppedForRules(p *peer, height int64) {
	n.t.Helper()
	eventually(n.t, ledgerPatience, func() error {
		err := p.Ready(n.t.Context())
		if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "install a program that knows version 2") {
			return fmt.Errorf("%s is ready: %v", p.name, err)
		}
		return nil
	})
	if h := n.height(p); h != height-1 {
		n.t.Errorf("%s has stopped at block %d, want %d", p.name, h, height-1)
	}
	r := p.command("", "ledger", "anchor", p.Home+"/network.json", "--by", "operator", "--timeout", shortTimeout)
	if r.Code != 4 || !strings.Contains(r.Stderr, "install a program that knows version 2") {
		n.t.Errorf("a transaction at %s: exit code %d, want 4: %s%s", p.name, r.Code, r.Stdout, r.Stderr)
	}
	p.do("put", "notice", "after")
	if got := p.do("get", "notice"); got != "after" {
		n.t.Errorf("%s has the record %q", p.name, got)
	}
}
