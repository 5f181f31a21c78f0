package state

import (
	"bytes"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func FuzzBlock(f *testing.F) {
	tx := &ledger.Transaction{Body: ledger.Body{ValidUntil: 1, Operations: []ledger.Operation{&ledger.Anchor{}}},
		Authorizations: []ledger.Authorization{{KeySet: ledger.KeySet{Threshold: 1, Keys: make([]ledger.PublicKey, 1)}, Signatures: make([]ledger.Signature, 1)}}}
	b := &Block{Time: 5, Transactions: []*ledger.Transaction{tx, tx}, Results: []ledger.Result{{}, {Code: ledger.Insufficient, Operation: 3}}}
	f.Add(b.marshal())
	f.Add((&Block{}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBlock(ledger.Hash{}, data)
		if err != nil {
			if fault.KindOf(err) != fault.Internal {
				t.Errorf("%v is of kind %v", err, fault.KindOf(err))
			}
			return
		}
		if again := b.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
	})
}
