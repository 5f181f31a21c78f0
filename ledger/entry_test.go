package ledger

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// entry is what every value of the state can be read as.
type entry interface {
	Marshal() []byte
	Unmarshal([]byte) error
}

// newEntries returns one of each kind, empty.
func newEntries() []entry {
	return []entry{new(Account), new(Asset), new(Validator), new(OpenProposal), new(Member), new(Recent), new(Rules), new(Limits), new(Roster), new(OpenInvite)}
}

// someEntries returns some of each kind.
func someEntries(rng *rand.Rand) []entry {
	a, b := newTestAccount(rng, 2, 3), newTestAccount(rng, 1, 1)
	votes := insertAccount([]AccountID{a.id}, b.id)
	return []entry{
		&Account{KeySet: &a.keys}, &Account{Slots: [MaxSlots]uint32{0: 1, 15: 1 << 31}}, &Account{KeySet: &b.keys, Slots: [MaxSlots]uint32{7: 7}},
		&Asset{Scale: 2}, &Asset{18, MaxAmount(), MaxAmount()}, &Asset{0, NewAmount(5), NewAmount(5)},
		&Validator{1, a.id}, &Validator{MaxPower, b.id},
		&OpenProposal{power(1, a, 5), a.id, 12345, votes}, &OpenProposal{Proposal{ActivateRules: &ActivateRules{2, 100}}, b.id, 1, []AccountID{}},
		&Member{Name: "Zoë", By: a.id}, &Member{By: b.id, Until: 1 << 40}, &Member{By: a.id, Since: 7}, &Member{Name: "Zoë", By: a.id, Until: 9, Since: 7, Next: MemberOf(PublicKey{1})}, &Roster{3, Hash{1}}, &OpenInvite{a.id, 3, 2, 1 << 40, "für Zoë"}, &OpenInvite{a.id, 1, 0, 1, ""},
		&Recent{1, Hash{1}, 1}, &Rules{Active: 1}, &Rules{1, 2, 100}, &Limits{1, 1},
	}
}

func TestEntries(t *testing.T) {
	rng := testRand(t)
	for _, e := range someEntries(rng) {
		value := e.Marshal()
		if err := e.Unmarshal(value); err != nil {
			t.Errorf("%T %x: %v", e, value, err)
		}
		if again := e.Marshal(); !bytes.Equal(again, value) {
			t.Errorf("%T %x became %x", e, value, again)
		}
		for n := range value {
			if err := e.Unmarshal(value[:n]); fault.KindOf(err) != fault.Internal || err == nil {
				t.Errorf("%T of %d bytes of %d: %v", e, n, len(value), err)
			}
		}
		if err := e.Unmarshal(append(value, 0)); err == nil {
			t.Errorf("%T with a byte more is read", e)
		}
	}
	if (&Account{}).Marshal() != nil || MarshalBalance(Amount{}) != nil {
		t.Error("what says nothing has a value")
	}
	if _, err := UnmarshalBalance(make([]byte, 16)); err == nil {
		t.Error("a balance of 0 is read")
	}
}

func TestBalanceKeys(t *testing.T) {
	account, asset := AccountID{1}, AssetID{"EUR", AccountID{2}}
	key := BalanceKey(account, asset)
	if a, b, err := ParseBalanceKey(key); err != nil || a != account || b != asset {
		t.Errorf("%x is %v, %v, %v", key, a, b, err)
	}
	for _, bad := range [][]byte{nil, key[:len(key)-3], append([]byte{'x'}, key[1:]...), append(key[:len(key):len(key)], 'e')} {
		if _, _, err := ParseBalanceKey(bad); err == nil {
			t.Errorf("%x is a balance's", bad)
		}
	}
}

func FuzzEntry(f *testing.F) {
	for _, e := range someEntries(rand.New(rand.NewPCG(4, 4))) {
		f.Add(e.Marshal())
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, e := range newEntries() {
			if e.Unmarshal(value) == nil {
				if again := e.Marshal(); !bytes.Equal(again, value) {
					t.Errorf("%T: %x became %x", e, value, again)
				}
			}
		}
	})
}

func testGenesis(rng *rand.Rand) Genesis {
	a := newTestAccount(rng, 1, 1)
	return Genesis{"harbour", time.Unix(1_800_000_000, 0).UTC(), Hash{9}, []GenesisValidator{{PublicKey{1}, 10, a.id}, {PublicKey{2}, 20, a.id}}, DefaultLimits(), nil, nil}
}

func TestGenesisDocument(t *testing.T) {
	g := testGenesis(testRand(t))
	data, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseGenesis(data)
	if err != nil || got.ID() != g.ID() {
		t.Fatalf("%s is %v, %v", data, got, err)
	}
	text := string(data)
	for why, wrong := range map[string]string{
		"unknown field":    strings.Replace(text, `"network"`, `"extra": 1, "network"`, 1),
		"no name":          strings.Replace(text, "harbour", "", 1),
		"control":          strings.Replace(text, "harbour", `a\u001bb`, 1),
		"power of 0":       strings.Replace(text, `"power": 10`, `"power": 0`, 1),
		"power":            strings.Replace(text, `"power": 10`, `"power": 1099511627776`, 1),
		"not a public key": strings.Replace(text, `"key": "01`, `"key": "zz`, 1),
		"ascending":        strings.Replace(text, `"key": "01`, `"key": "02`, 1),
		"not an account":   strings.Replace(text, `"operator": "moot1`, `"operator": "moot1q`, 1),
		"follows":          text + "{}",
		"can't be read":    text[:len(text)-3],
		"whole seconds":    strings.Replace(text, `:00Z"`, `:00.5Z"`, 1),
		"costs":            strings.Replace(text, `"block_cost": 20000`, `"block_cost": 1`, 1),
	} {
		if wrong == text {
			t.Fatalf("%s: nothing was changed", why)
		}
		if _, err := ParseGenesis([]byte(wrong)); err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := ParseGenesis(make([]byte, MaxGenesis+1)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
}

// TestGenesisID: whatever is different makes another network.
func TestGenesisID(t *testing.T) {
	g := testGenesis(testRand(t))
	for i, change := range []func(g *Genesis){
		func(g *Genesis) { g.Network += "s" },
		func(g *Genesis) { g.Salt[3]++ },
		func(g *Genesis) { g.Created = g.Created.Add(time.Second) },
		func(g *Genesis) { g.Limits.BlockCost++ },
		func(g *Genesis) { g.Limits.AccountTransactions++ },
		func(g *Genesis) { g.Validators[0].Power++ },
		func(g *Genesis) { g.Validators[1].Key[5]++ },
		func(g *Genesis) { g.Validators[1].Operator[5]++ },
		func(g *Genesis) { g.Validators = g.Validators[:1] },
	} {
		other := g
		other.Validators = append([]GenesisValidator(nil), g.Validators...)
		change(&other)
		if other.ID() == g.ID() {
			t.Errorf("change %d makes no difference", i)
		}
	}
}

func FuzzGenesis(f *testing.F) {
	data, err := json.Marshal(testGenesis(rand.New(rand.NewPCG(5, 5))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := ParseGenesis(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := ParseGenesis(again); err != nil || h.ID() != g.ID() {
			t.Errorf("%s became %s, %v", data, again, err)
		}
	})
}
