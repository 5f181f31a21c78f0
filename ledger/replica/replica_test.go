package replica_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
	"github.com/folkmoot/folkmoot/ledger/state"
)

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

func amount(n uint64) ledger.Amount { return ledger.NewAmount(n) }

// TestMoney: an asset is defined, issued and moved at one node, and seen by all.
func TestMoney(t *testing.T) {
	n := newNet(t, 4)
	n.start()
	bank, ann, bob := newPerson(t), newPerson(t), newPerson(t)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	n.everywhere(n.commit(n.nodes[0], n.sign([]ledger.Operation{&ledger.DefineAsset{Asset: eur, Scale: 2}, &ledger.Issue{Asset: eur, To: ann.id, Amount: amount(10_000)}}, bank)))
	pay := n.sign([]ledger.Operation{&ledger.Transfer{Asset: eur, From: ann.id, To: bob.id, Amount: amount(1250)}}, ann)
	place := n.commit(n.nodes[1], pay)
	if place.Result.Code != ledger.Applied {
		t.Fatalf("the transfer: %v", place.Result.Code)
	}
	for _, node := range n.nodes {
		eventually(t, "the balance", func() bool {
			a, err := node.replica.Account(bob.id)
			return err == nil && len(a.Balances) == 1 && a.Balances[0].Amount == amount(1250) && a.Balances[0].Scale == 2
		})
		got, at, err := node.replica.Transaction(place.Result.ID)
		if err != nil || at != place || !bytes.Equal(n.encode(got), n.encode(pay)) {
			t.Errorf("the transaction is %v at %v, %v", got, at, err)
		}
	}
	// The same again, anywhere, is the same.
	for _, node := range n.nodes {
		if again := n.commit(node, pay); again != place {
			t.Errorf("once more: %v, was %v", again, place)
		}
	}
	history, err := n.nodes[2].replica.History(ann.id, state.Position{}, 10)
	if err != nil || len(history) != 2 || history[0].Place != place {
		t.Errorf("history %v, %v", history, err)
	}
	n.agree()
}

// TestRefused: what can be in no block, or would fail, is refused with the reason.
func TestRefused(t *testing.T) {
	n := newNet(t, 1)
	n.start()
	at := n.nodes[0]
	bank, ann := newPerson(t), newPerson(t)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	n.commit(at, n.sign([]ledger.Operation{&ledger.DefineAsset{Asset: eur}, &ledger.Issue{Asset: eur, To: ann.id, Amount: amount(10)}}, bank))
	pay := func(n uint64) []ledger.Operation {
		return []ledger.Operation{&ledger.Transfer{Asset: eur, From: ann.id, To: bank.id, Amount: amount(n)}}
	}
	forged := n.sign(pay(1), ann)
	forged.Authorizations[0].Signatures[0].Bytes[5]++
	late := n.sign(pay(1), ann)
	late.ValidUntil = time.Now().Add(-time.Second).UnixMilli()
	late.Authorizations = nil
	if err := late.Sign(n.genesis.ID(), ann.id, &ann.keys, ann.key); err != nil {
		t.Fatal(err)
	}
	other := n.sign(pay(1), ann)
	other.Authorizations = nil
	if err := other.Sign(ledger.Hash{1}, ann.id, &ann.keys, ann.key); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what string
		data []byte
		kind fault.Kind
	}{
		{"no transaction", []byte("hello"), fault.Invalid},
		{"a forged signature", n.encode(forged), fault.Invalid},
		{"one of another network", n.encode(other), fault.Invalid},
		{"one whose time is over", n.encode(late), fault.Invalid},
		{"more than there is", n.encode(n.sign(pay(11), ann)), fault.Conflict},
		{"no such asset", n.encode(n.sign([]ledger.Operation{&ledger.Issue{Asset: ledger.AssetID{Code: "USD", Issuer: bank.id}, To: ann.id, Amount: amount(1)}}, bank)), fault.NotFound},
	} {
		s, err := at.replica.Submit(t.Context(), tt.data)
		if err == nil {
			_, err = s.Wait(t.Context())
		}
		if err == nil || fault.KindOf(err) != tt.kind {
			t.Errorf("%s: %v, of kind %v, want %v", tt.what, err, fault.KindOf(err), tt.kind)
		}
	}
	a, err := at.replica.Account(ann.id)
	if err != nil || len(a.Balances) != 1 || a.Balances[0].Amount != amount(10) {
		t.Errorf("the account has %v, %v", a.Balances, err)
	}
}

