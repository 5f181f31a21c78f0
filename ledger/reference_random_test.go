package ledger_test

import (
	"bytes"
	"maps"
	"slices"

	"github.com/folkmoot/folkmoot/ledger"
)

// amount returns mostly what there is some of, sometimes all of it, one more, or as much as there can be.
func (w *world) amount(account ledger.AccountID, asset ledger.AssetID) ledger.Amount {
	has, err := ledger.ParseAmount(w.reference.has(holding{account, asset}).String(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	switch w.rng.IntN(10) {
	case 0:
		return ledger.MaxAmount()
	case 1:
		if !has.IsZero() {
			return has
		}
	case 2:
		if more, ok := has.Add(ledger.NewAmount(1)); ok {
			return more
		}
	}
	return ledger.NewAmount(1 + w.rng.Uint64N(400))
}

func (w *world) proposal() ledger.Proposal {
	if w.rng.IntN(8) == 0 {
		return ledger.Proposal{ActivateRules: &ledger.ActivateRules{Version: 1 + w.rng.Uint32N(3), Height: max(1, w.height-1+w.rng.Int64N(3)*1e15)}}
	}
	power := w.rng.Uint64N(12)
	switch w.rng.IntN(20) {
	case 0:
		power = ledger.MaxPower
	case 1, 2, 3, 4:
		power = 0
	}
	return ledger.Proposal{SetPower: &ledger.SetPower{Validator: w.keys[w.rng.IntN(len(w.keys))], Operator: w.accounts[w.rng.IntN(len(w.accounts))].id, Power: power}}
}

func compareHashes(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) }

// governance is mostly by those who may.
func (w *world) governance(by ledger.AccountID) ledger.Operation {
	if w.rng.IntN(6) > 0 {
		powers := w.powers()
		by = w.reference.validators[powers[w.rng.IntN(len(powers))].Key].Operator
	}
	member := ledger.MemberOf(w.accounts[w.rng.IntN(len(w.accounts))].sets[0].Keys[0])
	invited := w.accounts[w.rng.IntN(len(w.accounts))].id
	switch w.rng.IntN(18) {
	case 0:
		return &ledger.Admit{By: by, Member: member, Name: string(rune('a' + w.rng.IntN(6)))}
	case 1:
		return &ledger.Expel{By: by, Member: member}
	case 4:
		return &ledger.Admit{By: invited, Member: member, Name: "invited"}
	case 5:
		return &ledger.Invite{By: by, Account: invited, Uses: 1 + w.rng.Uint32N(2), Until: max(1, w.now-1000+w.rng.Int64N(600_000))}
	case 6:
		return &ledger.Revoke{By: by, Account: invited}
	case 7:
		if other := ledger.MemberOf(w.accounts[w.rng.IntN(len(w.accounts))].sets[0].Keys[0]); other != member {
			return &ledger.ReplaceMember{Old: member, New: other}
		}
	case 2, 3:
		return &ledger.Propose{By: by, Proposal: w.proposal()}
	}
	id := ledger.Hash{1} // of nothing
	if open := slices.SortedFunc(maps.Keys(w.reference.proposals), compareHashes); len(open) > 0 {
		id = open[w.rng.IntN(len(open))]
	}
	return &ledger.Vote{By: by, Proposal: id}
}

func (w *world) operation() ledger.Operation {
	from, to := w.accounts[w.rng.IntN(len(w.accounts))], w.accounts[w.rng.IntN(len(w.accounts))]
	asset := w.assets[w.rng.IntN(len(w.assets))]
	switch n := w.rng.IntN(100); {
	case n < 2:
		limits := []ledger.Amount{{}, ledger.NewAmount(5000), ledger.MaxAmount()}
		return &ledger.DefineAsset{Asset: asset, Scale: uint8(w.rng.IntN(19)), Cap: limits[w.rng.IntN(len(limits))]}
	case n < 20:
		return &ledger.Issue{Asset: asset, To: to.id, Amount: w.amount(to.id, asset)}
	case n < 28:
		return &ledger.Retire{Asset: asset, From: from.id, Amount: w.amount(from.id, asset)}
	case n < 30:
		return &ledger.Anchor{By: from.id, Note: "deed"}
	case n < 32:
		return &ledger.SetKeys{Account: from.id, KeySet: from.sets[w.rng.IntN(len(from.sets))]}
	case n < 50:
		return w.governance(from.id)
	}
	return &ledger.Transfer{Asset: asset, From: from.id, To: to.id, Amount: w.amount(from.id, asset)}
}

// transaction returns one that was tried before, or a new one that mostly may be in a block. Nobody checks its signatures here.
func (w *world) transaction() *ledger.Transaction {
	if len(w.tried) > 0 && w.rng.IntN(15) == 0 {
		return w.tried[w.rng.IntN(len(w.tried))]
	}
	tx := &ledger.Transaction{Body: ledger.Body{ValidUntil: w.now + 1 + w.rng.Int64N(120_000), Salt: w.rng.Uint64()}}
	if w.rng.IntN(30) == 0 {
		tx.ValidUntil = w.now - 1000 + w.rng.Int64N(2*3600_000)
	}
	for range 1 + w.rng.IntN(4)*w.rng.IntN(3) {
		tx.Operations = append(tx.Operations, w.operation())
	}
	signers := tx.Signers()
	if w.rng.IntN(6) == 0 {
		account, number := signers[w.rng.IntN(len(signers))], uint8(w.rng.IntN(3)*7)
		sequence := max(0, w.reference.slots[slot{account, number}]-w.rng.Int64N(3)/2)
		tx.Slot = &ledger.Slot{Account: account, Number: number, Sequence: uint32(sequence)}
		tx.ValidUntil += w.rng.Int64N(2) * w.rng.Int64N(91*24*3600_000)
	}
	for _, id := range signers {
		keys := w.present(id)
		a := ledger.Authorization{Account: id, KeySet: keys}
		for i := range keys.Threshold {
			a.Signatures = append(a.Signatures, ledger.Signature{Key: i})
		}
		tx.Authorizations = append(tx.Authorizations, a)
	}
	if len(w.tried) < 500 {
		w.tried = append(w.tried, tx)
	} else {
		w.tried[w.rng.IntN(len(w.tried))] = tx
	}
	return tx
}

// present returns the keys that an account has, now and then others.
func (w *world) present(id ledger.AccountID) ledger.KeySet {
	for _, o := range w.accounts {
		if o.id != id {
			continue
		}
		if w.rng.IntN(60) == 0 {
			return o.sets[w.rng.IntN(len(o.sets))]
		}
		for i := range o.sets {
			if encodeKeys(&o.sets[i]) == w.reference.keys[id] {
				return o.sets[i]
			}
		}
		return o.sets[0]
	}
	for _, o := range w.accounts { // a peer's own, perhaps
		if keys, _ := ledger.MemberAccount(ledger.MemberOf(o.sets[0].Keys[0])); keys.ID() == id {
			return keys
		}
	}
	w.t.Fatalf("nobody has the account %s", id)
	return ledger.KeySet{}
}
