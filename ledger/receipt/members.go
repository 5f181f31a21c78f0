package receipt

import (
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

// Members proves who was a member, and who had been one, after the block before the header that the path leads to: the list is whole.
type Members struct {
	// Entries are those of the state, in strictly ascending order of keys.
	Entries []Entry `json:"entries"`
	// Proof shows that the roster of these entries was in the state.
	Proof []byte `json:"proof"`
}

// Entry is one of the state.
type Entry struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

// kinds returns how many things the receipt is of.
func (r *Receipt) kinds() (n int) {
	for _, is := range []bool{r.Transaction != nil, r.Balance != nil, r.Members != nil} {
		if is {
			n++
		}
	}
	return n
}

func (m *Members) verify(s *Statement) error {
	s.Height, s.Time = s.Header.Height-1, s.Header.Time
	members, roster, err := ledger.ParseMembers(m.List())
	if err != nil {
		return err
	}
	proof, err := tree.ParseProof(m.Proof)
	if err != nil {
		return err
	}
	if err := proof.Present(tree.Hash(s.Header.AppHash), tree.NewEntry(ledger.RosterKey(), roster.Marshal())); err != nil {
		return fault.As(fault.Invalid, err)
	}
	s.Members, s.Roster = members, roster
	return nil
}

// List returns the entries as the ledger has them.
func (m *Members) List() []ledger.Change {
	entries := make([]ledger.Change, len(m.Entries))
	for i, e := range m.Entries {
		entries[i] = ledger.Change{Key: e.Key, Value: e.Value}
	}
	return entries
}
