package ledger

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

func successorOf(t *testing.T, g *Genesis, validators ...GenesisValidator) *Genesis {
	t.Helper()
	s, err := NewSuccessor(Predecessor{Genesis: g, Height: 7, Block: Hash{7}, State: Hash{8}}, g.Created.Add(1500*time.Millisecond), DefaultLimits(), validators)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A successor is made of its predecessor and its validators, and of nothing else.
func TestSuccessor(t *testing.T) {
	g := testGenesis(testRand(t))
	first, second := g.Validators[0], g.Validators[1]
	s := successorOf(t, &g, second, first)
	if again := successorOf(t, &g, first, second); again.ID() != s.ID() {
		t.Error("the order of validators makes another ledger")
	}
	if !s.Created.Equal(g.Created.Add(2 * time.Second)) {
		t.Errorf("made at %s, before its predecessor's last block", s.Created)
	}
	if s.ID() == g.ID() || s.Origin() != g.ID() || g.Origin() != g.ID() {
		t.Error("the ids are wrong")
	}
	grandchild := successorOf(t, s, first)
	if grandchild.Origin() != g.ID() || grandchild.Ancestor(g.ID()) != s.Predecessor || grandchild.Ancestor(s.ID()) != grandchild.Predecessor || grandchild.Ancestor(grandchild.ID()) != nil || g.Ancestor(g.ID()) != nil {
		t.Error("the line is wrong")
	}
	data, err := json.Marshal(grandchild)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseGenesis(data); err != nil || got.ID() != grandchild.ID() {
		t.Errorf("read again: %v", err)
	}
	for name, change := range map[string]func(*Predecessor){
		"height": func(p *Predecessor) { p.Height++ }, "block": func(p *Predecessor) { p.Block[31] ^= 1 }, "state": func(p *Predecessor) { p.State[0] ^= 1 },
		"genesis": func(p *Predecessor) { other := g; other.Salt[0] ^= 1; p.Genesis = &other },
	} {
		p, changed := *s.Predecessor, *s
		change(&p)
		changed.Predecessor = &p
		if changed.ID() == s.ID() {
			t.Errorf("the id does not depend on the predecessor's %s", name)
		}
	}
	for name, change := range map[string]func(g *Genesis){
		"no genesis": func(g *Genesis) { g.Predecessor.Genesis = nil }, "no block": func(g *Genesis) { g.Predecessor.Height = 0 }, "another name": func(g *Genesis) { g.Network = "other" },
		"earlier": func(g *Genesis) { g.Created = g.Created.Add(-time.Hour) }, "a wrong predecessor": func(g *Genesis) { g.Predecessor.Genesis = &Genesis{Network: g.Network} },
		"too many": func(g *Genesis) {
			for range MaxPredecessors {
				c, p := *g, *g.Predecessor
				p.Genesis = &c
				g.Predecessor = &p
			}
		},
	} {
		p, changed := *s.Predecessor, *s
		changed.Predecessor = &p
		if change(&changed); fault.KindOf(changed.Validate()) != fault.Invalid {
			t.Errorf("%s: %v", name, changed.Validate())
		}
	}
}

// What the first state of a successor does not have, the succession removes, and it touches nothing else.
func TestSuccession(t *testing.T) {
	rng := testRand(t)
	g := testGenesis(rng)
	state := mapView{}
	for _, c := range g.Entries() {
		state[string(c.Key)] = c.Value
	}
	rules := Rules{Active: 1, Next: 2, Height: 900}
	state[string(RulesKey())] = rules.Marshal()
	balance := BalanceKey(AccountID{1}, AssetID{"EUR", AccountID{2}})
	kept := [][]byte{balance, AccountKey(AccountID{1}), AssetKey(AssetID{"EUR", AccountID{2}}), MemberKey("somebody")}
	gone := [][]byte{ProposalKey(Hash{1}), RecentKey(5), ValidatorKey(g.Validators[1].Key)}
	for _, key := range slices.Concat(kept, gone[:2]) {
		state[string(key)] = []byte{byte(rng.IntN(255) + 1)}
	}
	s := successorOf(t, &g, GenesisValidator{g.Validators[0].Key, 5, g.Validators[0].Operator}, GenesisValidator{PublicKey{9}, 1, AccountID{3}})
	changes, err := s.Succession(state)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(changes, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) }) {
		t.Error("the changes are not sorted")
	}
	before := len(state)
	for _, c := range changes {
		if c.Value == nil {
			delete(state, string(c.Key))
		} else {
			state[string(c.Key)] = c.Value
		}
	}
	for _, key := range kept {
		if state[string(key)] == nil {
			t.Errorf("%q is gone", key)
		}
	}
	for _, key := range gone {
		if state[string(key)] != nil {
			t.Errorf("%q is there", key)
		}
	}
	var got Rules
	var v Validator
	if err := got.Unmarshal(state[string(RulesKey())]); err != nil || got != (Rules{Active: 1}) {
		t.Errorf("rules %+v, %v", got, err)
	}
	if err := v.Unmarshal(state[string(ValidatorKey(g.Validators[0].Key))]); err != nil || v.Power != 5 || len(state) != before-2 {
		t.Errorf("validator %+v, %v, %d entries", v, err, len(state))
	}
	unknown := Rules{Active: RulesVersion + 1}
	state[string(RulesKey())] = unknown.Marshal()
	if _, err := s.Succession(state); err == nil {
		t.Error("rules that are not known are gone on with")
	}
}

// mapView is a state in memory.
type mapView map[string][]byte

func (m mapView) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

func (m mapView) Ascend(prefix []byte, f func(key, value []byte) bool) error {
	var keys []string
	for key := range m {
		if bytes.HasPrefix([]byte(key), prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !f([]byte(key), m[key]) {
			break
		}
	}
	return nil
}
