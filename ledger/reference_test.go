package ledger_test

import (
	"math/big"

	"github.com/folkmoot/folkmoot/ledger"
)

// reference is the whole ledger a second time, from its description rather than from its code: plain maps, big integers, sets, and a list of how to take back what a transaction did. It uses nothing of
// package ledger but its nouns.
type reference struct {
	now, height int64
	assets      map[ledger.AssetID]*referenceAsset
	balances    map[holding]*big.Int
	keys        map[ledger.AccountID]string // encoded; only of those that replaced theirs
	slots       map[slot]int64
	seen        map[ledger.TransactionID]bool
	validators  map[ledger.PublicKey]ledger.SetPower
	members     map[string]referenceMember
	invites     map[ledger.AccountID]referenceInvite
	proposals   map[ledger.Hash]*referenceProposal
	rules       ledger.ActivateRules // what was decided last
	signed      map[ledger.AccountID]int
	mostSigned  int

	undo []func() // how to take back what the present transaction did, last first
}

type (
	holding struct {
		account ledger.AccountID
		asset   ledger.AssetID
	}
	slot struct {
		account ledger.AccountID
		number  uint8
	}
	referenceAsset struct {
		cap, supply *big.Int
		scale       uint8
	}
	referenceProposal struct {
		what  ledger.Proposal
		by    ledger.AccountID
		until int64
		votes map[ledger.AccountID]bool
	}
)

func newReference(validators []ledger.GenesisValidator, mostSigned int) *reference {
	r := &reference{
		assets: map[ledger.AssetID]*referenceAsset{}, balances: map[holding]*big.Int{}, keys: map[ledger.AccountID]string{}, slots: map[slot]int64{},
		seen: map[ledger.TransactionID]bool{}, validators: map[ledger.PublicKey]ledger.SetPower{}, members: map[string]referenceMember{}, invites: map[ledger.AccountID]referenceInvite{},
		proposals: map[ledger.Hash]*referenceProposal{}, mostSigned: mostSigned,
	}
	for _, v := range validators {
		r.validators[v.Key] = ledger.SetPower{Validator: v.Key, Operator: v.Operator, Power: v.Power}
	}
	return r
}

// put changes a map, and remembers how to change it back.
func put[K comparable, V any](r *reference, m map[K]V, key K, value V) {
	before, there := m[key]
	m[key] = value
	r.undo = append(r.undo, func() {
		if there {
			m[key] = before
		} else {
			delete(m, key)
		}
	})
}

// drop is put of nothing.
func drop[K comparable, V any](r *reference, m map[K]V, key K) {
	if before, there := m[key]; there {
		delete(m, key)
		r.undo = append(r.undo, func() { m[key] = before })
	}
}

func (r *reference) takeBack() {
	for i := len(r.undo) - 1; i >= 0; i-- {
		r.undo[i]()
	}
	r.undo = nil
}

func (r *reference) begin(height, now int64) {
	r.height, r.now, r.signed = height, now, map[ledger.AccountID]int{}
}

// refusals returns why a transaction may not be in the block here: nothing where it may.
func (r *reference) refusals(tx *ledger.Transaction, id ledger.TransactionID) (why []string) {
	most := int64(3600_000)
	if tx.Slot != nil {
		most = 90 * 24 * 3600_000
		if r.slots[slot{tx.Slot.Account, tx.Slot.Number}] != int64(tx.Slot.Sequence) {
			why = append(why, "conflict")
		}
	}
	if r.seen[id] {
		why = append(why, "conflict")
	}
	if tx.ValidUntil <= r.now || tx.ValidUntil > r.now+most {
		why = append(why, "invalid")
	}
	for _, a := range tx.Authorizations {
		present, replaced := r.keys[a.Account]
		if replaced && present != encodeKeys(&a.KeySet) || !replaced && a.KeySet.ID() != a.Account {
			why = append(why, "forbidden")
		}
		if r.signed[a.Account] == r.mostSigned {
			why = append(why, "full")
		}
	}
	return why
}

