package ledger_test

import (
	"math/big"

	"github.com/folkmoot/folkmoot/ledger"
)

// unmarshal reads an entry that must be there and readable.
func (w *world) unmarshal(key, value []byte, entry interface{ Unmarshal([]byte) error }) {
	w.t.Helper()
	if err := entry.Unmarshal(value); err != nil {
		w.t.Fatalf("block %d: %x: %v", w.height, key, err)
	}
}

func (w *world) fail(what any, got, want any) {
	w.t.Helper()
	w.t.Fatalf("block %d: %v is %v, want %v", w.height, what, got, want)
}

// compareState holds every entry to the reference, and misses none of the reference's.
func (w *world) compareState() {
	w.t.Helper()
	r := w.reference
	sums, left := map[ledger.AssetID]*big.Int{}, 0
	for _, b := range r.balances {
		left += b.Sign()
	}
	left += len(r.assets) + len(r.validators) + len(r.members) + len(r.invites)
	for _, p := range r.proposals {
		if p.until > w.now {
			left++
		}
	}
	for _, c := range w.list.sorted {
		switch c.Key[0] {
		case ledger.BalancesOf(ledger.AccountID{})[0]:
			left--
			w.compareBalance(c, sums)
		case ledger.AssetKey(ledger.AssetID{})[0]:
			left--
		case ledger.Validators()[0]:
			left--
			var v ledger.Validator
			w.unmarshal(c.Key, c.Value, &v)
			if want := r.validators[ledger.PublicKey(c.Key[1:])]; want.Power != v.Power || want.Operator != v.Operator {
				w.fail("a validator", v, want)
			}
		case ledger.Members()[0]:
			left--
			var m ledger.Member
			w.unmarshal(c.Key, c.Value, &m)
			if want, there := r.members[string(c.Key[1:])]; !there || m.Name != want.name || m.Until != want.until || m.Next != want.next || m.Since != want.since {
				w.fail("a member", m, want)
			}
		case ledger.Invites()[0]:
			left--
			var i ledger.OpenInvite
			w.unmarshal(c.Key, c.Value, &i)
			if want, there := r.invites[ledger.AccountID(c.Key[1:])]; !there || i.Uses-i.Left != want.used || i.Uses != want.uses || i.Until != want.until {
				w.fail("an invite", i, want)
			}
		case ledger.RosterKey()[0]:
			w.compareRoster(c.Value)
		case ledger.Proposals()[0]:
			left -= w.compareProposal(c)
		}
	}
	if left != 0 {
		w.fail("how many entries the state lacks", left, 0)
	}
	w.compareAssets(sums)
	w.compareAccounts()
	w.compareRules()
}

func (w *world) compareBalance(c ledger.Change, sums map[ledger.AssetID]*big.Int) {
	w.t.Helper()
	account, asset, err := ledger.ParseBalanceKey(c.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	amount, err := ledger.UnmarshalBalance(c.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	if want := w.reference.has(holding{account, asset}); toBig(amount).Cmp(want) != 0 {
		w.fail("a balance", amount, want)
	}
	if sums[asset] == nil {
		sums[asset] = new(big.Int)
	}
	sums[asset].Add(sums[asset], toBig(amount))
}

// compareProposal returns 1 for one that is open.
func (w *world) compareProposal(c ledger.Change) int {
	w.t.Helper()
	var p ledger.OpenProposal
	w.unmarshal(c.Key, c.Value, &p)
	if p.Until <= w.now {
		return 0
	}
	want := w.reference.proposals[ledger.Hash(c.Key[1:])]
	if want == nil || want.by != p.By || want.until != p.Until || len(want.votes) != len(p.Votes) {
		w.fail("a proposal", p, want)
	}
	for _, a := range p.Votes {
		if !want.votes[a] {
			w.fail("a vote", a, want.votes)
		}
	}
	return 1
}

func (w *world) compareAssets(sums map[ledger.AssetID]*big.Int) {
	w.t.Helper()
	for id, want := range w.reference.assets {
		key := ledger.AssetKey(id)
		value, _ := w.list.Get(key)
		var a ledger.Asset
		w.unmarshal(key, value, &a)
		sum := sums[id]
		if sum == nil {
			sum = new(big.Int)
		}
		if toBig(a.Supply).Cmp(want.supply) != 0 || sum.Cmp(want.supply) != 0 || toBig(a.Cap).Cmp(want.cap) != 0 || a.Scale != want.scale {
			w.fail("an asset", a, want)
		}
	}
}

func (w *world) compareAccounts() {
	w.t.Helper()
	for _, o := range w.accounts {
		key := ledger.AccountKey(o.id)
		value, _ := w.list.Get(key)
		var a ledger.Account
		w.unmarshal(key, value, &a)
		for i, used := range a.Slots {
			if want := w.reference.slots[slot{o.id, uint8(i)}]; int64(used) != want {
				w.fail("a slot", used, want)
			}
		}
		present := o.sets[0]
		if a.KeySet != nil {
			present = *a.KeySet
		}
		if want, replaced := w.reference.keys[o.id]; replaced && encodeKeys(&present) != want || !replaced && a.KeySet != nil {
			w.fail("a key set", present, want)
		}
	}
}

func (w *world) compareRules() {
	w.t.Helper()
	value, _ := w.list.Get(ledger.RulesKey())
	var rules ledger.Rules
	w.unmarshal(ledger.RulesKey(), value, &rules)
	if want := w.reference.rules; rules.Active != 1 || rules.Next != want.Version || rules.Height != want.Height {
		w.fail("the rules", rules, want)
	}
}

// compareRoster wants the roster to be that of the entries, and to count as many as there are.
func (w *world) compareRoster(value []byte) {
	w.t.Helper()
	var roster ledger.Roster
	w.unmarshal(ledger.RosterKey(), value, &roster)
	var entries []ledger.Change
	for _, c := range w.list.sorted {
		if c.Key[0] == ledger.Members()[0] {
			entries = append(entries, c)
		}
	}
	if _, want, err := ledger.ParseMembers(entries); err != nil || roster != want || int(roster.Count) != len(w.reference.members) {
		w.fail("the roster", roster, want)
	}
}
