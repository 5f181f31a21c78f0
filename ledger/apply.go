package ledger

// apply applies one operation to the state that those before it left. It returns a code other than Applied where that can't be, and an error only where the state can't be read.
func (b *Block) apply(op Operation) (Code, error) {
	switch o := op.(type) {
	case *DefineAsset:
		return b.defineAsset(o)
	case *Issue:
		return b.issue(o)
	case *Transfer:
		return b.transfer(o)
	case *Retire:
		return b.retire(o)
	case *SetKeys:
		return b.setKeys(o)
	case *Admit:
		return b.admit(o)
	case *Expel:
		return b.expel(o)
	case *Invite:
		return b.invite(o)
	case *Revoke:
		return b.revoke(o)
	case *ReplaceMember:
		return b.replaceMember(o)
	case *Propose:
		return b.propose(o)
	case *Vote:
		return b.vote(o)
	}
	return Applied, nil // an anchor: that it is here is all
}

func (b *Block) defineAsset(o *DefineAsset) (Code, error) {
	key := AssetKey(o.Asset)
	if value, err := b.state.get(key); err != nil || value != nil {
		return AssetExists, err
	}
	a := Asset{Scale: o.Scale, Cap: o.Cap}
	b.state.set(key, a.Marshal())
	return Applied, nil
}

func (b *Block) issue(o *Issue) (Code, error) {
	code, err := b.supply(o.Asset, func(a *Asset) Code {
		supply, ok := a.Supply.Add(o.Amount)
		if !ok || supply.Cmp(a.Most()) > 0 {
			return OverCap
		}
		a.Supply = supply
		return Applied
	})
	if code != Applied || err != nil {
		return code, err
	}
	return b.credit(o.To, o.Asset, o.Amount)
}

func (b *Block) transfer(o *Transfer) (Code, error) {
	if value, err := b.state.get(AssetKey(o.Asset)); err != nil || value == nil {
		return NoAsset, err
	}
	if code, err := b.debit(o.From, o.Asset, o.Amount); code != Applied || err != nil {
		return code, err
	}
	return b.credit(o.To, o.Asset, o.Amount)
}

func (b *Block) retire(o *Retire) (Code, error) {
	code, err := b.supply(o.Asset, func(a *Asset) Code {
		supply, ok := a.Supply.Sub(o.Amount)
		if !ok {
			return Insufficient
		}
		a.Supply = supply
		return Applied
	})
	if code != Applied || err != nil {
		return code, err
	}
	return b.debit(o.From, o.Asset, o.Amount)
}

// supply changes what is known of an asset.
func (b *Block) supply(id AssetID, change func(*Asset) Code) (Code, error) {
	key := AssetKey(id)
	value, err := b.state.get(key)
	if err != nil || value == nil {
		return NoAsset, err
	}
	var a Asset
	if err := a.Unmarshal(value); err != nil {
		return NoAsset, err
	}
	if code := change(&a); code != Applied {
		return code, nil
	}
	b.state.set(key, a.Marshal())
	return Applied, nil
}

// debit takes an amount from an account.
func (b *Block) debit(account AccountID, asset AssetID, amount Amount) (Code, error) {
	return b.balance(account, asset, Insufficient, func(a Amount) (Amount, bool) { return a.Sub(amount) })
}

// credit gives an amount to an account. That there is not too much of it in all the supply has seen to.
func (b *Block) credit(account AccountID, asset AssetID, amount Amount) (Code, error) {
	return b.balance(account, asset, OverCap, func(a Amount) (Amount, bool) { return a.Add(amount) })
}

func (b *Block) balance(account AccountID, asset AssetID, otherwise Code, change func(Amount) (Amount, bool)) (Code, error) {
	key := BalanceKey(account, asset)
	value, err := b.state.get(key)
	if err != nil {
		return otherwise, err
	}
	a, err := UnmarshalBalance(value)
	if err != nil {
		return otherwise, err
	}
	a, ok := change(a)
	if !ok {
		return otherwise, nil
	}
	b.state.set(key, MarshalBalance(a))
	return Applied, nil
}

func (b *Block) setKeys(o *SetKeys) (Code, error) {
	a, err := b.account(o.Account)
	if err != nil {
		return Applied, err
	}
	a.KeySet = &o.KeySet
	if o.KeySet.ID() == o.Account {
		a.KeySet = nil // back to the first ones
	}
	b.state.set(AccountKey(o.Account), a.Marshal())
	return Applied, nil
}
