package ledger_test

import (
	"testing"

	"github.com/folkmoot/folkmoot/ledger"
)

// BenchmarkExecute takes transfers between random ones of 1,000 accounts into a block of 1,000 and ends it, on a state in memory.
func BenchmarkExecute(b *testing.B) {
	const many = 1000
	view := &replica{ids: map[ledger.TransactionID]int64{}}
	asset := ledger.AssetID{Code: "EUR", Issuer: ledger.AccountID{1}}
	definition := ledger.Asset{Supply: ledger.NewAmount(many * 1e9)}
	limits := ledger.Limits{BlockCost: ledger.MaxBlockCost, AccountTransactions: many}
	rules := ledger.Rules{Active: 1}
	first := []ledger.Change{
		{Key: ledger.LimitsKey(), Value: limits.Marshal()}, {Key: ledger.RulesKey(), Value: rules.Marshal()}, {Key: ledger.AssetKey(asset), Value: definition.Marshal()},
	}
	sets := make([]ledger.KeySet, many)
	for i := range sets {
		sets[i] = ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{{byte(i >> 8), byte(i)}}}
		first = append(first, ledger.Change{Key: ledger.BalanceKey(sets[i].ID(), asset), Value: ledger.MarshalBalance(ledger.NewAmount(1e9))})
	}
	view.commit(0, ledger.Outcome{Changes: first})
	txs := make([]*ledger.Transaction, many)
	for i := range txs {
		from, to := sets[i].ID(), sets[(i*7+1)%many].ID()
		txs[i] = &ledger.Transaction{
			Body:           ledger.Body{ValidUntil: 2, Salt: uint64(i), Operations: []ledger.Operation{&ledger.Transfer{Asset: asset, From: from, To: to, Amount: ledger.NewAmount(1)}}},
			Authorizations: []ledger.Authorization{{Account: from, KeySet: sets[i], Signatures: make([]ledger.Signature, 1)}},
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		block, err := ledger.NewBlock(view, view, network, 1, 1)
		if err != nil {
			b.Fatal(err)
		}
		for _, tx := range txs {
			if r, err := block.Include(tx); err != nil || r.Code != ledger.Applied {
				b.Fatal(r, err)
			}
		}
		if _, err := block.Finish(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/many/1000, "µs/transfer")
}
