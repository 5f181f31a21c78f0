package light

import (
	"bytes"

	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
)

// Chain follows the validators of a chain from one change to the next, as one learns of them.
type Chain struct {
	id         string
	height     int64 // the least that the next header may have
	validators *types.ValidatorSet
}

// NewChain returns the chain with the given id, whose validators are known from a height on. The set is not changed.
func NewChain(id string, height int64, validators *types.ValidatorSet) *Chain {
	return &Chain{id, height, validators}
}

// Height returns the height from which on the validators that Validators returns are known.
func (c *Chain) Height() int64 { return c.height }

// Validators returns the newest validators. They must not be changed, and who proposes is not told by them.
func (c *Chain) Validators() *types.ValidatorSet { return c.validators }

// Step takes a change of validators, of which it returns the header. Errors are of kind fault.Invalid, and change nothing.
func (c *Chain) Step(s *Step) (*types.Header, error) {
	h, _, err := s.verify(c.id, c.validators, c.height)
	if err != nil {
		return nil, fault.As(fault.Invalid, err)
	}
	if bytes.Equal(h.ValidatorsHash, h.NextValidatorsHash) {
		return nil, fault.New(fault.Invalid, "the validators did not change at block %d", h.Height)
	}
	validators, err := next(h, s.Next)
	if err != nil {
		return nil, fault.As(fault.Invalid, err)
	}
	c.validators, c.height = validators, h.Height+1
	return h, nil
}

// Header returns a header that the newest validators signed, with their commit. Errors are of kind fault.Invalid.
func (c *Chain) Header(s *Signed) (*types.Header, *types.Commit, error) {
	h, _, err := s.verify(c.id, c.validators, c.height)
	if err != nil {
		return nil, nil, fault.As(fault.Invalid, err)
	}
	commit, err := parseCommit(s.Commit)
	return h, commit, err
}
