package light

import (
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Bounds of a Path.
const (
	// MaxSteps is the most changes of validators in a path.
	MaxSteps = 100_000
	// maxHeader and maxCommit are the most bytes of an encoded header and commit.
	maxHeader = 2 << 10
	maxCommit = 64 << 10
)

// Path leads from a root to a header.
type Path struct {
	// Start is the header that is trusted; nil: the path begins at the genesis.
	Start *Start `json:"start,omitempty"`
	// Steps are the blocks at which the validators changed, in ascending order of heights.
	Steps []Step `json:"steps,omitempty"`
	// Last is the header that the path leads to.
	Last Signed `json:"last"`
}

// Start is a header that is trusted because its hash is, with the validators of the block after it.
type Start struct {
	Header []byte      `json:"header"`
	Next   []Validator `json:"next"`
}

// Step is a signed header with the validators of the block after it, where those are others.
type Step struct {
	Signed
	Next []Validator `json:"next"`
}

// Signed is a header and the commit that is for it, each as CometBFT encodes it (its spec, "Data structures").
type Signed struct {
	Header []byte `json:"header"`
	Commit []byte `json:"commit"`
}

// Validator is one with its voting power.
type Validator struct {
	Key   ledger.PublicKey `json:"key"`
	Power int64            `json:"power"`
}

// Encode returns a header and its commit as a Path has them.
func Encode(header *types.Header, commit *types.Commit) (Signed, error) {
	h, err := EncodeHeader(header)
	if err != nil {
		return Signed{}, err
	}
	c, err := commit.ToProto().Marshal()
	return Signed{h, c}, err
}

// EncodeHeader returns a header as a Path has it.
func EncodeHeader(header *types.Header) ([]byte, error) { return header.ToProto().Marshal() }

// Validators returns those of a set as a Path has them.
func Validators(set *types.ValidatorSet) []Validator {
	list := make([]Validator, len(set.Validators))
	for i, v := range set.Validators {
		copy(list[i].Key[:], v.PubKey.Bytes())
		list[i].Power = v.VotingPower
	}
	return list
}

// genesisValidators returns those of a genesis, in the order in which CometBFT has them.
func genesisValidators(g *ledger.Genesis) (*types.ValidatorSet, error) {
	list := make([]Validator, len(g.Validators))
	for i, v := range g.Validators {
		list[i] = Validator{v.Key, int64(v.Power)}
	}
	return ValidatorSet(list)
}

// ValidatorSet returns validators as CometBFT has them.
func ValidatorSet(list []Validator) (*types.ValidatorSet, error) {
	if len(list) == 0 || len(list) > ledger.MaxValidators {
		return nil, fault.New(fault.Invalid, "%d validators: want 1 to %d", len(list), ledger.MaxValidators)
	}
	validators := make([]*types.Validator, len(list))
	known := make(map[ledger.PublicKey]bool, len(list))
	for i, v := range list {
		if v.Power <= 0 || v.Power > ledger.MaxPower || known[v.Key] {
			return nil, fault.New(fault.Invalid, "validator %s is there twice, or has a power of %d: want 1 to %d", v.Key, v.Power, int64(ledger.MaxPower))
		}
		known[v.Key] = true
		validators[i] = types.NewValidator(ed25519.PubKey(v.Key[:]), v.Power)
	}
	return types.NewValidatorSet(validators), nil
}

// parseHeader reads a header, of which there is one encoding.
func parseHeader(data []byte) (*types.Header, error) {
	var p cmtproto.Header
	if len(data) > maxHeader || p.Unmarshal(data) != nil {
		return nil, fault.New(fault.Invalid, "malformed header of a block")
	}
	h, err := types.HeaderFromProto(&p)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the header of a block: %w", err)
	}
	if again, err := EncodeHeader(&h); err != nil || string(again) != string(data) || h.Hash() == nil {
		return nil, fault.New(fault.Invalid, "malformed header of a block")
	}
	return &h, nil
}

// parseCommit reads a commit, of which there is one encoding.
func parseCommit(data []byte) (*types.Commit, error) {
	var p cmtproto.Commit
	if len(data) > maxCommit || p.Unmarshal(data) != nil {
		return nil, fault.New(fault.Invalid, "malformed commit of a block")
	}
	c, err := types.CommitFromProto(&p)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the commit of a block: %w", err)
	}
	if again, err := c.ToProto().Marshal(); err != nil || string(again) != string(data) {
		return nil, fault.New(fault.Invalid, "malformed commit of a block")
	}
	return c, nil
}
