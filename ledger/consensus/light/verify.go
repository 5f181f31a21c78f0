package light

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Root is what is trusted without proof: the genesis, or one block.
type Root struct {
	// Genesis is the network's genesis, or nil.
	Genesis *ledger.Genesis
	// Height and Hash are those of a trusted block where Genesis is nil.
	Height int64
	Hash   ledger.Hash
}

// Header is what a checked header says.
type Header struct {
	Height int64
	// Time is what the validators of the block before agreed on.
	Time time.Time
	// Hash is the block's.
	Hash ledger.Hash
	// AppHash is the root of the state after the block before.
	AppHash ledger.Hash
	// Signed and Power are the voting power of those who signed the block, and of all. In a block that is itself the root nobody's signature is asked for.
	Signed, Power int64
}

// Verify returns what the header at the end of the path says, if the path leads there from the root in the chain of the given id. Errors are of kind fault.Invalid.
func (p *Path) Verify(chain string, root Root) (Header, error) {
	if len(p.Steps) > MaxSteps {
		return Header{}, fault.New(fault.TooLarge, "a path of %d changes of validators: at most %d", len(p.Steps), MaxSteps)
	}
	validators, height, err := p.begin(chain, root)
	if err != nil {
		return Header{}, fault.As(fault.Invalid, err)
	}
	c := NewChain(chain, height, validators)
	for i := range p.Steps {
		if _, err := c.Step(&p.Steps[i]); err != nil {
			return Header{}, err
		}
	}
	h, signed, err := p.Last.verify(chain, c.validators, c.height)
	if err != nil {
		return Header{}, fault.As(fault.Invalid, err)
	}
	out := Header{Height: h.Height, Time: h.Time, Hash: ledger.Hash(h.Hash()), Signed: signed, Power: c.validators.TotalVotingPower()}
	if copy(out.AppHash[:], h.AppHash); len(h.AppHash) != len(out.AppHash) {
		return Header{}, fault.New(fault.Invalid, "the root of the state in block %d has %d bytes", h.Height, len(h.AppHash))
	}
	return out, nil
}

// begin returns the validators of the first height that the path speaks of.
func (p *Path) begin(chain string, root Root) (*types.ValidatorSet, int64, error) {
	if root.Genesis != nil {
		if p.Start != nil {
			return nil, 0, fmt.Errorf("it leads from a later block, not from the genesis: ask for one that leads from there, or trust that block")
		}
		validators, err := genesisValidators(root.Genesis)
		return validators, 1, err
	}
	if p.Start == nil {
		return nil, 0, fmt.Errorf("it leads from the genesis, not from block %d: ask for one that leads from there, or give the genesis", root.Height)
	}
	h, err := parseHeader(p.Start.Header)
	if err != nil {
		return nil, 0, err
	}
	if h.ChainID != chain {
		return nil, 0, fmt.Errorf("its first block is of another network")
	}
	if h.Height != root.Height || !bytes.Equal(h.Hash(), root.Hash[:]) {
		return nil, 0, fmt.Errorf("it leads from block %d:%x, not from the trusted block %d:%s", h.Height, h.Hash(), root.Height, root.Hash)
	}
	validators, err := next(h, p.Start.Next)
	return validators, h.Height + 1, err
}

// next returns the validators of the block after h, if those listed are they.
func next(h *types.Header, list []Validator) (*types.ValidatorSet, error) {
	validators, err := ValidatorSet(list)
	if err != nil {
		return nil, err
	}
	for i, v := range validators.Validators { // one order only
		if !bytes.Equal(v.PubKey.Bytes(), list[i].Key[:]) {
			return nil, errors.New("the validators are not in the order of their power")
		}
	}
	if !bytes.Equal(validators.Hash(), h.NextValidatorsHash) {
		return nil, fmt.Errorf("the validators listed for block %d are not those that block %d names", h.Height+1, h.Height)
	}
	return validators, nil
}

// verify returns the header if more than two thirds of the validators signed it, with the power of those who did. It is of a height from least on.
func (s *Signed) verify(chain string, validators *types.ValidatorSet, least int64) (*types.Header, int64, error) {
	h, err := parseHeader(s.Header)
	if err != nil {
		return nil, 0, err
	}
	c, err := parseCommit(s.Commit)
	if err != nil {
		return nil, 0, err
	}
	signed := types.SignedHeader{Header: h, Commit: c}
	if err := signed.ValidateBasic(chain); err != nil {
		return nil, 0, fmt.Errorf("block %d: %w", h.Height, err)
	}
	switch {
	case h.Height < least:
		return nil, 0, fmt.Errorf("block %d does not come after block %d", h.Height, least-1)
	case !bytes.Equal(h.ValidatorsHash, validators.Hash()):
		return nil, 0, fmt.Errorf("block %d has other validators than those that the path leads to", h.Height)
	}
	if err := validators.VerifyCommit(chain, c.BlockID, h.Height, c); err != nil {
		return nil, 0, fmt.Errorf("block %d: %w", h.Height, err)
	}
	power := int64(0)
	for i, one := range c.Signatures {
		if one.BlockIDFlag != types.BlockIDFlagAbsent && !bytes.Equal(one.ValidatorAddress, validators.Validators[i].Address) {
			return nil, 0, fmt.Errorf("block %d: signature %d names another validator", h.Height, i+1)
		}
		if one.BlockIDFlag == types.BlockIDFlagCommit {
			power += validators.Validators[i].VotingPower
		}
	}
	return h, power, nil
}