// TestOverspending: of transactions that together spend more than there is, as many are applied as the money reaches for, wherever they are handed in, and the others are recorded as failed.
func TestOverspending(t *testing.T) {
	n := newNet(t, 4)
	n.start()
	bank, ann, bob := newPerson(t), newPerson(t), newPerson(t)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	n.everywhere(n.commit(n.nodes[0], n.sign([]ledger.Operation{&ledger.DefineAsset{Asset: eur}, &ledger.Issue{Asset: eur, To: ann.id, Amount: amount(25)}}, bank)))
	var mu sync.Mutex
	counts := make(map[string]int)
	var all sync.WaitGroup
	for i := range 40 {
		tx := n.encode(n.sign([]ledger.Operation{&ledger.Transfer{Asset: eur, From: ann.id, To: bob.id, Amount: amount(1)}}, ann))
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s, err := n.nodes[i%4].replica.Submit(ctx, tx)
			outcome := ""
			if err == nil {
				place, wait := s.Wait(ctx)
				err = wait
				outcome = place.Result.Code.String()
			}
			if err != nil {
				outcome = fault.KindOf(err).String()
			}
			mu.Lock()
			defer mu.Unlock()
			counts[outcome]++
		})
	}
	all.Wait()
	if counts["applied"] != 25 || counts["applied"]+counts["insufficient balance"]+counts["conflict"] != 40 {
		t.Errorf("outcomes %v", counts)
	}
	a, err := n.nodes[3].replica.Account(bob.id)
	if err != nil || len(a.Balances) != 1 || a.Balances[0].Amount != amount(25) {
		t.Errorf("the account has %v, %v", a.Balances, err)
	}
	n.agree()
}

// TestLittleRoom: where a block has room for one transaction of an account, those that come at once come into one block after the other, each in an envelope alone that was in a block before.
func TestLittleRoom(t *testing.T) {
	limits := ledger.DefaultLimits()
	limits.AccountTransactions = 1
	n := newNetOf(t, 2, limits)
	n.start()
	ann := newPerson(t)
	n.everywhere(n.commit(n.nodes[0], n.sign([]ledger.Operation{&ledger.Anchor{By: ann.id}}, ann)))
	var all sync.WaitGroup
	heights := make([]int64, 8)
	for i := range heights {
		tx := n.sign([]ledger.Operation{&ledger.Anchor{By: ann.id}}, ann)
		all.Go(func() { heights[i] = n.commit(n.nodes[i%2], tx).Height })
	}
	all.Wait()
	slices.Sort(heights)
	if len(slices.Compact(heights)) != 8 {
		t.Errorf("blocks %v", heights)
	}
}

// TestRestartsUnderLoad: one node after the other is stopped and started while transfers go on. What was acknowledged stays, nothing happens twice, and all agree.
func TestRestartsUnderLoad(t *testing.T) {
	rng := newRand(t)
	n := newNet(t, 4)
	n.start()
	bank := newPerson(t)
	people := make([]*person, 8)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	operations := []ledger.Operation{&ledger.DefineAsset{Asset: eur}}
	for i := range people {
		people[i] = newPerson(t)
		operations = append(operations, &ledger.Issue{Asset: eur, To: people[i].id, Amount: amount(1000)})
	}
	n.everywhere(n.commit(n.nodes[0], n.sign(operations, bank)))

	acknowledged := make(map[ledger.TransactionID]int64)
	load := func(rounds int, at *node) {
		for range rounds {
			from, to := people[rng.IntN(len(people))], people[rng.IntN(len(people))]
			place := n.commit(at, n.sign([]ledger.Operation{&ledger.Transfer{Asset: eur, From: from.id, To: to.id, Amount: amount(1)}}, from))
			if acknowledged[place.Result.ID] != 0 {
				t.Errorf("transaction %s twice", place.Result.ID)
			}
			acknowledged[place.Result.ID] = place.Height
		}
	}
	for _, i := range rng.Perm(4) {
		victim, other := n.nodes[i], n.nodes[(i+1)%4]
		victim.halt()
		load(5, other)
		victim.start()
		load(5, other)
	}
	n.agree()
	for _, node := range n.nodes {
		for id, height := range acknowledged {
			if _, place, err := node.replica.Transaction(id); err != nil || place.Height != height {
				t.Errorf("transaction %s of block %d is at %v, %v", id, height, place, err)
			}
		}
		total := uint64(0)
		for _, p := range people {
			a, err := node.replica.Account(p.id)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range a.Balances {
				var n uint64
				if _, err := fmt.Sscan(b.Amount.String(), &n); err != nil {
					t.Fatal(err)
				}
				total += n
			}
		}
		if total != 8000 {
			t.Errorf("there are %d, and 8000 were issued", total)
		}
	}
}