// include applies a transaction that is not refused.
func (r *reference) include(tx *ledger.Transaction, id ledger.TransactionID) ledger.Result {
	r.undo = nil
	result := ledger.Result{ID: id}
	for i, op := range tx.Operations {
		if code := r.apply(op); code != ledger.Applied {
			r.takeBack()
			result.Code, result.Operation = code, uint16(i)
			break
		}
	}
	r.seen[id] = true
	for _, a := range tx.Authorizations {
		r.signed[a.Account]++
	}
	if s := tx.Slot; s != nil {
		r.slots[slot{s.Account, s.Number}]++
	}
	return result
}

func (r *reference) apply(op ledger.Operation) ledger.Code {
	switch o := op.(type) {
	case *ledger.DefineAsset:
		return r.define(o)
	case *ledger.Issue:
		return r.supply(o.Asset, o.To, toBig(o.Amount))
	case *ledger.Retire:
		return r.supply(o.Asset, o.From, new(big.Int).Neg(toBig(o.Amount)))
	case *ledger.Transfer:
		return r.transfer(o)
	case *ledger.SetKeys:
		put(r, r.keys, o.Account, encodeKeys(&o.KeySet))
	case *ledger.Admit:
		return r.admit(o)
	case *ledger.Expel:
		return r.expel(o)
	case *ledger.ReplaceMember:
		return r.replace(o)
	case *ledger.Invite:
		return r.invite(o)
	case *ledger.Revoke:
		return r.revoke(o)
	case *ledger.Propose:
		return r.propose(o)
	case *ledger.Vote:
		return r.vote(o)
	}
	return ledger.Applied
}

func (r *reference) define(o *ledger.DefineAsset) ledger.Code {
	if r.assets[o.Asset] != nil {
		return ledger.AssetExists
	}
	put(r, r.assets, o.Asset, &referenceAsset{cap: toBig(o.Cap), supply: new(big.Int), scale: o.Scale})
	return ledger.Applied
}

func (r *reference) has(h holding) *big.Int {
	if b := r.balances[h]; b != nil {
		return b
	}
	return new(big.Int)
}

// supply makes more of an asset, or less, and the account has it.
func (r *reference) supply(id ledger.AssetID, account ledger.AccountID, by *big.Int) ledger.Code {
	a := r.assets[id]
	if a == nil {
		return ledger.NoAsset
	}
	supply, balance := new(big.Int).Add(a.supply, by), new(big.Int).Add(r.has(holding{account, id}), by)
	if a.cap.Sign() > 0 && supply.Cmp(a.cap) > 0 || supply.BitLen() > 128 {
		return ledger.OverCap
	}
	if balance.Sign() < 0 {
		return ledger.Insufficient
	}
	put(r, r.assets, id, &referenceAsset{a.cap, supply, a.scale})
	put(r, r.balances, holding{account, id}, balance)
	return ledger.Applied
}

func (r *reference) transfer(o *ledger.Transfer) ledger.Code {
	if r.assets[o.Asset] == nil {
		return ledger.NoAsset
	}
	from, to, amount := holding{o.From, o.Asset}, holding{o.To, o.Asset}, toBig(o.Amount)
	if r.has(from).Cmp(amount) < 0 {
		return ledger.Insufficient
	}
	if from != to {
		put(r, r.balances, from, new(big.Int).Sub(r.has(from), amount))
		put(r, r.balances, to, new(big.Int).Add(r.has(to), amount))
	}
	return ledger.Applied
}

// toBig reads an amount's decimal digits, which is another way than its words.
func toBig(a ledger.Amount) *big.Int {
	n, _ := new(big.Int).SetString(a.String(), 10)
	return n
}

// encodeKeys makes key sets comparable.
func encodeKeys(k *ledger.KeySet) string {
	text := string(rune(k.Threshold))
	for _, key := range k.Keys {
		text += string(key[:])
	}
	return text
}
