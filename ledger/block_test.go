package ledger

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// memory is a state in memory. It is the View and the Seen of tests.
type memory struct {
	entries map[string][]byte
	ids     map[TransactionID]int64 // height
}

func (m *memory) Get(key []byte) ([]byte, error) { return m.entries[string(key)], nil }

func (m *memory) Ascend(prefix []byte, f func(key, value []byte) bool) error {
	for _, key := range slices.Sorted(maps.Keys(m.entries)) {
		if strings.HasPrefix(key, string(prefix)) && !f([]byte(key), m.entries[key]) {
			return nil
		}
	}
	return nil
}

func (m *memory) Seen(id TransactionID, _ int64) (bool, error) {
	height, ok := m.ids[id]
	return ok && m.entries[string(RecentKey(height))] != nil, nil
}

func (m *memory) commit(height int64, o Outcome) {
	for _, c := range o.Changes {
		if c.Value == nil {
			delete(m.entries, string(c.Key))
		} else {
			m.entries[string(c.Key)] = c.Value
		}
	}
	for _, r := range o.Results {
		m.ids[r.ID] = height
	}
}

// chain is a ledger in memory whose clock the test moves.
type chain struct {
	t      testing.TB
	state  *memory
	height int64
	now    int64
	salt   uint64
}

const testStart = 1_800_000_000_000

// newChain returns a ledger of validators of the given powers, each operated by the account at its index.
func newChain(t testing.TB, limits Limits, operators []*testAccount, powers ...uint64) *chain {
	t.Helper()
	g := Genesis{Network: "test", Created: time.Unix(1, 0), Limits: limits}
	for i, p := range powers {
		g.Validators = append(g.Validators, GenesisValidator{testValidator(i), p, operators[i%len(operators)].id})
	}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	c := &chain{t: t, state: &memory{make(map[string][]byte), make(map[TransactionID]int64)}, now: testStart}
	c.state.commit(0, Outcome{Changes: g.Entries()})
	return c
}

func testValidator(i int) PublicKey { return PublicKey{byte(i + 1)} }

// pass lets block time pass.
func (c *chain) pass(d time.Duration) { c.now += d.Milliseconds() }

// begin begins the next block.
func (c *chain) begin() *Block {
	c.t.Helper()
	c.height++
	c.pass(time.Second)
	b, err := NewBlock(c.state, c.state, testNetwork, c.height, c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// end ends it.
func (c *chain) end(b *Block) Outcome {
	c.t.Helper()
	o, err := b.Finish()
	if err != nil {
		c.t.Fatal(err)
	}
	c.state.commit(c.height, o)
	return o
}

// tx returns a transaction that is valid for a minute, signed by accounts.
func (c *chain) tx(signers []*testAccount, ops ...Operation) *Transaction {
	c.t.Helper()
	c.salt++
	tx := &Transaction{Body: Body{ValidUntil: c.now + 60_000, Salt: c.salt, Operations: ops}}
	return c.signed(tx, signers...)
}

func (c *chain) signed(tx *Transaction, signers ...*testAccount) *Transaction {
	c.t.Helper()
	tx.Authorizations = nil
	for _, a := range signers {
		a.sign(c.t, tx)
	}
	if err := tx.Validate(); err != nil {
		c.t.Fatal(err)
	}
	return tx
}

// run makes a block of one transaction and returns what became of it.
func (c *chain) run(signers []*testAccount, ops ...Operation) Code {
	c.t.Helper()
	return c.runTx(c.tx(signers, ops...))
}

func (c *chain) runTx(tx *Transaction) Code {
	c.t.Helper()
	b := c.begin()
	r, err := b.Include(tx)
	if err != nil {
		c.t.Fatal(err)
	}
	c.end(b)
	return r.Code
}

// refuse tries a transaction in a block of its own, and wants it refused for a reason.
func (c *chain) refuse(tx *Transaction, kind fault.Kind, reason string) {
	c.t.Helper()
	b := c.begin()
	if _, err := b.Include(tx); err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), reason) {
		c.t.Errorf("got %v of kind %v, want %q of kind %v", err, fault.KindOf(err), reason, kind)
	}
	if o := c.end(b); len(o.Changes) != 0 || len(o.Results) != 0 {
		c.t.Errorf("what was refused left %d changes and %d results", len(o.Changes), len(o.Results))
	}
}

