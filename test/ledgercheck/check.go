package ledgercheck

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The promises that Check looks at.
const (
	OneChain        = "no two nodes have different blocks"
	NothingLost     = "what was acknowledged is in the block that was told, at every node"
	AtMostOnce      = "nothing happens twice"
	NothingInvented = "no money moves but as a client asked"
	RefusedIsOver   = "what was refused is in no block"
	InOrder         = "what is handed in after something was acknowledged is in a later block"
	BalancesFollow  = "balances are what the blocks lead to, and never below zero"
	SupplyIsKept    = "the balances together are what there is"
)

// A Violation is a broken promise.
type Violation struct {
	Promise string
	// Node is where it was seen.
	Node   string
	Detail string
}

// Error tells the violation.
func (v *Violation) Error() string { return fmt.Sprintf("%s: at %s: %s", v.Promise, v.Node, v.Detail) }

// place is where a transaction is in a chain.
type place struct {
	height int64
	*Transaction
}

// checker checks one chain.
type checker struct {
	transfers []*Transfer
	chain     *Chain
	places    map[string]place // by id; of one that is there twice the first
	found     []*Violation
}

// Check returns the promises that history and chains show to be broken; none when all were kept.
func Check(h *History, chains []*Chain) []*Violation {
	found := compare(chains)
	transfers := h.Transfers()
	for _, chain := range chains {
		c := &checker{transfers: transfers, chain: chain, places: make(map[string]place)}
		c.once()
		c.outcomes()
		c.invented()
		c.order()
		c.money()
		found = append(found, c.found...)
	}
	return found
}

func (c *checker) report(promise, format string, args ...any) {
	c.found = append(c.found, &Violation{promise, c.chain.Node, fmt.Sprintf(format, args...)})
}

// compare holds the chains against one another. Those that are shorter must be the beginning of the others.
func compare(chains []*Chain) (found []*Violation) {
	type seen struct{ node, what string }
	blocks, roots := make(map[int64]seen), make(map[int64]seen)
	agree := func(at map[int64]seen, c *Chain, height int64, kind, what string) {
		if first, ok := at[height]; !ok {
			at[height] = seen{c.Node, what}
		} else if first.what != what {
			found = append(found, &Violation{OneChain, c.Node, fmt.Sprintf("%s %d is %s, and %s at %s", kind, height, what, first.what, first.node)})
		}
	}
	for _, c := range chains {
		for i := range c.Blocks {
			b := &c.Blocks[i]
			if b.Height != int64(i)+1 {
				found = append(found, &Violation{OneChain, c.Node, fmt.Sprintf("block %d stands where block %d should", b.Height, i+1)})
			}
			agree(blocks, c, b.Height, "block", b.Hash)
			agree(blocks, c, -b.Height, "what is in block", b.ids())
		}
		agree(roots, c, c.Height(), "the root after block", c.Root)
	}
	return found
}

// ids tells what is in a block and what became of it.
func (b *Block) ids() string {
	var text strings.Builder
	for i := range b.Transactions {
		fmt.Fprintf(&text, "%s %t ", b.Transactions[i].ID, b.Transactions[i].Applied)
	}
	return text.String()
}

// once notes where transactions are, each of which may be in one place.
func (c *checker) once() {
	for i := range c.chain.Blocks {
		b := &c.chain.Blocks[i]
		for j := range b.Transactions {
			t := &b.Transactions[j]
			if first, ok := c.places[t.ID]; ok {
				c.report(AtMostOnce, "transaction %s is in block %d, and in block %d", t.ID, first.height, b.Height)
				continue
			}
			c.places[t.ID] = place{b.Height, t}
		}
	}
}

// outcomes holds what clients were told against where transfers are.
func (c *checker) outcomes() {
	ids := make(map[string]bool)
	for _, t := range c.transfers {
		if ids[t.ID] {
			c.report(AtMostOnce, "the clients themselves handed in transfer %s twice", t.ID)
		}
		ids[t.ID] = true
		at, there := c.places[t.ID]
		switch {
		case t.Outcome == Refused && there:
			c.report(RefusedIsOver, "it is in block %d: %s", at.height, t)
		case t.Outcome != Committed:
		case !there:
			c.report(NothingLost, "it is nowhere: %s", t)
		case at.height != t.Height || at.Applied != t.Applied:
			c.report(NothingLost, "it is in block %d, applied %t: %s", at.height, at.Applied, t)
		}
	}
}

// invented looks for money that moves from an account without being asked to.
func (c *checker) invented() {
	asked := make(map[string]*Transfer)
	for _, t := range c.transfers {
		asked[t.ID] = t
	}
	for id, at := range c.places {
		t := asked[id]
		switch {
		case t != nil && !slices.Equal(at.Movements, []Movement{t.Movement}):
			c.report(NothingInvented, "block %d moves %v: %s", at.height, at.Movements, t)
		case t == nil && slices.ContainsFunc(at.Movements, func(m Movement) bool { return m.From != "" }):
			c.report(NothingInvented, "nobody handed in transaction %s of block %d, which moves %v", id, at.height, at.Movements)
		}
	}
}

// order looks for what was handed in after something was acknowledged, and is in no later block.
func (c *checker) order() {
	var acknowledged []*Transfer
	for _, t := range c.transfers {
		if t.Outcome == Committed {
			acknowledged = append(acknowledged, t)
		}
	}
	slices.SortFunc(acknowledged, func(a, b *Transfer) int { return a.Return.Compare(b.Return) })
	highest := make([]*Transfer, len(acknowledged)) // of the acknowledged ones up to each
	for i, t := range acknowledged {
		if highest[i] = t; i > 0 && highest[i-1].Height > t.Height {
			highest[i] = highest[i-1]
		}
	}
	for _, t := range c.transfers {
		at, there := c.places[t.ID]
		before, _ := slices.BinarySearchFunc(acknowledged, t.Call, func(a *Transfer, call time.Time) int { return a.Return.Compare(call) })
		if there && before > 0 && highest[before-1].Height >= at.height {
			c.report(InOrder, "it is in block %d: %s; this was acknowledged before: %s", at.height, t, highest[before-1])
		}
	}
}
