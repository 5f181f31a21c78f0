package ledger_test

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

var network = ledger.Hash{7, 7}

// replica is a ledger in memory. Two of them hold the same entries in different ways: one in a sorted list, the other in a map whose keys it shuffles before it sorts them. What they hand out in
// Ascend is overwritten as soon as the call is over, as a store may do.
type replica struct {
	sorted  []ledger.Change
	entries map[string][]byte
	rng     *rand.Rand // nil: the list
	ids     map[ledger.TransactionID]int64
}

func (r *replica) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(r.sorted, key, func(c ledger.Change, key []byte) int { return bytes.Compare(c.Key, key) })
}

func (r *replica) Get(key []byte) ([]byte, error) {
	if r.rng != nil {
		return bytes.Clone(r.entries[string(key)]), nil
	}
	if i, found := r.find(key); found {
		return r.sorted[i].Value, nil
	}
	return nil, nil
}

func (r *replica) under(prefix []byte) (list []ledger.Change) {
	if r.rng == nil {
		for i, _ := r.find(prefix); i < len(r.sorted) && bytes.HasPrefix(r.sorted[i].Key, prefix); i++ {
			list = append(list, r.sorted[i])
		}
		return list
	}
	for key, value := range r.entries {
		if bytes.HasPrefix([]byte(key), prefix) {
			list = append(list, ledger.Change{Key: []byte(key), Value: value})
		}
	}
	r.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortFunc(list, func(a, b ledger.Change) int { return bytes.Compare(a.Key, b.Key) })
	return list
}

func (r *replica) Ascend(prefix []byte, f func(key, value []byte) bool) error {
	for _, c := range r.under(prefix) {
		key, value := bytes.Clone(c.Key), bytes.Clone(c.Value)
		more := f(key, value)
		clear(key)
		clear(value)
		if !more {
			break
		}
	}
	return nil
}

func (r *replica) Seen(id ledger.TransactionID, _ int64) (bool, error) {
	height, there := r.ids[id]
	if !there {
		return false, nil
	}
	value, err := r.Get(ledger.RecentKey(height))
	if value == nil {
		delete(r.ids, id)
	}
	return value != nil, err
}

func (r *replica) commit(height int64, o ledger.Outcome) {
	for _, c := range o.Changes {
		if r.rng != nil {
			if c.Value == nil {
				delete(r.entries, string(c.Key))
			} else {
				r.entries[string(c.Key)] = c.Value
			}
			continue
		}
		i, found := r.find(c.Key)
		switch {
		case c.Value == nil && found:
			r.sorted = slices.Delete(r.sorted, i, i+1)
		case c.Value != nil && found:
			r.sorted[i].Value = c.Value
		case c.Value != nil:
			r.sorted = slices.Insert(r.sorted, i, c)
		}
	}
	for _, result := range o.Results {
		r.ids[result.ID] = height
	}
}

// world is a reference, and two replicas that must do as it does.
type world struct {
	t             *testing.T
	rng           *rand.Rand
	reference     *reference
	list, shuffle *replica
	height, now   int64

	accounts []*owner
	keys     []ledger.PublicKey // that validators may have
	assets   []ledger.AssetID
	tried    []*ledger.Transaction // some of those before

	operations int
	codes      map[ledger.Code]int
	refused    map[string]int
}

// owner is an account, and its key sets; now is the present one as far as it knows.
type owner struct {
	id   ledger.AccountID
	sets []ledger.KeySet
}

