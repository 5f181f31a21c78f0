package node_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/node"
)

// vouched lets a validator vote again as if its owner had vouched for it two minutes before the last block, which is when the key is trusted to be out of use.
func (n *town) vouched(i int, last time.Time) {
	n.t.Helper()
	s, err := signer.Read(filepath.Join(n.homes[i], "validator"))
	if err == nil {
		err = s.Vouch(last.Add(-2*time.Minute), false)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// TestRestoredValidator: one of four is restored while it still runs, and has no vote; it comes back once the old one is gone.
func TestRestoredValidator(t *testing.T) {
	t.Parallel()
	const original = 3
	n := newTown(t, 4)
	data := n.backup(original)
	n.pay(0, 10)

	restored := n.restore(data)
	n.start(restored)
	n.eventually("the restored node follows", func() bool { return n.bobs(restored) == "10" })
	if got := n.problem(restored); !strings.Contains(got, "restored from a backup") {
		t.Fatalf("the restored node says %q", got)
	}
	// Nobody vouched, or too late ago: it stays without a vote, however long the old one is silent.
	for range 5 {
		n.pay(0, 1)
	}
	if got := n.problem(original); got != "" {
		t.Fatalf("the one that was saved says %q", got)
	}
	if err := node.ResumeValidator(n.homes[restored], node.ResumeOptions{}); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("vouched for while it runs: %v", err)
	}
	n.stop(restored)

	// The owner is wrong: the old one still runs and signs.
	if err := node.ResumeValidator(n.homes[restored], node.ResumeOptions{GivenUp: true}); err != nil { // and that nobody has what it signed is not so either
		t.Fatal(err)
	}
	n.start(restored)
	for range 5 {
		n.pay(0, 1)
	}
	n.eventually("the restored node follows", func() bool { return n.bobs(restored) == "20" })
	if got := n.problem(restored); !strings.Contains(got, "vouched") { // a minute later it says, too, that the old one was seen
		t.Fatalf("the restored node says %q", got)
	}
	n.wantPowers(0, 4)

	n.stop(original) // now it is gone
	n.stop(restored)
	n.start(restored)
	n.pay(0, 1)
	n.pay(0, 1)
	n.eventually("the restored node follows", func() bool { return n.bobs(restored) == "22" })
	last, err := n.client(restored).Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.stop(restored)
	n.vouched(restored, last.Time)
	n.start(restored)
	for paid := 0; n.problem(restored) != ""; paid++ {
		if paid > 300 {
			t.Fatalf("the restored node still says %q", n.problem(restored))
		}
		n.pay(0, 1)
	}
	// With another one away no block is made without its vote.
	n.stop(2)
	n.pay(0, 1)
	n.wantPowers(0, 4)
}

// TestOldBackupOfTheFirstValidator: the backup is from when the validator was the only one, and its owner says that what was signed since is lost. Others were voted in since, who have gone on: it follows them, and begins
// no history of its own.
func TestOldBackupOfTheFirstValidator(t *testing.T) {
	t.Parallel()
	n := newTown(t, 1)
	n.pay(0, 10)
	data := n.backup(0)

	home, operator := filepath.Join(t.TempDir(), "second"), newSignatory(t)
	key, err := node.ValidatorKey(home)
	if err == nil {
		_, err = node.JoinHome(home, n.genesis)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.homes, n.nodes, n.stops = append(n.homes, home), append(n.nodes, nil), append(n.stops, nil)
	n.start(1)
	n.commit(0, n.operator[0], &ledger.Propose{By: n.operator[0].id, Proposal: ledger.Proposal{SetPower: &ledger.SetPower{Validator: key, Operator: operator.id, Power: 10}}})
	n.eventually("the second votes", func() bool {
		v, err := n.client(1).Validators(t.Context())
		return err == nil && v.Total == 11
	})
	n.pay(1, 1)
	n.stop(0)
	n.destroy(0)
	n.pay(1, 4) // its power is enough

	restored := n.restore(data)
	if err := node.ResumeValidator(n.homes[restored], node.ResumeOptions{GivenUp: true}); err != nil {
		t.Fatal(err)
	}
	n.start(restored)
	n.eventually("the restored node follows", func() bool { return n.bobs(restored) == "15" })
	n.eventually("it says that it is not the only validator any more", func() bool { return strings.Contains(n.problem(restored), "there are other validators") })
	if err := n.nodes[restored].RecordsReady(); err != nil && strings.Contains(err.Error(), "ledger") {
		t.Errorf("its records are not served: %v", err)
	}
	n.pay(1, 1)
	n.eventually("the restored node goes on to follow", func() bool { return n.bobs(restored) == "16" })
	last, err := n.client(1).Block(t.Context(), n.height(restored))
	if err != nil {
		t.Fatal(err)
	}
	if same, err := n.client(restored).Block(t.Context(), last.Height); err != nil || same.Hash != last.Hash {
		t.Errorf("block %d is %s and %s: %v", last.Height, last.Hash, same.Hash, err)
	}
}

// TestRestoreTheOnlyValidator: a network of one validator goes on from a backup, with the blocks that others have.
func TestRestoreTheOnlyValidator(t *testing.T) {
	t.Parallel()
	n := newTown(t, 1)
	n.pay(0, 10)
	data := n.backup(0)
	n.pay(0, 5) // is not in the backup

	n.homes, n.nodes, n.stops = append(n.homes, filepath.Join(t.TempDir(), "follower")), append(n.nodes, nil), append(n.stops, nil)
	const follower = 1
	if _, err := node.JoinHome(n.homes[follower], n.genesis); err != nil {
		t.Fatal(err)
	}
	n.start(follower)
	n.eventually("the follower has all", func() bool { return n.bobs(follower) == "15" })
	n.idle(0, follower) // or it may have the last block, which follows a payment, a moment after the restored node was asked
	n.stop(0)
	n.destroy(0)

	restored := n.restore(data)
	n.start(restored)
	n.eventually("the restored node fetches what others have", func() bool { return n.bobs(restored) == "15" })
	if got := n.problem(restored); !strings.Contains(got, "restored from a backup") {
		t.Fatalf("the restored node says %q", got)
	}
	n.eventually("the restored node has the last block that others have", func() bool { return n.height(restored) == n.height(follower) })
	n.stop(restored)
	if err := node.ResumeValidator(n.homes[restored], node.ResumeOptions{GivenUp: true}); err != nil {
		t.Fatal(err)
	}
	n.start(restored)
	n.pay(restored, 1)
	n.eventually("the follower follows the restored one", func() bool { return n.bobs(follower) == "16" })
	if err := node.ResumeValidator(n.homes[0], node.ResumeOptions{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("vouched where there is no node: %v", err)
	}
	n.stop(restored)
	if err := node.ResumeValidator(n.homes[restored], node.ResumeOptions{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("vouched for one that votes: %v", err)
	}
	// Of a stopped node the backup is the last word.
	moved := n.restore(n.backup(restored))
	if err := node.ResumeValidator(n.homes[moved], node.ResumeOptions{GivenUp: true}); err != nil {
		t.Fatal(err)
	}
	n.start(moved)
	n.pay(moved, 1)
	n.eventually("the follower follows the moved one", func() bool { return n.bobs(follower) == "17" })
}
