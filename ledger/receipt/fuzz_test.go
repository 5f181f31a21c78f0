package receipt_test

import (
	"bytes"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
)

// FuzzReceipt: what is read has one spelling, and nothing invented is good.
func FuzzReceipt(f *testing.F) {
	r := &receipt.Receipt{Version: receipt.Version, Transaction: &receipt.Transaction{Body: []byte{1}}, Path: light.Path{Start: &light.Start{Next: []light.Validator{{Power: 1}}}}}
	data, err := r.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	r = &receipt.Receipt{Version: receipt.Version, Balance: &receipt.Balance{Amount: "1"}, Path: light.Path{Steps: []light.Step{{}}}}
	if data, err = r.Encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := receipt.Parse(data)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("%v is of kind %v", err, k)
			}
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s became %s", data, again)
		}
		if _, err := r.Verify(light.Root{Height: 1, Hash: ledger.Hash{1}}); fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.TooLarge {
			t.Errorf("verified: %v", err)
		}
	})
}
