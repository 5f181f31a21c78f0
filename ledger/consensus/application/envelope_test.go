package application

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func anchor(note string) []byte {
	return ledger.AppendTransaction(nil, &ledger.Transaction{Body: ledger.Body{ValidUntil: 1, Operations: []ledger.Operation{&ledger.Anchor{Note: note}}},
		Authorizations: []ledger.Authorization{{KeySet: ledger.KeySet{Threshold: 1, Keys: make([]ledger.PublicKey, 1)}, Signatures: make([]ledger.Signature, 1)}}})
}

func TestEnvelopes(t *testing.T) {
	list := [][]byte{anchor("a"), anchor("b"), anchor("a")}
	got, err := ParseEnvelope(EncodeEnvelope(7, list))
	if err != nil || len(got) != 3 {
		t.Fatalf("%d transactions, %v", len(got), err)
	}
	for i := range got {
		if !bytes.Equal(ledger.AppendTransaction(nil, got[i]), list[i]) {
			t.Errorf("transaction %d differs", i)
		}
	}
	many := make([][]byte, MaxEnvelopeTransactions+1)
	for i := range many {
		many[i] = anchor("")
	}
	for what, bad := range map[string][]byte{
		"nothing": nil, "an empty one": EncodeEnvelope(7, nil), "another version": append([]byte{9}, EncodeEnvelope(7, list)[1:]...), "too many": EncodeEnvelope(7, many),
		"half": EncodeEnvelope(7, list)[:50], "no transaction": EncodeEnvelope(7, [][]byte{{1}}), "too long": make([]byte, MaxEnvelope+1),
	} {
		if _, err := ParseEnvelope(bad); fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.TooLarge {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add(EncodeEnvelope(7, [][]byte{anchor("a"), anchor("b")}))
	f.Add(EncodeEnvelope(7, [][]byte{anchor("")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseEnvelope(data)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("%v is of kind %v", err, k)
			}
			return
		}
		again := make([][]byte, len(list))
		for i := range list {
			again[i] = ledger.AppendTransaction(nil, list[i])
		}
		if !bytes.Equal(EncodeEnvelope(binary.BigEndian.Uint64(data[1:]), again), data) {
			t.Errorf("%x became something else", data)
		}
	})
}

// TestCheckedIsBounded: what is remembered is forgotten again, the oldest first.
func TestCheckedIsBounded(t *testing.T) {
	c := newChecked(ledger.Hash{}, func(int, int) {}, nil)
	size := MaxEnvelope
	for i := range 2 * maxChecked / size {
		c.hold([32]byte{byte(i), byte(i >> 8)}, size, nil)
		c.known([32]byte{}) // stays in use
	}
	if c.bytes > maxChecked || len(c.byKey) != maxChecked/size || c.order.Len() != len(c.byKey) {
		t.Errorf("%d envelopes of %d bytes are kept", len(c.byKey), c.bytes)
	}
	if _, ok := c.known([32]byte{}); !ok {
		t.Error("the one in use was forgotten")
	}
}