const mostOfOne = 12 // transactions of an account in a block

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{
		t: t, rng: rng, now: 1_700_000_000_000, codes: map[ledger.Code]int{}, refused: map[string]int{},
		list:    &replica{ids: map[ledger.TransactionID]int64{}},
		shuffle: &replica{ids: map[ledger.TransactionID]int64{}, entries: map[string][]byte{}, rng: rand.New(rand.NewPCG(seed, 2))},
	}
	for range 9 {
		var o owner
		for range 2 {
			o.sets = append(o.sets, w.keySet(1+rng.IntN(3)))
		}
		o.id = o.sets[0].ID()
		w.accounts = append(w.accounts, &o)
		w.keys = append(w.keys, w.key())
	}
	slices.SortFunc(w.keys, comparePublicKeys)
	for i, code := range []string{"A", "AB", "A", "ZEBRA1234567", "9"} {
		w.assets = append(w.assets, ledger.AssetID{Code: code, Issuer: w.accounts[i].id})
	}
	g := ledger.Genesis{Network: "reference", Created: time.Unix(1, 0), Limits: ledger.Limits{BlockCost: ledger.MaxBlockCost, AccountTransactions: mostOfOne}}
	for i, key := range w.keys[:4] {
		g.Validators = append(g.Validators, ledger.GenesisValidator{Key: key, Power: uint64(2 + i), Operator: w.accounts[i%3].id})
	}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	w.reference = newReference(g.Validators, mostOfOne)
	first := ledger.Outcome{Changes: g.Entries()}
	w.list.commit(0, first)
	w.shuffle.commit(0, first)
	return w
}

func (w *world) key() (key ledger.PublicKey) {
	for i := range key {
		key[i] = byte(w.rng.UintN(256))
	}
	return key
}

func (w *world) keySet(n int) ledger.KeySet {
	k := ledger.KeySet{Threshold: uint8(1 + w.rng.IntN(n))}
	for range n {
		k.Keys = append(k.Keys, w.key())
	}
	slices.SortFunc(k.Keys, comparePublicKeys)
	return k
}

func comparePublicKeys(a, b ledger.PublicKey) int { return bytes.Compare(a[:], b[:]) }

// block makes a block everywhere.
func (w *world) block() {
	w.height++
	w.now += 1 + w.rng.Int64N(4000)
	switch w.rng.IntN(200) {
	case 0:
		w.now += w.rng.Int64N(8 * week / 7) // proposals end
	case 1, 2, 3:
		w.now += w.rng.Int64N(2 * 3600_000) // blocks are forgotten
	}
	before := w.powers()
	w.reference.begin(w.height, w.now)
	a, b := w.start(w.list), w.start(w.shuffle)
	w.misbehave(a, b)
	var results []ledger.Result
	for range w.rng.IntN(40) {
		if result, in := w.include(a, b, w.transaction()); in {
			results = append(results, result)
		}
	}
	w.misbehave(a, b)
	x, y := w.finish(a), w.finish(b)
	if !slices.Equal(x.Results, results) || !sameOutcome(x, y) {
		w.t.Fatalf("block %d: the replicas end in\n%+v and\n%+v; the results were\n%+v", w.height, x, y, results)
	}
	w.list.commit(w.height, x)
	w.shuffle.commit(w.height, y)
	w.comparePowers(before, x.Validators)
	w.compareState()
}

func (w *world) start(r *replica) *ledger.Block {
	w.t.Helper()
	b, err := ledger.NewBlock(r, r, network, w.height, w.now)
	if err != nil {
		w.t.Fatalf("block %d: %v", w.height, err)
	}
	return b
}

func (w *world) finish(b *ledger.Block) ledger.Outcome {
	w.t.Helper()
	o, err := b.Finish()
	if err != nil {
		w.t.Fatalf("block %d: %v", w.height, err)
	}
	return o
}

func (w *world) misbehave(blocks ...*ledger.Block) {
	if w.rng.IntN(30) > 0 {
		return
	}
	key := w.keys[w.rng.IntN(len(w.keys))]
	w.reference.misbehaved(key)
	for _, b := range blocks {
		if err := b.Misbehaved(key); err != nil {
			w.t.Fatalf("block %d: %v", w.height, err)
		}
	}
}

