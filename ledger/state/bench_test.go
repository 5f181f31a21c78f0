package state_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

func BenchmarkBlocks(b *testing.B) {
	for _, accounts := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("accounts=", accounts), func(b *testing.B) { benchmarkBlocks(b, accounts, 2000) })
	}
}

// benchmarkBlocks measures blocks of transfers, from decoded transactions to what is committed: the time of the clock, and that of the processor, in which those who work on the same machine count for less.
func benchmarkBlocks(b *testing.B, accounts, each int) {
	s, err := state.Open(state.Config{Dir: b.TempDir(), Network: network})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	bank := newHolder(0)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	g := ledger.Genesis{Network: "test", Limits: ledger.Limits{BlockCost: ledger.MaxBlockCost, AccountTransactions: 1 << 30}, Validators: []ledger.GenesisValidator{{Power: 1}}}
	a := ledger.Asset{Supply: ledger.NewAmount(uint64(accounts) * 1000)}
	first := &state.Block{Height: 1, Time: 1_800_000_000_000, Changes: append(g.Entries(), ledger.Change{Key: ledger.AssetKey(eur), Value: a.Marshal()})}
	ids := make([]ledger.AccountID, accounts)
	for i := range ids {
		ids[i] = ledger.AccountID(tree.HashKey(fmt.Append(nil, i)))
		if i == 0 {
			ids[i] = bank.id
		}
		first.Changes = append(first.Changes, ledger.Change{Key: ledger.BalanceKey(ids[i], eur), Value: ledger.MarshalBalance(ledger.NewAmount(1000))})
	}
	p, err := s.Prepare(first)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Commit(p); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	txs := make([]*ledger.Transaction, each)
	before, err := measure.CPU()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		for i := range txs {
			// Signatures are not looked at here, so that one account may move everybody's money: it is to itself.
			txs[i] = &ledger.Transaction{Body: ledger.Body{ValidUntil: s.Tip().Time + 60_000, Salt: rng.Uint64(), Operations: []ledger.Operation{
				&ledger.Transfer{Asset: eur, From: ids[rng.IntN(accounts)], To: ids[rng.IntN(accounts)], Amount: ledger.NewAmount(1)}}},
				Authorizations: []ledger.Authorization{{Account: bank.id, KeySet: bank.keys, Signatures: make([]ledger.Signature, 1)}}}
		}
		b.StartTimer()
		v := s.View()
		block := &state.Block{Height: v.Tip.Height + 1, Time: v.Tip.Time + time.Second.Milliseconds(), Transactions: txs}
		lb, err := ledger.NewBlock(v, v, network, block.Height, block.Time)
		if err != nil {
			b.Fatal(err)
		}
		if err := lb.Expect(txs); err != nil {
			b.Fatal(err)
		}
		for _, tx := range txs {
			if _, err := lb.Include(tx); err != nil {
				b.Fatal(err)
			}
		}
		o, err := lb.Finish()
		if err != nil {
			b.Fatal(err)
		}
		v.Close()
		block.Changes, block.Results = o.Changes, o.Results
		p, err := s.Prepare(block)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Commit(p); err != nil {
			b.Fatal(err)
		}
	}
	after, err := measure.CPU()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*each), "µs/transfer")
	b.ReportMetric(float64((after-before).Microseconds())/float64(b.N*each), "cpu-µs/transfer")
}
