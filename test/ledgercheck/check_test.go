package ledgercheck

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// newRand returns random numbers of a seed that it prints, or of MOOT_SEED.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("MOOT_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("MOOT_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// world is a ledger that keeps its promises, until a test breaks one.
type world struct {
	history History
	chains  []*Chain
	random  *rand.Rand
}

// newWorld makes a history and the chains of four nodes, one of which is behind.
func newWorld(random *rand.Rand) *world {
	const accounts, issued, height = 4, 100, 40
	w := &world{random: random}
	balances := make(map[string]uint64)
	founding := Transaction{ID: "founding", Applied: true}
	for i := range accounts {
		founding.Movements = append(founding.Movements, Movement{To: fmt.Sprint("account", i), Amount: issued})
		balances[fmt.Sprint("account", i)] = issued
	}
	blocks := []Block{{1, "hash1", []Transaction{founding}}}
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for h := int64(2); h <= height; h++ {
		b := Block{Height: h, Hash: fmt.Sprint("hash", h)}
		for n := range random.IntN(3) + 1 {
			m := Movement{fmt.Sprint("account", random.IntN(accounts)), fmt.Sprint("account", random.IntN(accounts)), random.Uint64N(issued)}
			applied := balances[m.From] >= m.Amount
			if applied {
				balances[m.From] -= m.Amount
				balances[m.To] += m.Amount
			}
			t := Transfer{ID: fmt.Sprintf("transfer %d.%d", h, n), Movement: m, Outcome: Committed, Height: h, Applied: applied, Call: clock, Return: clock.Add(time.Second)}
			if random.IntN(4) == 0 {
				t.Outcome, t.Height, t.Applied = Unknown, 0, false
			}
			w.history.Add(t)
			b.Transactions = append(b.Transactions, Transaction{t.ID, applied, []Movement{m}})
		}
		blocks = append(blocks, b)
		clock = clock.Add(2 * time.Second)
	}
	w.history.Add(Transfer{ID: "never came", Movement: Movement{"account0", "account1", 1}, Call: clock, Return: clock})
	w.history.Add(Transfer{ID: "refused", Movement: Movement{"account0", "account1", 1}, Outcome: Refused, Call: clock, Return: clock})
	for i := range 4 {
		c := &Chain{Node: fmt.Sprint("node", i), Root: "root", Balances: make(map[string]uint64), Supply: accounts * issued}
		for _, b := range blocks {
			b.Transactions = slices.Clone(b.Transactions)
			c.Blocks = append(c.Blocks, b)
		}
		for account, n := range balances {
			c.Balances[account] = n
		}
		w.chains = append(w.chains, c)
	}
	empty := Block{Height: height + 1, Hash: "the last"}
	for _, c := range w.chains[:3] {
		c.Blocks, c.Root = append(c.Blocks, empty), "root too"
	}
	return w
}

// some returns a node with a block and the index of a transaction in it, for which f holds.
func (w *world) some(f func(t *Transaction) bool) (*Chain, *Block, int) {
	for {
		c := w.chains[w.random.IntN(len(w.chains))]
		b := &c.Blocks[w.random.IntN(len(c.Blocks))]
		for i := range b.Transactions {
			if f(&b.Transactions[i]) {
				return c, b, i
			}
		}
	}
}

// outcome returns what the client was told of a transaction.
func (w *world) outcome(t *Transaction) Outcome {
	for _, one := range w.history.transfers {
		if one.ID == t.ID {
			return one.Outcome
		}
	}
	return Unknown
}

func (w *world) transfer(t *Transaction) bool { return t.ID != "founding" }

// everywhere does the same to a block at all nodes.
func (w *world) everywhere(height int64, f func(c *Chain, b *Block)) {
	for _, c := range w.chains {
		f(c, &c.Blocks[height-1])
	}
}

