package signer

import (
	"github.com/folkmoot/folkmoot/fault"
)

// Move makes the key in dir one for another chain, of which it has signed nothing. Nothing is signed for the first any more: what was signed there is forgotten. A bar stays. What was moved already stays as it is. An
// error is fault.NotFound when there is no key, and fault.Conflict when it is for a third chain. The kinds of other errors are those of Open.
func Move(dir, from, to string) error {
	if err := validateChain(to); err != nil {
		return err
	}
	s, err := Read(dir)
	if err != nil {
		return err
	}
	switch s.state.chain {
	case to:
		return nil
	case from, "":
	default:
		return fault.New(fault.Conflict, "the validator's key in %s is for chain %q, neither %q nor %q", dir, s.state.chain, from, to)
	}
	next := s.state
	next.chain, next.height, next.round, next.step, next.bytes, next.signature = to, 0, 0, none, nil, nil
	s.save(next)
	return s.writable()
}
