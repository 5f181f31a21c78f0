package ledgerdoc_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/api/ledgerdoc"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// everything is a transaction with every kind of operation, signed by the one account that it needs.
func everything(t testing.TB, network ledger.Hash) *ledger.Transaction {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(key.Public().(ed25519.PublicKey))}}
	a := keys.ID()
	eur, to := ledger.AssetID{Code: "EUR", Issuer: a}, ledger.AccountID{7}
	member, err := peer.Decode("12D3KooWDMCQbZZvLgHiHntG1KwcHoqHPAxL37KvhgibWqFtpqUY")
	if err != nil {
		t.Fatal(err)
	}
	tx := &ledger.Transaction{Body: ledger.Body{
		ValidUntil: 1_800_000_000_123, Slot: &ledger.Slot{Account: a, Number: 3, Sequence: 9}, Salt: 1<<64 - 1, Memo: []byte("rent"),
		Operations: []ledger.Operation{
			&ledger.DefineAsset{Asset: eur, Scale: 2, Cap: ledger.MaxAmount()}, &ledger.DefineAsset{Asset: eur}, &ledger.Issue{Asset: eur, To: to, Amount: ledger.NewAmount(5)},
			&ledger.Transfer{Asset: eur, From: a, To: to, Amount: ledger.MaxAmount()}, &ledger.Retire{Asset: eur, From: a, Amount: ledger.NewAmount(1)},
			&ledger.Anchor{By: a, Digest: ledger.Hash{1}, Note: "deed"}, &ledger.SetKeys{Account: a, KeySet: keys}, &ledger.Admit{By: a, Member: string(member), Name: "ann"},
			&ledger.Expel{By: a, Member: string(member)}, &ledger.Vote{By: a, Proposal: ledger.Hash{2}},
			&ledger.Propose{By: a, Proposal: ledger.Proposal{SetPower: &ledger.SetPower{Validator: ledger.PublicKey{3}, Operator: to, Power: 4}}},
			&ledger.Propose{By: a, Proposal: ledger.Proposal{SetPower: &ledger.SetPower{Validator: ledger.PublicKey{3}, Operator: to}}},
			&ledger.Propose{By: a, Proposal: ledger.Proposal{ActivateRules: &ledger.ActivateRules{Version: 2, Height: 100}}},
		},
	}}
	if err := tx.Sign(network, a, &keys, key); err != nil {
		t.Fatal(err)
	}
	return tx
}

func encode(t testing.TB, tx *ledger.Transaction) []byte {
	t.Helper()
	data, err := ledger.EncodeTransaction(tx)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestThereAndBack(t *testing.T) {
	network := ledger.Hash{9}
	for _, memo := range [][]byte{[]byte("rent"), nil, {0xff, 0xfe}} {
		tx := everything(t, network)
		tx.Memo = memo
		text, err := json.Marshal(ledgerdoc.FromTransaction(network, tx))
		if err != nil {
			t.Fatal(err)
		}
		var d v1.Transaction
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		of, got, err := ledgerdoc.ToTransaction(&d)
		if err != nil || of != network {
			t.Fatalf("%s: %v", text, err)
		}
		if !bytes.Equal(encode(t, got), encode(t, tx)) {
			t.Errorf("%s became another", text)
		}
	}
}

func TestRefusedDocuments(t *testing.T) {
	network := ledger.Hash{9}
	for what, change := range map[string]func(d *v1.Transaction){
		"no network":            func(d *v1.Transaction) { d.Network = "" },
		"a salt":                func(d *v1.Transaction) { d.Salt = "-1" },
		"too fine a time":       func(d *v1.Transaction) { d.ValidUntil = d.ValidUntil.Add(1) },
		"two memos":             func(d *v1.Transaction) { d.MemoBase64 = []byte{1} },
		"no operations":         func(d *v1.Transaction) { d.Operations = nil },
		"an unknown kind":       func(d *v1.Transaction) { d.Operations[0].Kind = "steal" },
		"a needless field":      func(d *v1.Transaction) { d.Operations[2].From = d.Operations[2].To },
		"an amount":             func(d *v1.Transaction) { d.Operations[2].Amount = "1.5" },
		"an amount with zeros":  func(d *v1.Transaction) { d.Operations[2].Amount = "05" },
		"an asset":              func(d *v1.Transaction) { d.Operations[2].Asset = "EUR" },
		"an account":            func(d *v1.Transaction) { d.Operations[2].To = "ann" },
		"two proposals":         func(d *v1.Transaction) { d.Operations[12].Power = "5" },
		"a signature too short": func(d *v1.Transaction) { d.Signers[0].Signatures[0].Signature = []byte{1} },
		"a key":                 func(d *v1.Transaction) { d.Signers[0].Keys[0] = "00" },
		"a slot":                func(d *v1.Transaction) { d.Slot.Number = 200 },
	} {
		d := ledgerdoc.FromTransaction(network, everything(t, network))
		change(&d)
		if _, _, err := ledgerdoc.ToTransaction(&d); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzTransaction: whatever is read as a transaction is written as the same again.
func FuzzTransaction(f *testing.F) {
	text, err := json.Marshal(ledgerdoc.FromTransaction(ledger.Hash{9}, everything(f, ledger.Hash{9})))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		var d v1.Transaction
		if json.Unmarshal(text, &d) != nil {
			return
		}
		network, tx, err := ledgerdoc.ToTransaction(&d)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("%v is of kind %v", err, k)
			}
			return
		}
		again := ledgerdoc.FromTransaction(network, tx)
		_, same, err := ledgerdoc.ToTransaction(&again)
		if err != nil || !bytes.Equal(ledger.AppendTransaction(nil, same), ledger.AppendTransaction(nil, tx)) {
			t.Errorf("%s became another, %v", text, err)
		}
	})
}
