package ledgercheck

import (
	"maps"
	"math/big"
	"slices"
)

// money carries the blocks out once more, and compares what that leads to with what the node says.
func (c *checker) money() {
	balances, supply := make(map[string]*big.Int), new(big.Int)
	for i := range c.chain.Blocks {
		for j := range c.chain.Blocks[i].Transactions {
			if t := &c.chain.Blocks[i].Transactions[j]; t.Applied {
				c.carryOut(balances, supply, c.chain.Blocks[i].Height, t)
			}
		}
	}
	accounts := maps.Clone(c.chain.Balances)
	if accounts == nil {
		accounts = make(map[string]uint64)
	}
	for account := range balances {
		accounts[account] += 0
	}
	total := new(big.Int)
	for _, account := range slices.Sorted(maps.Keys(accounts)) {
		says, want := new(big.Int).SetUint64(accounts[account]), balance(balances, account)
		total.Add(total, says)
		if says.Cmp(want) != 0 {
			c.report(BalancesFollow, "account %s has %s, and the blocks lead to %s", account, says, want)
		}
	}
	says := new(big.Int).SetUint64(c.chain.Supply)
	if says.Cmp(total) != 0 || says.Cmp(supply) != 0 {
		c.report(SupplyIsKept, "there is %s, the accounts have %s together, and %s was issued", says, total, supply)
	}
}

func balance(of map[string]*big.Int, account string) *big.Int {
	if of[account] == nil {
		of[account] = new(big.Int)
	}
	return of[account]
}

// carryOut does what an applied transaction says.
func (c *checker) carryOut(balances map[string]*big.Int, supply *big.Int, height int64, t *Transaction) {
	for _, m := range t.Movements {
		amount := new(big.Int).SetUint64(m.Amount)
		if m.To == "" {
			supply.Sub(supply, amount)
		} else {
			to := balance(balances, m.To)
			to.Add(to, amount)
		}
		if m.From == "" {
			supply.Add(supply, amount)
			continue
		}
		from := balance(balances, m.From)
		if from.Sub(from, amount); from.Sign() < 0 {
			c.report(BalancesFollow, "block %d takes %d from account %s, which then has %s", height, m.Amount, m.From, from)
		}
	}
}