// TestCheck breaks each promise in a history in which all are kept.
func TestCheck(t *testing.T) {
	random := newRand(t)
	committed := func(w *world) func(*Transaction) bool {
		return func(t *Transaction) bool { return w.outcome(t) == Committed }
	}
	for _, tt := range []struct {
		name, promise string
		spoil         func(w *world)
	}{
		{"nothing", "", func(*world) {}},
		{"one lost at one node", NothingLost, func(w *world) {
			_, b, i := w.some(committed(w))
			b.Transactions = slices.Delete(b.Transactions, i, i+1)
		}},
		{"one lost at all nodes", NothingLost, func(w *world) {
			_, at, i := w.some(committed(w))
			w.everywhere(at.Height, func(_ *Chain, b *Block) { b.Transactions = slices.Delete(b.Transactions, i, i+1) })
		}},
		{"a node that lacks the end", NothingLost, func(w *world) {
			c, b, _ := w.some(committed(w))
			c.Blocks = c.Blocks[:b.Height-1]
		}},
		{"one in another block than was told", NothingLost, func(w *world) {
			t := w.history.transfers[0]
			t.Outcome, t.Height = Committed, 1
		}},
		{"one that failed and was told to be applied", NothingLost, func(w *world) {
			_, at, i := w.some(committed(w))
			w.everywhere(at.Height, func(_ *Chain, b *Block) { b.Transactions[i].Applied = !b.Transactions[i].Applied })
		}},
		{"one doubled in a later block", AtMostOnce, func(w *world) {
			_, at, i := w.some(w.transfer)
			w.everywhere(w.chains[3].Height(), func(_ *Chain, b *Block) { b.Transactions = append(b.Transactions, at.Transactions[i]) })
		}},
		{"one doubled in its block", AtMostOnce, func(w *world) {
			_, b, i := w.some(w.transfer)
			b.Transactions = append(b.Transactions, b.Transactions[i])
		}},
		{"a fork", OneChain, func(w *world) {
			_, b, _ := w.some(w.transfer)
			b.Hash = "another"
		}},
		{"a fork in what is not hashed", OneChain, func(w *world) {
			_, b, i := w.some(w.transfer)
			b.Transactions[i].Applied = !b.Transactions[i].Applied
		}},
		{"another root", OneChain, func(w *world) { w.chains[1].Root = "another" }},
		{"a hole", OneChain, func(w *world) { w.chains[2].Blocks = slices.Delete(w.chains[2].Blocks, 7, 8) }},
		{"an invented transfer", NothingInvented, func(w *world) {
			w.everywhere(9, func(_ *Chain, b *Block) {
				b.Transactions = append(b.Transactions, Transaction{"nobody's", false, []Movement{{"account0", "account1", 1}}})
			})
		}},
		{"another amount", NothingInvented, func(w *world) {
			_, b, i := w.some(w.transfer)
			m := b.Transactions[i].Movements[0]
			m.Amount++
			b.Transactions[i].Movements = []Movement{m}
		}},
		{"a refused one in a block", RefusedIsOver, func(w *world) {
			w.everywhere(w.chains[3].Height(), func(_ *Chain, b *Block) {
				b.Transactions = append(b.Transactions, Transaction{"refused", false, []Movement{{"account0", "account1", 1}}})
			})
		}},
		{"one before what it followed", InOrder, func(w *world) {
			t := w.history.transfers[0]
			t.Call = t.Call.Add(time.Hour)
			t.Return = t.Call
		}},
		{"a balance too high", BalancesFollow, func(w *world) { w.chains[w.random.IntN(4)].Balances["account1"]++ }},
		{"an account from nowhere", BalancesFollow, func(w *world) { w.chains[w.random.IntN(4)].Balances["account9"] = 1 }},
		{"an account that is left out", BalancesFollow, func(w *world) {
			w.chains[0].Balances["account1"] += w.chains[0].Balances["account0"] + 1
			delete(w.chains[0].Balances, "account0")
		}},
		{"more spent than there was", BalancesFollow, func(w *world) {
			w.everywhere(2, func(_ *Chain, b *Block) {
				b.Transactions = append(b.Transactions, Transaction{"much", true, []Movement{{"account0", "account1", 1000}, {"account1", "account0", 1000}}})
			})
		}},
		{"money from nowhere", SupplyIsKept, func(w *world) { w.chains[w.random.IntN(4)].Supply++ }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 {
				w := newWorld(random)
				tt.spoil(w)
				found := Check(&w.history, w.chains)
				if tt.promise == "" {
					if len(found) != 0 {
						t.Fatalf("found where nothing is wrong: %v", found)
					}
				} else if !slices.ContainsFunc(found, func(v *Violation) bool { return v.Promise == tt.promise }) {
					t.Fatalf("not found to be broken: %s; found %v", tt.promise, found)
				}
			}
		})
	}
}

// TestCount counts outcomes.
func TestCount(t *testing.T) {
	var h History
	for _, o := range []Outcome{Committed, Unknown, Committed, Refused} {
		h.Add(Transfer{Outcome: o})
	}
	if h.Count(Committed) != 2 || h.Count(Unknown) != 1 || h.Count(Refused) != 1 {
		t.Errorf("counted %d, %d, %d", h.Count(Committed), h.Count(Unknown), h.Count(Refused))
	}
}
