package ledger

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// lowOrder are all encodings of the eight points of low order that ZIP-215 takes, canonical or not (ZIP-215, "Explicitly Defining and Modifying Ed25519 Validation Rules", test vectors).
var lowOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

// orderL is the order of the base point, the least number that is no canonical scalar.
const orderL = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// odd returns a transaction of an account with any 32 bytes as its key, signed with any bytes.
func odd(key, r, s []byte) *Transaction {
	keys := KeySet{1, []PublicKey{PublicKey(key)}}
	id := keys.ID()
	signature := Signature{}
	copy(signature.Bytes[:], append(append([]byte(nil), r...), s...))
	return &Transaction{
		Body:           Body{ValidUntil: 1, Operations: []Operation{&Anchor{By: id}}},
		Authorizations: []Authorization{{Account: id, KeySet: keys, Signatures: []Signature{signature}}},
	}
}

// TestZIP215 holds verdicts on the signatures over which implementations differ to those of ZIP-215, in a batch and one by one.
func TestZIP215(t *testing.T) {
	zero := make([]byte, 32)
	var good, bad []*Transaction
	for _, a := range lowOrder {
		for _, r := range lowOrder {
			good = append(good, odd(unhex(t, a), unhex(t, r), zero))
			bad = append(bad, odd(unhex(t, a), unhex(t, r), unhex(t, orderL)))
		}
	}
	for i, err := range VerifySignatures(testNetwork, good) {
		if err != nil {
			t.Errorf("%d in a batch: %v", i, err)
		}
	}
	for i := range good {
		if err := VerifySignatures(testNetwork, good[i:i+1])[0]; err != nil {
			t.Errorf("%d alone: %v", i, err)
		}
		if err := VerifySignatures(testNetwork, bad[i:i+1])[0]; err == nil {
			t.Errorf("%d with a scalar that is not canonical: good", i)
		}
	}
	for i, err := range VerifySignatures(testNetwork, bad) {
		if err == nil {
			t.Errorf("%d with a scalar that is not canonical, in a batch: good", i)
		}
	}
}

// TestWrongSignaturesAreNamed has wrong signatures among many, at random places and on the edges of batches.
func TestWrongSignaturesAreNamed(t *testing.T) {
	rng := testRand(t)
	accounts := []*testAccount{newTestAccount(rng, 1, 1), newTestAccount(rng, 2, 3), newTestAccount(rng, 3, 3)}
	var all []*Transaction
	for range 3 * batchSize / 2 {
		a := accounts[rng.IntN(len(accounts))]
		tx := &Transaction{Body: Body{ValidUntil: 1, Salt: rng.Uint64(), Operations: []Operation{&Anchor{By: a.id}}}}
		a.sign(t, tx)
		all = append(all, tx)
	}
	for _, n := range []int{0, 1, 2, batchSize - 1, batchSize, len(all)} {
		some := all[:n]
		wrong := make(map[int]bool)
		for range min(n, rng.IntN(4)) {
			wrong[rng.IntN(n)] = true
		}
		if n > 0 {
			wrong[n-1] = true
		}
		for i := range wrong {
			signature := &some[i].Authorizations[0].Signatures
			last := &(*signature)[len(*signature)-1]
			last.Bytes[rng.IntN(len(last.Bytes))] ^= 1 << rng.IntN(8)
		}
		for i, err := range VerifySignatures(testNetwork, some) {
			if (err != nil) != wrong[i] {
				t.Errorf("%d of %d: %v, wrong: %v", i, n, err, wrong[i])
			}
			if err != nil && !strings.Contains(err.Error(), some[i].Authorizations[0].Account.String()) {
				t.Errorf("%v does not say whose", err)
			}
		}
		for i := range wrong {
			some[i].Authorizations = nil
			resign(t, accounts, some[i])
		}
	}
}

// resign has those who must sign a transaction sign it.
func resign(t *testing.T, accounts []*testAccount, tx *Transaction) {
	for _, a := range accounts {
		if hasAccount(tx.Signers(), a.id) {
			a.sign(t, tx)
		}
	}
}

func TestSignaturesOfAnotherNetwork(t *testing.T) {
	rng := testRand(t)
	tx := randomTransaction(t, rng)
	if err := VerifySignatures(Hash{9}, []*Transaction{tx})[0]; err == nil {
		t.Error("a signature holds in a network that it was not made for")
	}
}

func TestSignRefuses(t *testing.T) {
	rng := testRand(t)
	a, b := newTestAccount(rng, 1, 2), newTestAccount(rng, 1, 1)
	tx := &Transaction{Body: Body{ValidUntil: 1, Operations: []Operation{&Anchor{By: a.id}}}}
	if err := tx.Sign(testNetwork, b.id, &b.keys, b.private[0]); err == nil {
		t.Error("an account signed that has nothing to sign")
	}
	if err := tx.Sign(testNetwork, a.id, &a.keys, b.private[0]); err == nil {
		t.Error("a key signed that is not the account's")
	}
	if len(tx.Authorizations) != 0 {
		t.Error("what was refused left traces")
	}
	for range 2 {
		if err := tx.Sign(testNetwork, a.id, &a.keys, a.private[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Sign(testNetwork, a.id, &KeySet{2, a.keys.Keys}, a.private[0]); err == nil {
		t.Error("signatures under two key sets were mixed")
	}
	if err := tx.Sign(testNetwork, a.id, &a.keys, a.private[0]); err != nil {
		t.Fatal(err)
	}
	if err := tx.Validate(); err != nil {
		t.Error(err)
	}
	if n := len(tx.Authorizations[0].Signatures); n != 2 {
		t.Errorf("%d signatures, want 2", n)
	}
}

func BenchmarkTransfer(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	alice, bob := newTestAccount(rng, 1, 1), newTestAccount(rng, 1, 1)
	many := make([]*Transaction, 512)
	for i := range many {
		many[i] = &Transaction{Body: Body{ValidUntil: 1, Salt: uint64(i), Operations: []Operation{&Transfer{AssetID{"EUR", bob.id}, alice.id, bob.id, NewAmount(1)}}}}
		alice.sign(b, many[i])
	}
	data := AppendTransaction(nil, many[0])
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(data)), "bytes")
		for b.Loop() {
			if _, err := ParseTransaction(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("id", func(b *testing.B) {
		for b.Loop() {
			many[0].ID(testNetwork)
		}
	})
	for _, n := range []int{1, 64, len(many)} {
		b.Run("verify/"+NewAmount(uint64(n)).String(), func(b *testing.B) {
			for b.Loop() {
				for _, err := range VerifySignatures(testNetwork, many[:n]) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/signature")
		})
	}
}