func (c *chain) balance(a *testAccount, asset AssetID) string {
	amount, err := UnmarshalBalance(c.state.entries[string(BalanceKey(a.id, asset))])
	if err != nil {
		c.t.Fatal(err)
	}
	return amount.String()
}

func (c *chain) want(code, got Code) {
	c.t.Helper()
	if got != code {
		c.t.Errorf("got %q, want %q", got, code)
	}
}

func one(a *testAccount) []*testAccount { return []*testAccount{a} }

// town returns a ledger with an asset EUR of which Alice has 100, and Bob nothing.
func town(t *testing.T) (c *chain, bank, alice, bob *testAccount, eur AssetID) {
	rng := testRand(t)
	bank, alice, bob = newTestAccount(rng, 1, 1), newTestAccount(rng, 2, 3), newTestAccount(rng, 1, 2)
	c = newChain(t, DefaultLimits(), one(bank), 10)
	eur = AssetID{"EUR", bank.id}
	c.want(Applied, c.run(one(bank), &DefineAsset{eur, 2, NewAmount(1000)}, &Issue{eur, alice.id, NewAmount(100)}))
	return c, bank, alice, bob, eur
}

func TestOperations(t *testing.T) {
	c, bank, alice, bob, eur := town(t)
	usd := AssetID{"USD", bank.id}
	huge := AssetID{"HUGE", bank.id}
	tests := []struct {
		name    string
		signers []*testAccount
		ops     []Operation
		want    Code
		alice   string
		bob     string
	}{
		{"transfer", one(alice), []Operation{&Transfer{eur, alice.id, bob.id, NewAmount(30)}}, Applied, "70", "30"},
		{"to oneself", one(alice), []Operation{&Transfer{eur, alice.id, alice.id, NewAmount(70)}}, Applied, "70", "30"},
		{"too much", one(alice), []Operation{&Transfer{eur, alice.id, bob.id, NewAmount(71)}}, Insufficient, "70", "30"},
		{"too much to oneself", one(alice), []Operation{&Transfer{eur, alice.id, alice.id, NewAmount(71)}}, Insufficient, "70", "30"},
		{"of what there is not", one(alice), []Operation{&Transfer{usd, alice.id, bob.id, NewAmount(1)}}, NoAsset, "70", "30"},
		{"all or none", one(alice), []Operation{&Transfer{eur, alice.id, bob.id, NewAmount(70)}, &Transfer{eur, alice.id, bob.id, NewAmount(1)}}, Insufficient, "70", "30"},
		{"there and back", []*testAccount{alice, bob}, []Operation{&Transfer{eur, bob.id, alice.id, NewAmount(30)}, &Transfer{eur, alice.id, bob.id, NewAmount(100)}}, Applied, "0", "100"},
		{"back", one(bob), []Operation{&Transfer{eur, bob.id, alice.id, NewAmount(70)}}, Applied, "70", "30"},
		{"defined twice", one(bank), []Operation{&DefineAsset{Asset: eur}}, AssetExists, "70", "30"},
		{"issue of what there is not", one(bank), []Operation{&Issue{usd, alice.id, NewAmount(1)}}, NoAsset, "70", "30"},
		{"over the cap", one(bank), []Operation{&Issue{eur, alice.id, NewAmount(901)}}, OverCap, "70", "30"},
		{"up to the cap", one(bank), []Operation{&Issue{eur, bank.id, NewAmount(900)}}, Applied, "70", "30"},
		{"retire", one(bob), []Operation{&Retire{eur, bob.id, NewAmount(10)}}, Applied, "70", "20"},
		{"retire too much", one(bob), []Operation{&Retire{eur, bob.id, NewAmount(21)}}, Insufficient, "70", "20"},
		{"retire more than there is", one(bob), []Operation{&Retire{eur, bob.id, NewAmount(2000)}}, Insufficient, "70", "20"},
		{"retire what there is not", one(bob), []Operation{&Retire{usd, bob.id, NewAmount(1)}}, NoAsset, "70", "20"},
		{"issue again", one(bank), []Operation{&Issue{eur, bob.id, NewAmount(10)}}, Applied, "70", "30"},
		{"all there can be", one(bank), []Operation{&DefineAsset{Asset: huge}, &Issue{huge, bob.id, MaxAmount()}}, Applied, "70", "30"},
		{"one more", one(bank), []Operation{&Issue{huge, alice.id, NewAmount(1)}}, OverCap, "70", "30"},
		{"anchor", one(bob), []Operation{&Anchor{bob.id, Hash{1}, "deed"}}, Applied, "70", "30"},
		{"member", one(bank), []Operation{&Admit{bank.id, "peer", "Zoë"}}, Applied, "70", "30"},
		{"member twice", one(bank), []Operation{&Admit{bank.id, "peer", ""}}, MemberExists, "70", "30"},
		{"member, by nobody", one(bob), []Operation{&Admit{bob.id, "other", ""}}, NoInvite, "70", "30"},
		{"expelled, by nobody", one(bob), []Operation{&Expel{bob.id, "peer"}}, NotOperator, "70", "30"},
		{"expelled", one(bank), []Operation{&Expel{bank.id, "peer"}}, Applied, "70", "30"},
		{"expelled twice", one(bank), []Operation{&Expel{bank.id, "peer"}}, NoMember, "70", "30"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.t = t
			c.want(tt.want, c.run(tt.signers, tt.ops...))
			if a, b := c.balance(alice, eur), c.balance(bob, eur); a != tt.alice || b != tt.bob {
				t.Errorf("Alice has %s and Bob %s, want %s and %s", a, b, tt.alice, tt.bob)
			}
		})
	}
}

