package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

// TestGoldenTransactions holds the encoding, the id and the signatures to what they were when the vectors were written: a change makes another ledger.
func TestGoldenTransactions(t *testing.T) {
	files, err := filepath.Glob("testdata/transactions/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden transactions: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".hex"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Fields(string(text))
			if len(lines) != 2 {
				t.Fatalf("%d lines, want an id and a transaction", len(lines))
			}
			data, err := hex.DecodeString(lines[1])
			if err != nil {
				t.Fatal(err)
			}
			tx, err := ParseTransaction(data)
			if err != nil {
				t.Fatal(err)
			}
			if got := AppendTransaction(nil, tx); !bytes.Equal(got, data) {
				t.Errorf("written again it is %x", got)
			}
			if got := tx.ID(testNetwork).String(); got != lines[0] {
				t.Errorf("its id is %s, want %s", got, lines[0])
			}
			if errs := VerifySignatures(testNetwork, []*Transaction{tx}); errs[0] != nil {
				t.Error(errs[0])
			}
		})
	}
}

func TestTransactionRoundTrip(t *testing.T) {
	rng := testRand(t)
	for range 300 {
		tx := randomTransaction(t, rng)
		data := AppendTransaction(nil, tx)
		got, err := ParseTransaction(data)
		if err != nil {
			t.Fatalf("%x: %v", data, err)
		}
		if again := AppendTransaction(nil, got); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
		for _, n := range []int{rng.IntN(len(data)), len(data) - 1} {
			if _, err := ParseTransaction(data[:n]); fault.KindOf(err) != fault.Invalid {
				t.Fatalf("cut to %d of %d bytes: %v", n, len(data), err)
			}
		}
		if _, err := ParseTransaction(append(data, 0)); !errors.Is(err, errTransaction) {
			t.Fatalf("with a byte more: %v", err)
		}
	}
}

// TestEveryByteIsSigned flips bits of signed transactions: none is taken for what it was, and what is changed in the body or a key set breaks a signature.
func TestEveryByteIsSigned(t *testing.T) {
	rng := testRand(t)
	for range 20 {
		tx := randomTransaction(t, rng)
		data := AppendTransaction(nil, tx)
		for range 50 {
			i := rng.IntN(len(data))
			flipped := slices.Clone(data)
			flipped[i] ^= 1 << rng.IntN(8)
			got, err := ParseTransaction(flipped)
			if err != nil {
				continue
			}
			if VerifySignatures(testNetwork, []*Transaction{got})[0] == nil && accountsHold(got) {
				t.Fatalf("bit flipped in byte %d of %x: still good", i, data)
			}
		}
	}
}

// accountsHold reports whether the key sets are those that the accounts' ids are of.
func accountsHold(t *Transaction) bool {
	for i := range t.Authorizations {
		if t.Authorizations[i].KeySet.ID() != t.Authorizations[i].Account {
			return false
		}
	}
	return true
}

