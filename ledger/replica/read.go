package replica

import (
	"bytes"
	"errors"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// Tip returns the last block that this node knows.
func (r *Replica) Tip() state.Tip { return r.store.Tip() }

// First returns the lowest block that this node keeps.
func (r *Replica) First() (first int64, err error) {
	err = r.read(func(v *state.View) error {
		first, err = v.First()
		return err
	})
	return max(first, 1), err
}

// Snapshots returns the heights of the snapshots of the state that others can fetch from this node, the newest last.
func (r *Replica) Snapshots() (heights []int64) {
	for _, s := range r.app.List() {
		heights = append(heights, s.Height)
	}
	return heights
}

// Rules returns which version of the rules blocks follow, and which was decided on for later.
func (r *Replica) Rules() (rules ledger.Rules, err error) {
	err = r.read(func(v *state.View) error {
		rules, err = ledger.CurrentRules(v)
		return err
	})
	return rules, err
}

// read calls f with the state after the last block.
func (r *Replica) read(f func(v *state.View) error) error {
	v := r.store.View()
	return errors.Join(f(v), v.Close())
}

// Find returns where a transaction is. It is fault.NotFound when it is in no block that is kept.
func (r *Replica) Find(id ledger.TransactionID) (place Place, err error) {
	err = r.read(func(v *state.View) error {
		b, index, err := find(v, id)
		if err != nil {
			return err
		}
		place = Place{b.Height, b.Time, b.Results[index]}
		return nil
	})
	return place, err
}

// fresh tells which of some transactions, whose ids are given, are in no block yet, as far as the state can be read.
func (r *Replica) fresh(transactions []*ledger.Transaction, ids []ledger.TransactionID) []bool {
	list := make([]bool, len(ids))
	_ = r.read(func(v *state.View) error { // what can't be read is told by whoever has to read it
		for i, id := range ids {
			seen, err := v.Seen(id, transactions[i].ValidFrom())
			if err != nil {
				return err
			}
			list[i] = !seen
		}
		return nil
	})
	return list
}

// Transaction returns a transaction with where it is. It is fault.NotFound when it is in no block that is kept.
func (r *Replica) Transaction(id ledger.TransactionID) (t *ledger.Transaction, place Place, err error) {
	err = r.read(func(v *state.View) error {
		b, index, err := find(v, id)
		if err != nil {
			return err
		}
		t, place = b.Transactions[index], Place{b.Height, b.Time, b.Results[index]}
		return nil
	})
	return t, place, err
}

// Anchors returns the transactions that anchored a digest, oldest first: at most limit, of the blocks that are kept.
func (r *Replica) Anchors(digest ledger.Hash, limit int) (list []Entry, err error) {
	err = r.read(func(v *state.View) error {
		positions, err := v.Anchors(digest, limit)
		if err != nil {
			return err
		}
		list, err = entries(v, positions)
		return err
	})
	return list, err
}

func find(v *state.View, id ledger.TransactionID) (*state.Block, uint32, error) {
	at, ok, err := v.Find(id)
	if err != nil {
		return nil, 0, err
	}
	if !ok {
		first, err := v.First()
		if err == nil && first > 1 {
			err = fault.New(fault.NotFound, "transaction %s is in no block that this node keeps, the first of which is %d: a node that keeps all knows for sure", id, first)
		} else if err == nil {
			err = fault.New(fault.NotFound, "transaction %s is in no block", id)
		}
		return nil, 0, err
	}
	b, err := v.Block(at.Height)
	if err != nil {
		return nil, 0, err
	}
	if b == nil || int(at.Index) >= len(b.Results) {
		return nil, 0, fault.New(fault.NotFound, "transaction %s is in block %d, which this node does not keep: ask one that keeps all blocks", id, at.Height)
	}
	return b, at.Index, nil
}

// Balance is what an account has of an asset.
type Balance struct {
	Asset  ledger.AssetID
	Amount ledger.Amount
	// Scale is the asset's.
	Scale uint8
}

// Account is what is known of an account.
type Account struct {
	ledger.Account
	// Balances are in the order of issuers and codes.
	Balances []Balance
	// Tip is the block after which it was so.
	Tip state.Tip
}

// Account returns what is known of an account. Every id is one of an account: of one that nobody has touched nothing is known.
func (r *Replica) Account(id ledger.AccountID) (a Account, err error) {
	err = r.read(func(v *state.View) error {
		a.Tip = v.Tip
		value, err := v.Get(ledger.AccountKey(id))
		if err != nil {
			return err
		}
		if err := a.Unmarshal(value); err != nil {
			return err
		}
		a.Balances, err = balances(v, ledger.BalancesOf(id))
		return err
	})
	return a, err
}

func balances(v *state.View, prefix []byte) (list []Balance, err error) {
	var wrong error
	err = v.Ascend(prefix, func(key, value []byte) bool {
		var b Balance
		if _, b.Asset, wrong = ledger.ParseBalanceKey(key); wrong == nil {
			b.Amount, wrong = ledger.UnmarshalBalance(value)
		}
		list = append(list, b)
		return wrong == nil
	})
	if err = errors.Join(err, wrong); err != nil {
		return nil, err
	}
	for i := range list {
		a, err := asset(v, list[i].Asset)
		if err != nil {
			return nil, err
		}
		list[i].Scale = a.Scale
	}
	return list, nil
}

func asset(v *state.View, id ledger.AssetID) (a ledger.Asset, err error) {
	value, err := v.Get(ledger.AssetKey(id))
	if err == nil && value == nil {
		err = fault.New(fault.NotFound, "there is no asset %s", id)
	}
	if err == nil {
		err = a.Unmarshal(value)
	}
	return a, err
}

// Asset returns what is known of an asset. It is fault.NotFound when there is none.
func (r *Replica) Asset(id ledger.AssetID) (a ledger.Asset, err error) {
	err = r.read(func(v *state.View) error {
		a, err = asset(v, id)
		return err
	})
	return a, err
}

// Validator is one with power.
type Validator struct {
	Key ledger.PublicKey
	ledger.Validator
}

// Validators returns those with power, in the order of their keys.
func (r *Replica) Validators() (list []Validator, err error) {
	err = r.read(func(v *state.View) error {
		list, err = validators(v)
		return err
	})
	return list, err
}

func validators(v *state.View) (list []Validator, err error) {
	var wrong error
	err = v.Ascend(ledger.Validators(), func(key, value []byte) bool {
		var one Validator
		copy(one.Key[:], key[1:])
		wrong = one.Unmarshal(value)
		list = append(list, one)
		return wrong == nil
	})
	return list, errors.Join(err, wrong)
}

// Proposal is one that is open.
type Proposal struct {
	ID ledger.Hash
	ledger.OpenProposal
}

// Proposals returns those that are open, in the order of their ids. One whose time is over may still be among them.
func (r *Replica) Proposals() (list []Proposal, err error) {
	err = r.read(func(v *state.View) error {
		var wrong error
		err := v.Ascend(ledger.Proposals(), func(key, value []byte) bool {
			var one Proposal
			copy(one.ID[:], key[1:])
			wrong = one.Unmarshal(bytes.Clone(value))
			list = append(list, one)
			return wrong == nil
		})
		return errors.Join(err, wrong)
	})
	return list, err
}

// Block returns a block with its transactions, of which there may be none. It is fault.NotFound for a height that is not reached yet, or a block that is not kept any more.
func (r *Replica) Block(height int64) (b *state.Block, err error) {
	err = r.read(func(v *state.View) error {
		first, err := v.First()
		switch {
		case err != nil:
			return err
		case height < 1 || height > v.Tip.Height:
			return fault.New(fault.NotFound, "there is no block %d: the last is %d", height, v.Tip.Height)
		case height < first:
			return fault.New(fault.NotFound, "block %d is not kept by this node, the first that is kept is %d: ask one that keeps all blocks", height, first)
		}
		b, err = v.Block(height)
		return err
	})
	if err == nil && b == nil {
		b = &state.Block{Height: height}
	}
	return b, err
}

// Entry is a transaction of an account's history.
type Entry struct {
	At          state.Position
	Transaction *ledger.Transaction
	Place       Place
}

// History returns the transactions that concern an account, newest first: at most limit of those before a position, of which the zero value means the end.
func (r *Replica) History(account ledger.AccountID, before state.Position, limit int) (list []Entry, err error) {
	err = r.read(func(v *state.View) error {
		positions, err := v.History(account, before, limit)
		if err != nil {
			return err
		}
		list, err = entries(v, positions)
		return err
	})
	return list, err
}

// entries returns the transactions at positions.
func entries(v *state.View, positions []state.Position) (list []Entry, err error) {
	var b *state.Block
	for _, at := range positions {
		if b == nil || b.Height != at.Height {
			if b, err = v.Block(at.Height); err != nil {
				return nil, err
			}
		}
		if b == nil || int(at.Index) >= len(b.Results) {
			return nil, fault.New(fault.Internal, "the ledger's state is damaged: it has no transaction %d of block %d", at.Index, at.Height)
		}
		list = append(list, Entry{at, b.Transactions[at.Index], Place{b.Height, b.Time, b.Results[at.Index]}})
	}
	return list, nil
}

// RootBefore returns the root of the state after the block before a height, as the header of that height has it. It is fault.NotFound for a height that is not reached or not kept.
func (r *Replica) RootBefore(height int64) (ledger.Hash, error) { return r.engine.AppHash(height) }

// BlockHash returns the hash of a block, which names it and all before it. It is fault.NotFound for a height that is not reached or not kept.
func (r *Replica) BlockHash(height int64) (ledger.Hash, error) { return r.engine.BlockHash(height) }

// InForce tells whether those who decide on the next block are the validators of the state. They are not between a block that changes validators and the block after it.
func (r *Replica) InForce() (bool, error) {
	deciding, err := r.engine.Deciding()
	if err != nil {
		return false, err
	}
	validators, err := r.Validators()
	if err != nil || len(deciding) != len(validators) {
		return false, err
	}
	power := make(map[ledger.PublicKey]uint64, len(deciding))
	for _, v := range deciding {
		power[v.Key] = uint64(v.Power)
	}
	for _, v := range validators {
		if power[v.Key] != v.Power {
			return false, nil
		}
	}
	return true, nil
}