// include tries a transaction everywhere; one of the replicas gets it over the wire.
func (w *world) include(a, b *ledger.Block, tx *ledger.Transaction) (ledger.Result, bool) {
	w.t.Helper()
	sent, err := ledger.ParseTransaction(ledger.AppendTransaction(nil, tx))
	if err != nil {
		w.t.Fatal(err)
	}
	id := tx.ID(network)
	w.operations += len(tx.Operations)
	why := w.reference.refusals(tx, id)
	x, errA := a.Include(tx)
	y, errB := b.Include(sent)
	if len(why) > 0 {
		for _, err := range []error{errA, errB} {
			if err == nil || !slices.Contains(why, fault.KindOf(err).String()) {
				w.t.Fatalf("block %d: got %v, want %q", w.height, err, why)
			}
		}
		w.refused[fault.KindOf(errA).String()]++
		return ledger.Result{}, false
	}
	want := w.reference.include(tx, id)
	if errA != nil || errB != nil || x != want || y != want {
		w.t.Fatalf("block %d: %+v: got %v, %v and %v, %v, want %v", w.height, tx.Body, x, errA, y, errB, want)
	}
	w.codes[want.Code]++
	return want, true
}

func sameOutcome(a, b ledger.Outcome) bool {
	same := func(a, b ledger.Change) bool {
		return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
	}
	return slices.EqualFunc(a.Changes, b.Changes, same) && slices.Equal(a.Results, b.Results) && a.ResultsRoot == b.ResultsRoot && slices.Equal(a.Validators, b.Validators)
}

// powers returns the reference's, in the order of keys.
func (w *world) powers() (list []ledger.ValidatorPower) {
	for key, v := range w.reference.validators {
		list = append(list, ledger.ValidatorPower{Key: key, Power: v.Power})
	}
	slices.SortFunc(list, func(a, b ledger.ValidatorPower) int { return cmp.Or(comparePublicKeys(a.Key, b.Key)) })
	return list
}

// comparePowers applies updates as consensus does, which takes no removal of what is not there.
func (w *world) comparePowers(list, updates []ledger.ValidatorPower) {
	w.t.Helper()
	for _, u := range updates {
		i, found := slices.BinarySearchFunc(list, u.Key, func(v ledger.ValidatorPower, key ledger.PublicKey) int { return comparePublicKeys(v.Key, key) })
		switch {
		case u.Power == 0 && !found || found && list[i].Power == u.Power:
			w.t.Fatalf("block %d: the update %v says nothing", w.height, u)
		case u.Power == 0:
			list = slices.Delete(list, i, i+1)
		case found:
			list[i] = u
		default:
			list = slices.Insert(list, i, u)
		}
	}
	if want := w.powers(); !slices.Equal(list, want) || len(want) == 0 {
		w.t.Fatalf("block %d: validators are %v, want %v", w.height, list, want)
	}
}

// runReference makes blocks until there were as many operations, and wants transactions to end in each of the codes.
func runReference(t *testing.T, operations int, codes ...ledger.Code) {
	seed := rand.Uint64()
	if text := os.Getenv("MOOT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("MOOT_SEED: %v", err)
		}
	}
	t.Logf("MOOT_SEED=%d", seed)
	w := newWorld(t, seed)
	for w.operations < operations {
		w.block()
	}
	t.Logf("%d operations in %d blocks; refused: %v; the others: %v", w.operations, w.height, w.refused, w.codes)
	for _, code := range codes {
		if w.codes[code] == 0 {
			t.Errorf("no transaction ended in %q", code)
		}
	}
	for _, kind := range []fault.Kind{fault.Invalid, fault.Conflict, fault.Forbidden, fault.Full} {
		if w.refused[kind.String()] == 0 {
			t.Errorf("no transaction was refused as %s", kind)
		}
	}
}

// TestReference wants the codes that are certain in so few operations.
func TestReference(t *testing.T) {
	runReference(t, 25_000, ledger.Applied, ledger.AssetExists, ledger.NoAsset, ledger.OverCap, ledger.Insufficient, ledger.NotOperator, ledger.MemberExists, ledger.NoMember, ledger.Voted,
		ledger.NoInvite, ledger.InviteExists, ledger.InviteExpired)
}