func TestRefusedTransactions(t *testing.T) {
	rng := testRand(t)
	alice, bob := newTestAccount(rng, 1, 1), newTestAccount(rng, 2, 3)
	eur := AssetID{"EUR", bob.id}
	transfer := func() *Transaction {
		tx := &Transaction{Body: Body{ValidUntil: 1, Operations: []Operation{&Transfer{eur, alice.id, bob.id, NewAmount(5)}}}}
		alice.sign(t, tx)
		return tx
	}
	tests := []struct {
		name   string
		change func(tx *Transaction)
		want   string
	}{
		{"no end", func(tx *Transaction) { tx.ValidUntil = 0 }, "until when"},
		{"long memo", func(tx *Transaction) { tx.Memo = make([]byte, MaxMemo+1) }, "malformed"},
		{"no operations", func(tx *Transaction) { tx.Operations = nil }, "0 operations"},
		{"nothing moved", func(tx *Transaction) { tx.Operations = []Operation{&Transfer{eur, alice.id, bob.id, Amount{}}} }, "an amount of 0"},
		{"bad code", func(tx *Transaction) {
			tx.Operations = []Operation{&Transfer{AssetID{"eur", bob.id}, alice.id, bob.id, NewAmount(1)}}
		}, `"eur" is not an asset's code`},
		{"control characters", func(tx *Transaction) { tx.Operations = []Operation{&Anchor{By: alice.id, Note: "\x1b[31m"}} }, "control characters"},
		{"not UTF-8", func(tx *Transaction) { tx.Operations = []Operation{&Anchor{By: alice.id, Note: "\xff"}} }, "not UTF-8"},
		{"slot number", func(tx *Transaction) { tx.Slot = &Slot{Account: alice.id, Number: MaxSlots} }, "slot 16"},
		{"slot of another", func(tx *Transaction) { tx.Slot = &Slot{Account: bob.id} }, "nothing to sign"},
		{"nobody signed", func(tx *Transaction) { tx.Authorizations = nil }, "must sign, and has not"},
		{"another signed too", func(tx *Transaction) {
			tx.Authorizations = append(tx.Authorizations, Authorization{Account: AccountID{0xff, 0xff}, KeySet: bob.keys})
		}, "has nothing to sign here"},
		{"signed twice", func(tx *Transaction) {
			tx.Authorizations[0].Signatures = append(tx.Authorizations[0].Signatures, tx.Authorizations[0].Signatures[0])
		}, "different keys"},
		{"key that there is not", func(tx *Transaction) { tx.Authorizations[0].Signatures[0].Key = 1 }, "different keys"},
		{"too few signatures", func(tx *Transaction) { tx.Authorizations[0].Signatures = nil }, "0 signatures of the 1"},
		{"threshold", func(tx *Transaction) { tx.Authorizations[0].KeySet.Threshold = 2 }, "2 of 1 keys"},
		{"two proposals", func(tx *Transaction) {
			tx.Operations = []Operation{&Propose{alice.id, Proposal{SetPower: &SetPower{Power: MaxPower + 1}}}}
		}, "a power of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tx := transfer()
			tt.change(tx)
			_, err := ParseTransaction(AppendTransaction(nil, tx))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := ParseTransaction(make([]byte, MaxTransaction+1)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("a transaction that is too large: %v", err)
	}
}

// TestManySigners has as many accounts sign as may, and one more, which the wire has no number for.
func TestManySigners(t *testing.T) {
	rng := testRand(t)
	tx := &Transaction{Body: Body{ValidUntil: 1}}
	accounts := make([]*testAccount, MaxSigners+1)
	for i := range accounts {
		accounts[i] = newTestAccount(rng, 1, 1)
		tx.Operations = append(tx.Operations, &Anchor{By: accounts[i].id})
	}
	if err := tx.Validate(); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "256 accounts must sign") {
		t.Errorf("%d signers: %v", len(accounts), err)
	}
	tx.Operations = tx.Operations[:MaxSigners]
	for _, a := range accounts[:MaxSigners] {
		a.sign(t, tx)
	}
	got, err := ParseTransaction(AppendTransaction(nil, tx))
	if err != nil || len(got.Authorizations) != MaxSigners {
		t.Errorf("%d signers: %v", MaxSigners, err)
	}
	if _, err := EncodeTransaction(tx); err != nil {
		t.Error(err)
	}
	// Each bound is kept, and the whole is too large.
	big := &Transaction{Body: Body{ValidUntil: 1}}
	for _, a := range accounts[:MaxSigners] {
		big.Operations = append(big.Operations, &Transfer{AssetID{"ABCDEFGHIJKL", a.id}, a.id, a.id, NewAmount(1)})
	}
	for _, a := range accounts[:MaxSigners] {
		a.sign(t, big)
	}
	if _, err := EncodeTransaction(big); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("a transaction of %d bytes: %v", len(AppendTransaction(nil, big)), err)
	}
}

func FuzzTransaction(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		f.Add(AppendTransaction(nil, randomTransaction(f, rng)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tx, err := ParseTransaction(data)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("%v is of kind %v", err, k)
			}
			return
		}
		if again := AppendTransaction(nil, tx); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
		VerifySignatures(testNetwork, []*Transaction{tx})
	})
}

// FuzzBody: what is read of a body has one encoding.
func FuzzBody(f *testing.F) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		f.Add(AppendBody(nil, &randomTransaction(f, rng).Body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := ParseBody(data)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("%v is of kind %v", err, k)
			}
			return
		}
		if again := AppendBody(nil, body); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
	})
}

// testNetwork is the id of the network of tests.
var testNetwork = Hash{1, 2, 3}

// testAccount is an account with the keys to it.
type testAccount struct {
	id      AccountID
	keys    KeySet
	private []ed25519.PrivateKey // in the order of keys
}

