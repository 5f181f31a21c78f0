package state_test

import (
	"bytes"
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

var network = ledger.Hash{1}

// holder is an account of one key.
type holder struct {
	id   ledger.AccountID
	keys ledger.KeySet
	key  ed25519.PrivateKey
}

func newHolder(i int) *holder {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[1] = byte(i), byte(i>>8)
	h := &holder{key: ed25519.NewKeyFromSeed(seed)}
	h.keys = ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(h.key.Public().(ed25519.PublicKey))}}
	h.id = h.keys.ID()
	return h
}

// chain makes blocks on a store.
type chain struct {
	t       *testing.T
	rng     *rand.Rand
	store   *state.Store
	holders []*holder
	eur     ledger.AssetID
}

// newRand returns a source of randomness whose seed is printed.
func newRand(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func openStore(t *testing.T, fs vfs.FS) *state.Store {
	t.Helper()
	s, err := state.Open(state.Config{Dir: "state", FS: fs, Network: network})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// found returns a chain whose first block has an asset with something of it for each holder.
func found(t *testing.T, rng *rand.Rand, fs vfs.FS, holders int) *chain {
	c := &chain{t: t, rng: rng, store: openStore(t, fs)}
	for i := range holders {
		c.holders = append(c.holders, newHolder(i))
	}
	c.eur = ledger.AssetID{Code: "EUR", Issuer: c.holders[0].id}
	if err := c.commit(&state.Block{Height: 1, Time: 1_800_000_000_000, Changes: c.genesis().Entries()}); err != nil {
		t.Fatal(err)
	}
	first := []ledger.Operation{&ledger.DefineAsset{Asset: c.eur, Scale: 2}}
	for _, h := range c.holders {
		first = append(first, &ledger.Issue{Asset: c.eur, To: h.id, Amount: ledger.NewAmount(1_000_000)})
	}
	c.block(c.tx(c.holders[0], first...))
	return c
}

func (c *chain) genesis() *ledger.Genesis {
	return &ledger.Genesis{Network: "test", Limits: ledger.DefaultLimits(), Validators: []ledger.GenesisValidator{{Power: 1, Operator: c.holders[0].id}}}
}

func (c *chain) tx(by *holder, ops ...ledger.Operation) *ledger.Transaction {
	c.t.Helper()
	tx := &ledger.Transaction{Body: ledger.Body{ValidUntil: c.store.Tip().Time + 60_000, Salt: c.rng.Uint64(), Operations: ops}}
	if err := tx.Sign(network, by.id, &by.keys, by.key); err != nil {
		c.t.Fatal(err)
	}
	return tx
}

// transfer returns a transfer between random holders.
func (c *chain) transfer() *ledger.Transaction {
	from, to := c.holders[c.rng.IntN(len(c.holders))], c.holders[c.rng.IntN(len(c.holders))]
	return c.tx(from, &ledger.Transfer{Asset: c.eur, From: from.id, To: to.id, Amount: ledger.NewAmount(1 + c.rng.Uint64N(1000))})
}

// make returns the next block.
func (c *chain) make(txs ...*ledger.Transaction) *state.Block {
	c.t.Helper()
	v := c.store.View()
	defer v.Close()
	b := &state.Block{Height: v.Tip.Height + 1, Time: v.Tip.Time + 1000, Transactions: txs}
	lb, err := ledger.NewBlock(v, v, network, b.Height, b.Time)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, tx := range txs {
		if _, err := lb.Include(tx); err != nil {
			c.t.Fatal(err)
		}
	}
	o, err := lb.Finish()
	if err != nil {
		c.t.Fatal(err)
	}
	b.Changes, b.Results = o.Changes, o.Results
	return b
}

func (c *chain) commit(b *state.Block) error {
	p, err := c.store.Prepare(b)
	if err != nil {
		return err
	}
	return c.store.Commit(p)
}

// block makes the next block and commits it.
func (c *chain) block(txs ...*ledger.Transaction) {
	c.t.Helper()
	if err := c.commit(c.make(txs...)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chain) blocks(n, most int) {
	c.t.Helper()
	for range n {
		var txs []*ledger.Transaction
		for range c.rng.IntN(most + 1) {
			txs = append(txs, c.transfer())
		}
		c.block(txs...)
	}
}

// whole checks that the tree is that of the entries, and returns how many there are.
func whole(t *testing.T, s *state.Store) int {
	t.Helper()
	v := s.View()
	defer v.Close()
	var entries []tree.Entry
	if err := v.Ascend(nil, func(key, value []byte) bool {
		entries = append(entries, tree.NewEntry(key, value))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	tree.Sort(entries)
	root, err := tree.Build(func(yield func(tree.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}, func(_, _ []byte) error { return nil })
	if err != nil || root != v.Tip.Root {
		t.Fatalf("block %d has the root %x, and its entries %x, %v", v.Tip.Height, v.Tip.Root, root, err)
	}
	return len(entries)
}

func TestBlocksAreFound(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 20)
	defer c.store.Close()
	c.blocks(10, 8)
	one := c.transfer()
	c.block(c.transfer(), one)
	tip := c.store.Tip()
	c.blocks(5, 0)
	whole(t, c.store)

	v := c.store.View()
	defer v.Close()
	id := one.ID(network)
	at, ok, err := v.Find(id)
	if err != nil || !ok || at != (state.Position{Height: tip.Height, Index: 1}) {
		t.Fatalf("found at %v, %v, %v", at, ok, err)
	}
	b, err := v.Block(at.Height)
	if err != nil || b == nil || b.Time != tip.Time || b.Results[1].ID != id {
		t.Fatalf("block %d is %+v, %v", at.Height, b, err)
	}
	if got, want := ledger.AppendTransaction(nil, b.Transactions[1]), ledger.AppendTransaction(nil, one); !bytes.Equal(got, want) {
		t.Errorf("kept as %x, was %x", got, want)
	}
	if b, err := v.Block(tip.Height + 3); b != nil || err != nil {
		t.Errorf("a block without transactions is %v, %v", b, err)
	}
	if seen, err := v.Seen(id, one.ValidFrom()); !seen || err != nil {
		t.Errorf("seen: %v, %v", seen, err)
	}
	if seen, err := v.Seen(ledger.TransactionID{}, 0); seen || err != nil {
		t.Errorf("what never was is seen: %v, %v", seen, err)
	}
}

func TestProofs(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 50)
	defer c.store.Close()
	c.blocks(5, 10)
	v := c.store.View()
	defer v.Close()
	for _, h := range c.holders {
		key := ledger.BalanceKey(h.id, c.eur)
		value, proof, err := v.Prove(key)
		if err != nil || value == nil {
			t.Fatalf("%x, %v", value, err)
		}
		if err := proof.Present(v.Tip.Root, tree.NewEntry(key, value)); err != nil {
			t.Error(err)
		}
	}
	key := ledger.BalanceKey(ledger.AccountID{9}, c.eur)
	value, proof, err := v.Prove(key)
	if err != nil || value != nil {
		t.Fatalf("%x, %v", value, err)
	}
	if err := proof.Absent(v.Tip.Root, tree.HashKey(key)); err != nil {
		t.Error(err)
	}
}

// TestBlockProofs: what was in a block can be proven by the root after it, however long ago that was, also where a crash came before the proof was written.
func TestBlockProofs(t *testing.T) {
	fs := vfs.NewMem()
	c := found(t, newRand(t), fs, 20)
	roots := make(map[int64]tree.Hash)
	for range 20 {
		c.blocks(1, 3)
		roots[c.store.Tip().Height] = c.store.Tip().Root
	}
	c.block(c.transfer())
	tip := c.store.Tip()
	roots[tip.Height] = tip.Root
	if err := c.store.DropProof(tip.Height); err != nil {
		t.Fatal(err)
	}
	if err := c.store.Close(); err != nil {
		t.Fatal(err)
	}
	c.store = openStore(t, fs)
	defer c.store.Close()
	v := c.store.View()
	defer v.Close()
	for height, root := range roots {
		b, err := v.Block(height)
		if err != nil {
			t.Fatal(err)
		}
		value, proof, err := v.BlockProof(height)
		if err != nil || (value == nil) != (b == nil) {
			t.Fatalf("block %d: %x, %v", height, value, err)
		}
		if b == nil {
			continue
		}
		if err := proof.Present(root, tree.NewEntry(ledger.RecentKey(height), value)); err != nil {
			t.Errorf("block %d: %v", height, err)
		}
	}
}

// TestProposalsAreIndependent prepares several blocks on one state and commits one.
func TestProposalsAreIndependent(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 10)
	defer c.store.Close()
	before := c.store.View()
	defer before.Close()
	var pending []*state.Pending
	for range 4 {
		p, err := c.store.Prepare(c.make(c.transfer(), c.transfer()))
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	if c.store.Tip() != before.Tip {
		t.Fatal("preparing moved the store")
	}
	if err := c.store.Commit(pending[2]); err != nil {
		t.Fatal(err)
	}
	if c.store.Tip() != pending[2].Tip() {
		t.Errorf("the tip is %v, want %v", c.store.Tip(), pending[2].Tip())
	}
	for _, i := range []int{0, 2} {
		if err := c.store.Commit(pending[i]); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a second block on one state: %v", err)
		}
	}
	whole(t, c.store)
	// The view from before is what it was.
	value, proof, err := before.Prove(ledger.BalanceKey(c.holders[0].id, c.eur))
	if err != nil {
		t.Fatal(err)
	}
	if err := proof.Present(before.Tip.Root, tree.NewEntry(ledger.BalanceKey(c.holders[0].id, c.eur), value)); err != nil {
		t.Error(err)
	}
	for what, b := range map[string]*state.Block{
		"of the same height": {Height: c.store.Tip().Height, Time: c.store.Tip().Time},
		"from before":        {Height: c.store.Tip().Height + 1, Time: c.store.Tip().Time - 1},
		"without results":    {Height: c.store.Tip().Height + 1, Time: c.store.Tip().Time, Transactions: []*ledger.Transaction{c.transfer()}},
	} {
		if _, err := c.store.Prepare(b); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a block %s: %v", what, err)
		}
	}
}

// TestPowerCuts cuts the power at random moments. The store is then at a block that was committed, not before the last sync, and goes on to where it would have been.
func TestPowerCuts(t *testing.T) {
	rng := newRand(t)
	fs := vfs.NewCrashableMem()
	c := found(t, rng, fs, 30)
	if err := c.store.Sync(); err != nil {
		t.Fatal(err)
	}
	var blocks []*state.Block
	var tips []state.Tip
	synced := 0
	add := func() {
		var txs []*ledger.Transaction
		for range rng.IntN(20) {
			txs = append(txs, c.transfer())
		}
		blocks = append(blocks, c.make(txs...))
		if err := c.commit(blocks[len(blocks)-1]); err != nil {
			t.Fatal(err)
		}
		tips = append(tips, c.store.Tip())
		if rng.IntN(5) == 0 {
			if err := c.store.Sync(); err != nil {
				t.Fatal(err)
			}
			synced = len(blocks)
		}
	}
	for cut := range 12 {
		for range 1 + rng.IntN(15) {
			add()
		}
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		if err := c.store.Close(); err != nil {
			t.Fatal(err)
		}
		fs = after
		c.store = openStore(t, fs)
		at := slices.Index(tips, c.store.Tip()) + 1
		if at < synced {
			t.Fatalf("cut %d: back at block %d of %d, of which %d were synced", cut, at, len(tips), synced)
		}
		whole(t, c.store)
		for i := at; i < len(blocks); i++ {
			if err := c.commit(blocks[i]); err != nil {
				t.Fatal(err)
			}
			if c.store.Tip() != tips[i] {
				t.Fatalf("cut %d: block %d leads to %v, was %v", cut, i, c.store.Tip(), tips[i])
			}
		}
		synced = at
	}
	if n := whole(t, c.store); n < 30 {
		t.Errorf("%d entries", n)
	}
	if err := c.store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPrune(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 10)
	defer c.store.Close()
	old := c.transfer()
	c.block(old)
	c.blocks(20, 5)
	last := c.transfer()
	c.block(last)
	root := c.store.Tip().Root
	if err := c.store.Prune(c.store.Tip().Height); err != nil {
		t.Fatal(err)
	}
	v := c.store.View()
	defer v.Close()
	if _, ok, err := v.Find(old.ID(network)); ok || err != nil {
		t.Errorf("a pruned transaction is found: %v", err)
	}
	if _, ok, err := v.Find(last.ID(network)); !ok || err != nil {
		t.Errorf("one of the last block is not found: %v", err)
	}
	if first, err := v.First(); first != v.Tip.Height || err != nil {
		t.Errorf("the first block is %d, %v", first, err)
	}
	for height := int64(1); height < v.Tip.Height; height++ {
		if b, err := v.Block(height); b != nil || err != nil {
			t.Errorf("block %d is kept, %v", height, err)
		}
	}
	for _, h := range c.holders {
		positions, err := v.History(h.id, state.Position{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range positions {
			if p.Height < v.Tip.Height {
				t.Errorf("%v is kept", p)
			}
		}
	}
	if whole(t, c.store); c.store.Tip().Root != root {
		t.Error("pruning changed the state")
	}
}

func TestRefusedStores(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, fs)
	if _, err := state.Open(state.Config{Dir: "state", FS: fs, Network: network}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(state.Config{Dir: "state", FS: fs, Network: ledger.Hash{2}}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("of another network: %v", err)
	}
	openStore(t, fs).Close()
}
