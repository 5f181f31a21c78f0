package ledgercheck

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Outcome is what a client was told of a transfer.
type Outcome uint8

const (
	// Unknown: an error that leaves it open, or no answer. The transfer may be in a block, or come into one.
	Unknown Outcome = iota
	// Committed: it is in a block.
	Committed
	// Refused: it will be in no block.
	Refused
)

// String returns the outcome's name.
func (o Outcome) String() string { return [...]string{"unknown", "committed", "refused"}[o] }

// A Movement is money that goes from one account to another. From is empty for what is issued, To for what is retired.
type Movement struct {
	From, To string
	Amount   uint64
}

// A Transfer is a transaction of one movement that a client handed in, perhaps at several nodes, and what it was told in the end.
type Transfer struct {
	ID string
	Movement
	// Call is when it was first handed in, and Return when the last answer came, by one clock.
	Call, Return time.Time
	Outcome      Outcome
	// Height and Applied are what was told of a transfer that is Committed.
	Height  int64
	Applied bool
	// Detail is for people: the nodes that were asked and what they answered.
	Detail string
}

// String tells the transfer in one line.
func (t *Transfer) String() string {
	return fmt.Sprintf("%s: %d from %.12s to %.12s at %s for %s: %s (height %d, applied %t) %s",
		t.ID, t.Amount, t.From, t.To, t.Call.Format("15:04:05.000"), t.Return.Sub(t.Call).Round(time.Millisecond), t.Outcome, t.Height, t.Applied, t.Detail)
}

// History is what clients did. The zero value is empty; its methods may be called from many goroutines.
type History struct {
	mu        sync.Mutex
	transfers []*Transfer // guarded by mu
}

// Add adds a transfer that nobody waits for any more.
func (h *History) Add(t Transfer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.transfers = append(h.transfers, &t)
}

// Transfers returns what was added so far, in that order. It must not be changed.
func (h *History) Transfers() []*Transfer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.transfers)
}

// Count returns how many transfers have an outcome.
func (h *History) Count(o Outcome) (n int) {
	for _, t := range h.Transfers() {
		if t.Outcome == o {
			n++
		}
	}
	return n
}

// A Transaction is one in a block.
type Transaction struct {
	ID string
	// Applied: it did what it says. Otherwise it is recorded as failed, and did nothing.
	Applied   bool
	Movements []Movement
}

// A Block is one of a chain.
type Block struct {
	Height       int64
	Hash         string
	Transactions []Transaction
}

// A Chain is what one node has.
type Chain struct {
	Node string
	// Blocks are all from height 1 on, in ascending order.
	Blocks []Block
	// Root is the root of the state after the last block.
	Root string
	// Balances are what the node says that accounts have, and Supply how much it says that there is. Accounts that have nothing may be left out.
	Balances map[string]uint64
	Supply   uint64
}

// Height returns the height of the last block.
func (c *Chain) Height() int64 { return int64(len(c.Blocks)) }