// TestNoQuorum: without two thirds of the power nothing is acknowledged, and nothing is lost.
func TestNoQuorum(t *testing.T) {
	n := newNet(t, 4)
	n.start()
	ann := newPerson(t)
	n.commit(n.nodes[0], n.sign([]ledger.Operation{&ledger.Anchor{By: ann.id}}, ann))
	n.nodes[2].halt()
	n.nodes[3].halt()
	// The block that was under way may still come.
	time.Sleep(time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	s, err := n.nodes[0].replica.Submit(ctx, n.encode(n.sign([]ledger.Operation{&ledger.Anchor{By: ann.id}}, ann)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Wait(ctx); fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("without a quorum: %v", err)
	}
	if missing, _, lacking := n.nodes[0].replica.Lacking(); !lacking || len(missing.Absent) != 2 || 2*missing.Voted != missing.Power {
		t.Errorf("without half of the validators these votes are said to lack: %+v, %t", missing, lacking)
	}
	n.nodes[2].start()
	long, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if place, err := s.Wait(long); err != nil || place.Result.Code != ledger.Applied {
		t.Errorf("with a quorum again: %v, %v", place, err)
	}
}

// TestReceipts: a receipt convinces somebody who has the genesis, or one block, and any byte that differs is found out. Receipts stay good when all validators have changed.
func TestReceipts(t *testing.T) {
	rng := newRand(t)
	n := newNet(t, 1)
	late := n.addNode()
	n.start()
	at := n.nodes[0]
	bank, ann := newPerson(t), newPerson(t)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	n.commit(at, n.sign([]ledger.Operation{&ledger.DefineAsset{Asset: eur}, &ledger.Issue{Asset: eur, To: ann.id, Amount: amount(10)}}, bank))
	place := n.commit(at, n.sign([]ledger.Operation{&ledger.Transfer{Asset: eur, From: ann.id, To: bank.id, Amount: amount(3)}}, ann))
	genesis := light.Root{Genesis: n.genesis}

	get := func(since int64) []byte {
		t.Helper()
		r, err := at.replica.TransactionReceipt(t.Context(), place.Result.ID, since)
		if err != nil {
			t.Fatal(err)
		}
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	check := func(data []byte, root light.Root) (receipt.Statement, error) {
		r, err := receipt.Parse(data)
		if err != nil {
			return receipt.Statement{}, err
		}
		return r.Verify(root)
	}
	old := get(0)
	s, err := check(old, genesis)
	if err != nil || s.Result != place.Result || s.Height != place.Height || s.Time.UnixMilli() != place.Time {
		t.Fatalf("%+v, %v", s, err)
	}
	for range 2000 {
		changed := bytes.Clone(old)
		changed[rng.IntN(len(changed))] ^= byte(1 << rng.IntN(8))
		if _, err := check(changed, genesis); err == nil {
			t.Fatalf("a receipt with a byte changed is good:\n%s", changed)
		}
	}

	// Trust in one block instead of the genesis.
	trusted := light.Root{Height: 1}
	if trusted.Hash, err = at.replica.BlockHash(1); err != nil {
		t.Fatal(err)
	}
	if _, err := check(get(1), trusted); err != nil {
		t.Errorf("from block 1: %v", err)
	}
	if _, err := check(old, trusted); err == nil {
		t.Error("a receipt from the genesis is good for somebody who trusts a block only")
	}
	if _, err := check(get(1), light.Root{Height: 1, Hash: ledger.Hash{1}}); err == nil {
		t.Error("a receipt from another block is good")
	}
	wrong := *n.genesis
	wrong.Salt[0]++
	if _, err := check(old, light.Root{Genesis: &wrong}); err == nil {
		t.Error("a receipt of another network is good")
	}

	// All validators change.
	n.replaceValidator(at, late)
	for data, root := range map[string]light.Root{string(old): genesis, string(get(0)): genesis} {
		if _, err := check([]byte(data), root); err != nil {
			t.Errorf("after the validators changed: %v", err)
		}
	}
	after := n.commit(late, n.sign([]ledger.Operation{&ledger.Transfer{Asset: eur, From: ann.id, To: bank.id, Amount: amount(2)}}, ann))
	r, err := late.replica.TransactionReceipt(t.Context(), after.Result.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.Verify(genesis); err != nil || s.Result != after.Result || len(r.Path.Steps) != 2 {
		t.Errorf("over %d changes of validators: %+v, %v", len(r.Path.Steps), s, err)
	}
	r.Path.Steps = r.Path.Steps[1:]
	if _, err := r.Verify(genesis); err == nil {
		t.Error("a change of validators was left out, and the receipt is good")
	}

	for asset, want := range map[ledger.AssetID]ledger.Amount{eur: amount(5), {Code: "USD", Issuer: bank.id}: {}} {
		r, err := late.replica.BalanceReceipt(t.Context(), ann.id, asset, 0)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := r.Verify(genesis); err != nil || s.Amount != want || s.Account != ann.id || s.Asset != asset {
			t.Errorf("balance: %+v, %v", s, err)
		}
		good := *r.Balance
		for _, bad := range []receipt.Balance{
			{Account: good.Account, Asset: good.Asset, Amount: "6", Proof: good.Proof},
			{Account: good.Account, Asset: good.Asset, Amount: "0" + good.Amount, Proof: good.Proof},
			{Account: good.Account, Asset: asset.Code + "@" + strings.ToUpper(asset.Issuer.String()), Amount: good.Amount, Proof: good.Proof},
		} {
			r.Balance = &bad
			if _, err := r.Verify(genesis); err == nil {
				t.Errorf("another balance is proven, or the same in other words: %s %s", bad.Amount, bad.Asset)
			}
		}
	}

	// Nothing happens any more, and the last block is the one that is trusted.
	eventually(t, "a block that changes nothing", func() bool {
		tip := late.replica.Tip()
		root, err := late.replica.RootBefore(tip.Height)
		return err == nil && root == ledger.Hash(tip.Root)
	})
	last := late.replica.Tip().Height
	if r, err = late.replica.BalanceReceipt(t.Context(), ann.id, eur, last); err != nil {
		t.Fatalf("since the last block: %v", err)
	}
	hash, err := late.replica.BlockHash(last)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.Verify(light.Root{Height: last, Hash: hash}); err != nil || s.Amount != amount(5) {
		t.Errorf("since the last block: %+v, %v", s, err)
	}
}

// replaceValidator gives a node the only vote in place of another.
func (n *testNet) replaceValidator(old, new *node) {
	n.t.Helper()
	new.halt()
	new.generate()
	new.start()
	key := new.signer.PublicKey()
	n.commit(old, n.sign([]ledger.Operation{&ledger.Propose{By: old.operator.id, Proposal: ledger.Proposal{
		SetPower: &ledger.SetPower{Validator: key, Operator: new.operator.id, Power: 100}}}}, old.operator))
	n.commit(old, n.sign([]ledger.Operation{&ledger.Propose{By: new.operator.id, Proposal: ledger.Proposal{
		SetPower: &ledger.SetPower{Validator: old.signer.PublicKey(), Operator: old.operator.id}}}}, new.operator))
	eventually(n.t, "one validator", func() bool {
		v, err := new.replica.Validators()
		return err == nil && len(v) == 1 && v[0].Key == key
	})
}