// newTestAccount makes an account of n keys, of which threshold must sign.
func newTestAccount(rng *rand.Rand, threshold uint8, n int) *testAccount {
	a := &testAccount{}
	for range n {
		a.private = append(a.private, ed25519.NewKeyFromSeed(randomBytes(rng, ed25519.SeedSize)))
	}
	slices.SortFunc(a.private, func(x, y ed25519.PrivateKey) int { return bytes.Compare(x[32:], y[32:]) })
	a.keys.Threshold = threshold
	for _, k := range a.private {
		a.keys.Keys = append(a.keys.Keys, PublicKey(k[32:]))
	}
	a.id = a.keys.ID()
	return a
}

// sign signs with as many keys as it takes.
func (a *testAccount) sign(t testing.TB, tx *Transaction) {
	t.Helper()
	for _, k := range a.private[:a.keys.Threshold] {
		if err := tx.Sign(testNetwork, a.id, &a.keys, k); err != nil {
			t.Fatal(err)
		}
	}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.UintN(256))
	}
	return b
}

// testRand returns a source of randomness whose seed is printed; the environment variable MOOT_SEED repeats it.
func testRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("MOOT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("MOOT_SEED: %v", err)
		}
	}
	t.Logf("MOOT_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// randomTransaction returns a signed transaction of random operations.
func randomTransaction(t testing.TB, rng *rand.Rand) *Transaction {
	t.Helper()
	var accounts []*testAccount
	for range 1 + rng.IntN(3) {
		n := 1 + rng.IntN(3)
		accounts = append(accounts, newTestAccount(rng, uint8(1+rng.IntN(n)), n))
	}
	pick := func() *testAccount { return accounts[rng.IntN(len(accounts))] }
	tx := &Transaction{Body: Body{ValidUntil: 1 + rng.Int64N(1<<62), Salt: rng.Uint64()}}
	if rng.IntN(2) == 0 {
		tx.Memo = randomBytes(rng, rng.IntN(MaxMemo+1))
	}
	for range 1 + rng.IntN(12) {
		tx.Operations = append(tx.Operations, randomOperation(rng, pick().id, pick().id, pick().keys))
	}
	signers := tx.Signers()
	if rng.IntN(3) == 0 {
		tx.Slot = &Slot{signers[rng.IntN(len(signers))], uint8(rng.IntN(MaxSlots)), rng.Uint32()}
	}
	for _, a := range accounts {
		if hasAccount(signers, a.id) {
			a.sign(t, tx)
		}
	}
	return tx
}

func randomOperation(rng *rand.Rand, by, to AccountID, keys KeySet) Operation {
	asset := AssetID{[]string{"A", "EUR", "CLAIM2026XYZ"}[rng.IntN(3)], by}
	amount := Amount{rng.Uint64(), rng.Uint64() | 1}
	member := string(randomBytes(rng, 1+rng.IntN(MaxMember)))
	switch Kind(1 + rng.IntN(len(kindNames)-1)) {
	case KindDefineAsset:
		return &DefineAsset{asset, uint8(rng.IntN(MaxScale + 1)), amount}
	case KindIssue:
		return &Issue{asset, to, amount}
	case KindTransfer:
		return &Transfer{asset, by, to, amount}
	case KindRetire:
		return &Retire{asset, by, amount}
	case KindAnchor:
		return &Anchor{by, Hash(randomBytes(rng, 32)), "note"}
	case KindSetKeys:
		return &SetKeys{by, keys}
	case KindAdmit:
		return &Admit{by, member, "Zoë"}
	case KindExpel:
		return &Expel{by, member}
	case KindInvite:
		return &Invite{by, to, 1 + rng.Uint32N(MaxUses), 1 + rng.Int64N(1<<62), "note"}
	case KindRevoke:
		return &Revoke{by, to}
	case KindPropose:
		if rng.IntN(2) == 0 {
			return &Propose{by, Proposal{ActivateRules: &ActivateRules{1 + rng.Uint32N(9), 1 + rng.Int64N(1e9)}}}
		}
		return &Propose{by, Proposal{SetPower: &SetPower{PublicKey(randomBytes(rng, 32)), to, rng.Uint64N(MaxPower + 1)}}}
	}
	return &Vote{by, Hash(randomBytes(rng, 32))}
}