func TestFailedOperationIsNamed(t *testing.T) {
	c, _, alice, bob, eur := town(t)
	b := c.begin()
	r, err := b.Include(c.tx(one(alice), &Transfer{eur, alice.id, bob.id, NewAmount(1)}, &Anchor{By: alice.id}, &Retire{eur, alice.id, NewAmount(100)}, &Anchor{By: alice.id}))
	if err != nil || r.Code != Insufficient || r.Operation != 2 {
		t.Errorf("got %v, %v", r, err)
	}
	if o := c.end(b); len(o.Changes) != 1 || len(o.Results) != 1 || o.Results[0] != r {
		t.Errorf("a failed transaction changed %d entries", len(o.Changes))
	}
}

func TestTransactionsHappenOnce(t *testing.T) {
	c, _, alice, bob, eur := town(t)
	tx := c.tx(one(alice), &Transfer{eur, alice.id, bob.id, NewAmount(60)})
	b := c.begin()
	if _, err := b.Include(tx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Include(tx); fault.KindOf(err) != fault.Conflict {
		t.Errorf("twice in a block: %v", err)
	}
	// Another with other signatures is the same transaction.
	again := *tx
	again.Authorizations = nil
	for _, k := range alice.private[1:] {
		if err := again.Sign(testNetwork, alice.id, &alice.keys, k); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Include(&again); fault.KindOf(err) != fault.Conflict {
		t.Errorf("with other signatures: %v", err)
	}
	c.end(b)
	c.refuse(tx, fault.Conflict, "in a block already")
	// What failed does not happen later either, when there would be enough.
	late := c.tx(one(bob), &Transfer{eur, bob.id, alice.id, NewAmount(61)})
	c.want(Insufficient, c.runTx(late))
	c.want(Applied, c.run(one(alice), &Transfer{eur, alice.id, bob.id, NewAmount(1)}))
	c.refuse(late, fault.Conflict, "in a block already")
	if got := c.balance(bob, eur); got != "61" {
		t.Errorf("Bob has %s", got)
	}
}

func TestOverspendingInOneBlock(t *testing.T) {
	c, _, alice, bob, eur := town(t)
	b := c.begin()
	var codes []Code
	for range 3 {
		r, err := b.Include(c.tx(one(alice), &Transfer{eur, alice.id, bob.id, NewAmount(50)}))
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, r.Code)
	}
	c.end(b)
	if !slices.Equal(codes, []Code{Applied, Applied, Insufficient}) || c.balance(alice, eur) != "0" || c.balance(bob, eur) != "100" {
		t.Errorf("%v: Alice has %s, Bob %s", codes, c.balance(alice, eur), c.balance(bob, eur))
	}
}

func TestWindows(t *testing.T) {
	c, _, alice, bob, eur := town(t)
	at := func(d time.Duration, slot *Slot) *Transaction {
		c.salt++
		// The block will be a second later.
		return c.signed(&Transaction{Body: Body{ValidUntil: c.now + 1000 + d.Milliseconds(), Slot: slot, Salt: c.salt, Operations: []Operation{&Transfer{eur, alice.id, bob.id, NewAmount(1)}}}}, alice)
	}
	c.refuse(at(0, nil), fault.Invalid, "was valid until")
	c.refuse(at(-time.Hour, nil), fault.Invalid, "was valid until")
	c.want(Applied, c.runTx(at(time.Millisecond, nil)))
	c.want(Applied, c.runTx(at(MaxWindow, nil)))
	c.refuse(at(MaxWindow+time.Millisecond, nil), fault.Invalid, "at most 1h0m0s")
	slot := &Slot{Account: alice.id, Number: 15}
	c.refuse(at(MaxSlotWindow+time.Millisecond, slot), fault.Invalid, "at most 2160h")
	c.want(Applied, c.runTx(at(MaxSlotWindow, slot)))
}

func TestSlots(t *testing.T) {
	c, _, alice, bob, eur := town(t)
	with := func(number uint8, sequence uint32, amount uint64) *Transaction {
		tx := &Transaction{Body: Body{ValidUntil: c.now + MaxSlotWindow.Milliseconds()/2, Slot: &Slot{alice.id, number, sequence}, Operations: []Operation{&Transfer{eur, alice.id, bob.id, NewAmount(amount)}}}}
		return c.signed(tx, alice)
	}
	swap, instead := with(3, 0, 10), with(3, 0, 1)
	c.refuse(with(3, 1, 10), fault.Conflict, "used 0 times, not 1")
	c.want(Applied, c.runTx(instead))
	c.refuse(swap, fault.Conflict, "used 1 times, not 0")
	c.refuse(instead, fault.Conflict, "used 1 times, not 0")
	// A failure uses the slot, too.
	failing := with(3, 1, 1000)
	c.want(Insufficient, c.runTx(failing))
	c.pass(MaxSlotWindow / 3)
	c.refuse(failing, fault.Conflict, "used 2 times, not 1")
	b := c.begin()
	for sequence := range uint32(5) {
		if _, err := b.Include(with(3, 2+sequence, 1)); err != nil {
			t.Fatal(err)
		}
	}
	c.end(b)
	c.want(Applied, c.runTx(with(0, 0, 1)))
	if got := c.balance(bob, eur); got != "7" {
		t.Errorf("Bob has %s", got)
	}
}

func TestKeysAreReplaced(t *testing.T) {
	c, _, alice, bob, eur := town(t)
	rng := testRand(t)
	next := newTestAccount(rng, 1, 1)
	next.id = alice.id
	move := func() Operation { return &Transfer{eur, alice.id, bob.id, NewAmount(1)} }
	early := c.tx(one(next), move())
	c.refuse(early, fault.Forbidden, "keys that are not those")
	b := c.begin()
	include := func(tx *Transaction, want fault.Kind, ok bool) {
		t.Helper()
		if _, err := b.Include(tx); (err == nil) != ok || !ok && fault.KindOf(err) != want {
			t.Errorf("got %v", err)
		}
	}
	old := c.tx(one(alice), move())
	include(c.tx(one(alice), move()), 0, true)
	include(c.tx(one(alice), &SetKeys{alice.id, next.keys}), 0, true)
	include(old, fault.Forbidden, false)
	include(early, 0, true)
	c.end(b)
	c.refuse(old, fault.Forbidden, "keys that are not those")
	// The same body, signed with the new keys, is not lost by the attempt.
	next.sign(t, c.signed(old, next))
	c.want(Applied, c.runTx(old))
	c.want(Applied, c.run(one(next), &SetKeys{alice.id, alice.keys}))
	if c.state.entries[string(AccountKey(alice.id))] != nil {
		t.Error("an account with its first keys has an entry")
	}
	c.want(Applied, c.run(one(alice), move()))
	c.refuse(c.tx(one(next), move()), fault.Forbidden, "keys that are not those")
}

func TestLimitsOfBlocks(t *testing.T) {
	rng := testRand(t)
	alice, bob := newTestAccount(rng, 1, 1), newTestAccount(rng, 1, 1)
	c := newChain(t, Limits{BlockCost: MinBlockCost, AccountTransactions: 3}, one(alice), 1)
	b := c.begin()
	for range 3 {
		if _, err := b.Include(c.tx(one(alice), &Anchor{By: alice.id})); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Include(c.tx(one(alice), &Anchor{By: alice.id})); fault.KindOf(err) != fault.Full {
		t.Errorf("a fourth of one account: %v", err)
	}
	if _, err := b.Include(c.tx(one(bob), &Anchor{By: bob.id})); err != nil {
		t.Errorf("one of another: %v", err)
	}
	c.end(b)
	many := make([]Operation, MaxOperations)
	for i := range many {
		many[i] = &Anchor{By: bob.id}
	}
	b = c.begin()
	n := 0
	for {
		a := newTestAccount(rng, 1, 1)
		for i := range many {
			many[i] = &Anchor{By: a.id}
		}
		if _, err := b.Include(c.tx(one(a), many...)); err != nil {
			if fault.KindOf(err) != fault.Full {
				t.Error(err)
			}
			break
		}
		n++
	}
	if want := MinBlockCost / (MaxOperations + 1); n != want {
		t.Errorf("%d transactions of cost %d in a block of cost %d, want %d", n, MaxOperations+1, MinBlockCost, want)
	}
	c.end(b)
}

func TestRecentBlocksAreForgotten(t *testing.T) {
	c, _, alice, _, _ := town(t)
	recent := func() (n int) {
		c.state.Ascend(RecentBlocks(), func(_, _ []byte) bool { n++; return true })
		return n
	}
	for range maxForgotten + 10 {
		c.want(Applied, c.run(one(alice), &Anchor{By: alice.id}))
	}
	if got := recent(); got != maxForgotten+11 {
		t.Fatalf("%d recent blocks", got)
	}
	c.pass(2 * time.Hour)
	if o := c.end(c.begin()); len(o.Changes) != 0 {
		t.Errorf("a block without transactions changed %d entries", len(o.Changes))
	}
	c.want(Applied, c.run(one(alice), &Anchor{By: alice.id}))
	if got := recent(); got != 12 {
		t.Errorf("%d recent blocks after the first that forgets", got)
	}
	c.want(Applied, c.run(one(alice), &Anchor{By: alice.id}))
	if got := recent(); got != 2 {
		t.Errorf("%d recent blocks after the second", got)
	}
}

func TestStateThatCanNotBeRead(t *testing.T) {
	c, _, alice, bob, eur := town(t)
	c.state.entries[string(BalanceKey(bob.id, eur))] = []byte("damaged")
	b := c.begin()
	if _, err := b.Include(c.tx(one(alice), &Transfer{eur, alice.id, bob.id, NewAmount(1)})); fault.KindOf(err) != fault.Internal {
		t.Errorf("got %v", err)
	}
}

func TestUnknownRules(t *testing.T) {
	c, bank, alice, _, _ := town(t)
	c.want(Applied, c.run(one(bank), &Propose{bank.id, Proposal{ActivateRules: &ActivateRules{RulesVersion + 1, c.height + 3}}}))
	c.want(Applied, c.run(one(alice), &Anchor{By: alice.id}))
	_, err := NewBlock(c.state, c.state, testNetwork, c.height+1, c.now)
	var unknown *UnknownRulesError
	if !errors.As(err, &unknown) || unknown.Version != RulesVersion+1 || unknown.Height != c.height+1 {
		t.Errorf("got %v", err)
	}
}
