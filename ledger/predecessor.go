package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// MaxPredecessors is the most ledgers that one may go on from, one after the other.
const MaxPredecessors = 32

// Predecessor is the ledger that another one goes on from, when a third or more of its voting power was lost for good: its genesis, and the last block that was agreed on.
type Predecessor struct {
	// Genesis is what it began with.
	Genesis *Genesis `json:"genesis"`
	// Height and Block are those of its last block, and Block is the block's hash.
	Height int64 `json:"height"`
	Block  Hash  `json:"block"`
	// State is the root of the state after that block.
	State Hash `json:"state"`
}

// NewSuccessor returns the genesis of the ledger that goes on from a predecessor, whose last block was of the given time and whose state has the given limits, with validators in any order. It depends on nothing
// else, so that all who make it of the same make the same. An error is of kind fault.Invalid, or fault.TooLarge when nobody could read the document.
func NewSuccessor(p Predecessor, last time.Time, limits Limits, validators []GenesisValidator) (*Genesis, error) {
	created := last.UTC().Truncate(time.Second)
	if created.Before(last) { // the first block is not before the last one
		created = created.Add(time.Second)
	}
	g := &Genesis{Network: p.Genesis.Network, Created: created, Validators: slices.Clone(validators), Limits: limits, Predecessor: &p}
	slices.SortFunc(g.Validators, func(a, b GenesisValidator) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("make the genesis of a successor: %w", err)
	}
	if data, err := json.MarshalIndent(g, "", "  "); err != nil || len(data) > MaxGenesis {
		return nil, fault.New(fault.TooLarge, "the genesis of a successor has %d bytes: at most %d", len(data), MaxGenesis)
	}
	return g, nil
}

// validatePredecessor checks what Validate has left.
func (g *Genesis) validatePredecessor() error {
	p := g.Predecessor
	if p == nil {
		return nil
	}
	depth := 0
	for a := g; a.Predecessor != nil && a.Predecessor.Genesis != nil; a = a.Predecessor.Genesis {
		if depth++; depth > MaxPredecessors {
			return fault.New(fault.Invalid, "a ledger with more than %d predecessors", MaxPredecessors)
		}
	}
	switch {
	case p.Genesis == nil || p.Height < 1:
		return fault.New(fault.Invalid, "a predecessor without a genesis or without blocks")
	case p.Genesis.Network != g.Network:
		return fault.New(fault.Invalid, "the predecessor of %q is called %q", g.Network, p.Genesis.Network)
	case g.Created.Before(p.Genesis.Created):
		return fault.New(fault.Invalid, "the predecessor was made later")
	}
	if err := p.Genesis.Validate(); err != nil {
		return fmt.Errorf("the predecessor: %w", err)
	}
	return nil
}

// Origin returns the id of the network: that of the first ledger of those that this one goes on from. Records and peers belong to the network, whatever becomes of its ledger.
func (g *Genesis) Origin() Hash {
	for g.Predecessor != nil {
		g = g.Predecessor.Genesis
	}
	return g.ID()
}

// Ancestor returns what a ledger that this one goes on from is to it, itself not among them; nil: this one does not go on from it.
func (g *Genesis) Ancestor(id Hash) *Predecessor {
	for p := g.Predecessor; p != nil; p = p.Genesis.Predecessor {
		if p.Genesis.ID() == id {
			return p
		}
	}
	return nil
}

// Succession returns what is changed in the last state of a ledger to make it the first one of a successor with the given genesis, sorted by key. Balances, assets, keys, slots and members stay. The validators are those
// of the genesis; what was proposed is not open any more, as it was put to others. Blocks are counted anew, so that none is of the last hour: what was signed for the predecessor is valid in no successor, whose id is
// another. Rules that were to come into force later are to be proposed again. It returns an *UnknownRulesError when the state follows rules that this program doesn't know.
func (g *Genesis) Succession(last View) ([]Change, error) {
	rules, err := CurrentRules(last)
	if err != nil {
		return nil, err
	}
	next := Rules{Active: rules.At(g.Predecessor.Height + 1)}
	if next.Active > RulesVersion {
		return nil, &UnknownRulesError{next.Active, g.Predecessor.Height + 1}
	}
	changes := map[string][]byte{string(RulesKey()): next.Marshal(), string(LimitsKey()): g.Limits.Marshal()}
	for _, prefix := range [][]byte{Validators(), Proposals(), RecentBlocks()} {
		if err := last.Ascend(prefix, func(key, _ []byte) bool {
			changes[string(key)] = nil
			return true
		}); err != nil {
			return nil, err
		}
	}
	for _, v := range g.Validators {
		entry := Validator{v.Power, v.Operator}
		changes[string(ValidatorKey(v.Key))] = entry.Marshal()
	}
	list := make([]Change, 0, len(changes))
	for key, value := range changes {
		list = append(list, Change{[]byte(key), value})
	}
	slices.SortFunc(list, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) })
	return list, nil
}
