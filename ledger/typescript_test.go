package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"github.com/folkmoot/folkmoot/internal/goldentest"
	"testing"
)

var updateVectors = flag.Bool("update-typescript", false, "write the transfers that the TypeScript client must encode alike")

// typescriptVectors are read by the tests of clients/typescript.
const typescriptVectors = "../clients/typescript/test/data/transfers.json"

type transferVector struct {
	Network Hash      `json:"network"`
	Seed    string    `json:"seed"`
	Account AccountID `json:"account"`
	Body    struct {
		ValidUntil int64          `json:"valid_until"`
		Salt       string         `json:"salt"`
		Memo       string         `json:"memo"`
		Transfers  []transferText `json:"transfers"`
	} `json:"body"`
	ID      Hash   `json:"id"`
	Encoded string `json:"encoded"`
}

type transferText struct {
	Asset  string    `json:"asset"`
	From   AccountID `json:"from"`
	To     AccountID `json:"to"`
	Amount string    `json:"amount"`
}

// TestTypeScriptTransfers holds the transfers that the TypeScript client is tested with to what this package makes of them.
func TestTypeScriptTransfers(t *testing.T) {
	vectors := map[string][]transferVector{"transfers": {
		makeTransfer(t, 1, 1_700_000_000_000, 7, "", NewAmount(1)),
		makeTransfer(t, 2, 1_800_000_000_123, 1<<64-1, "for the apples, ä 🍏", NewAmount(12_50), MaxAmount()),
	}}
	want, err := json.MarshalIndent(vectors, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	goldentest.Check(t, typescriptVectors, append(want, '\n'), *updateVectors, "go test ./ledger -run TypeScript -update-typescript")
}

// makeTransfer signs a transfer of each amount with the key whose seed is 32 times a byte.
func makeTransfer(t *testing.T, seed byte, until int64, salt uint64, memo string, amounts ...Amount) transferVector {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	keys := KeySet{Threshold: 1, Keys: []PublicKey{PublicKey(key.Public().(ed25519.PublicKey))}}
	v := transferVector{Network: Hash(bytes.Repeat([]byte{seed + 0xa0}, 32)), Seed: hex.EncodeToString(key.Seed()), Account: keys.ID()}
	v.Body.ValidUntil, v.Body.Salt, v.Body.Memo = until, NewAmount(salt).String(), memo
	tx := Transaction{Body: Body{ValidUntil: until, Salt: salt, Memo: []byte(memo)}}
	for i, amount := range amounts {
		to := AccountID{seed, byte(i)}
		asset := AssetID{Code: "EUR"[:1+i], Issuer: AccountID{byte(i), seed}}
		tx.Operations = append(tx.Operations, &Transfer{Asset: asset, From: keys.ID(), To: to, Amount: amount})
		v.Body.Transfers = append(v.Body.Transfers, transferText{asset.String(), keys.ID(), to, amount.String()})
	}
	if err := tx.Sign(v.Network, keys.ID(), &keys, key); err != nil {
		t.Fatal(err)
	}
	data, err := EncodeTransaction(&tx)
	if err != nil {
		t.Fatal(err)
	}
	v.ID, v.Encoded = Hash(tx.ID(v.Network)), hex.EncodeToString(data)
	return v
}
