//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/test/ledgercheck"
)

const (
	// payers is how many clients pay at once, each one transfer after the other.
	payers = 4
	// maxPause is the longest a payer rests between two transfers: a town lives on, it is not a benchmark.
	maxPause = 100 * time.Millisecond
	// attemptTime is how long a payer waits for one node before it hands the same transfer in at another, and payTime how long it tries in all.
	attemptTime = 4 * time.Second
	payTime     = 40 * time.Second
	// maxAmount bounds a transfer, in cents.
	maxAmount = 500
)

// A load is people paying one another.
type load struct {
	stop context.CancelFunc
	all  sync.WaitGroup
}

// pay makes people pay one another at any of the town's nodes until the load ends, at the latest with the test.
func (n *town) pay() *load {
	ctx, stop := context.WithCancel(n.t.Context())
	l := &load{stop: stop}
	for range payers {
		random := rand.New(rand.NewPCG(n.seed, n.random.Uint64()))
		l.all.Go(func() {
			for ctx.Err() == nil {
				n.transfer(ctx, random)
				time.Sleep(time.Duration(random.Int64N(int64(maxPause))))
			}
		})
	}
	n.t.Cleanup(l.end)
	return l
}

// end ends the load. What is under way may still be answered.
func (l *load) end() {
	l.stop()
	l.all.Wait()
}

// transfer pays once and notes what became of it.
func (n *town) transfer(ctx context.Context, random *rand.Rand) {
	transfer, encoded, err := n.newTransfer(random)
	if err != nil {
		n.t.Errorf("sign a transfer: %v", err)
		return
	}
	n.handIn(ctx, random, encoded, &transfer)
	transfer.Return = time.Now()
	n.history.Add(transfer)
}

// newTransfer makes a transfer between two people, perhaps the same, which is handed in from now on.
func (n *town) newTransfer(random *rand.Rand) (ledgercheck.Transfer, []byte, error) {
	from, to := n.people[random.IntN(len(n.people))], n.people[random.IntN(len(n.people))]
	amount := random.Uint64N(maxAmount) + 1
	id, encoded, err := n.sign(random.Uint64(), from, &ledger.Transfer{Asset: n.asset, From: from.id, To: to.id, Amount: ledger.NewAmount(amount)})
	return ledgercheck.Transfer{ID: id, Movement: ledgercheck.Movement{From: from.id.String(), To: to.id.String(), Amount: amount}, Call: time.Now()}, encoded, err
}

// handIn hands the same transfer in at one node after the other, in random order, until it is known what became of it.
func (n *town) handIn(ctx context.Context, random *rand.Rand, encoded []byte, transfer *ledgercheck.Transfer) {
	ctx, cancel := context.WithTimeout(ctx, payTime)
	defer cancel()
	for attempt := 0; ; attempt++ {
		i := random.IntN(len(n.clients))
		try, done := context.WithTimeout(ctx, attemptTime)
		status, err := n.clients[i].SubmitTransaction(try, encoded, v1.SubmitOptions{})
		done()
		if err == nil {
			transfer.Outcome, transfer.Height, transfer.Applied = ledgercheck.Committed, status.Height, status.Applied
			transfer.Detail += n.peers[i].name
			return
		}
		transfer.Detail += fmt.Sprintf("%s: %v; ", n.peers[i].name, err)
		switch fault.KindOf(err) {
		case fault.Invalid, fault.Forbidden, fault.NotFound, fault.Conflict, fault.TooLarge:
			if attempt == 0 { // at a later one the answer says nothing about what other nodes do with it
				transfer.Outcome = ledgercheck.Refused
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollInterval):
		}
	}
}

// acknowledged waits until that many more transfers were acknowledged than now.
func (n *town) acknowledged(more int) {
	n.t.Helper()
	before := n.history.Count(ledgercheck.Committed)
	eventually(n.t, ledgerPatience, func() error {
		if now := n.history.Count(ledgercheck.Committed); now < before+more {
			return fmt.Errorf("%d transfers were acknowledged, want %d", now-before, more)
		}
		return nil
	})
}
