package consensus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cometbft/cometbft/evidence"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

// headerPrefix is before the height in the keys of headers that were fetched, in spaceOwn; a value is a light.Signed.
var headerPrefix = []byte("header/")

func headerKey(height int64) []byte { return heightKey(headerPrefix, height) }

// oldHeaders are signed headers of blocks from before this node's first one, which were fetched because evidence of misbehaviour is checked against them. The validators that signed them follow from the
// changes of validators since the genesis, all of which came with the state.
type oldHeaders struct {
	*history
	genesis *types.GenesisDoc
	fetched *atomic.Int64 // the height of the state that the node began with; 0: the genesis
}

// first returns the height of the first block that is kept, or that comes next where there is none.
func (o *oldHeaders) first() int64 {
	if base := o.blocks.Base(); base > 0 {
		return base
	}
	return o.fetched.Load() + 1
}

// lacks reports whether the header of a block is not here because the node never had that block. Pruning keeps the headers that evidence may need.
func (o *oldHeaders) lacks(height int64) bool {
	return o.old(height) && o.LoadBlockMeta(height) == nil
}

// old reports whether a block is from before this node's first one, and its header did not come with it.
func (o *oldHeaders) old(height int64) bool {
	return height >= 1 && height < o.first() && o.blocks.LoadBlockMeta(height) == nil
}

// validatorsAt returns the validators of a block below the first one that is kept, in any state of who proposes.
func (o *oldHeaders) validatorsAt(height int64) (*types.ValidatorSet, error) {
	it, err := o.own.ReverseIterator(stepKey(0), stepKey(height))
	if err != nil {
		return nil, fmt.Errorf("read the changes of validators: %w", err)
	}
	defer it.Close()
	if !it.Valid() {
		if err := it.Error(); err != nil {
			return nil, fmt.Errorf("read the changes of validators: %w", err)
		}
		return genesisSet(o.genesis), nil
	}
	s, rest, err := light.ReadStep(it.Value())
	if err != nil || len(rest) > 0 {
		return nil, fault.New(fault.Internal, "the change of validators before block %d is damaged on disk", height)
	}
	return light.ValidatorSet(s.Next)
}

// genesisSet returns the validators of a genesis.
func genesisSet(g *types.GenesisDoc) *types.ValidatorSet {
	validators := make([]*types.Validator, len(g.Validators))
	for i, v := range g.Validators {
		validators[i] = types.NewValidator(v.PubKey, v.Power)
	}
	return types.NewValidatorSet(validators)
}

// check returns a header and its commit, if the block is that of a height and the validators of that height signed it. Otherwise it is fault.Invalid.
func (o *oldHeaders) check(height int64, signed *light.Signed) (signedAt, error) {
	validators, err := o.validatorsAt(height)
	if err != nil {
		return signedAt{}, err
	}
	h, commit, err := light.NewChain(o.genesis.ChainID, height, validators).Header(signed)
	if err == nil && h.Height != height {
		err = fault.New(fault.Invalid, "the header of block %d was given for that of block %d", h.Height, height)
	}
	return signedAt{h, commit}, err
}

// fetchedHeader returns a header that was fetched, as it was given. It is fault.NotFound when it was not.
func (h *history) fetchedHeader(height int64) (light.Signed, error) {
	data, err := h.own.Get(headerKey(height))
	if err != nil {
		return light.Signed{}, fmt.Errorf("read the header of block %d: %w", height, err)
	}
	if data == nil {
		return light.Signed{}, fault.New(fault.NotFound, "the header of block %d is not here", height)
	}
	signed, rest, err := light.ReadSigned(data)
	if err != nil || len(rest) > 0 {
		return light.Signed{}, fault.New(fault.Internal, "the header of block %d is damaged on disk", height)
	}
	return signed, nil
}

// kept returns a header that was fetched, nil where there is none that is whole: then it is fetched anew.
func (o *oldHeaders) kept(height int64) *signedAt {
	signed, err := o.fetchedHeader(height)
	if err != nil {
		return nil
	}
	found, err := o.check(height, &signed)
	if err != nil {
		return nil
	}
	return &found
}

// keepHeader writes down a header that was checked. It is on disk with the next write that is synced; one that is lost is fetched again.
func (o *oldHeaders) keepHeader(height int64, signed *light.Signed) error {
	if err := o.own.Set(headerKey(height), signed.Append(nil)); err != nil {
		return fmt.Errorf("keep the header of block %d: %w", height, err)
	}
	return nil
}

// dropExpired removes the headers that no evidence is checked against any more.
func (o *oldHeaders) dropExpired(state *sm.State) error {
	it, err := o.own.Iterator(headerKey(0), headerKey(state.LastBlockHeight))
	if err != nil {
		return fmt.Errorf("read the headers that were fetched: %w", err)
	}
	var expired [][]byte
	for ; it.Valid(); it.Next() {
		height := int64(binary.BigEndian.Uint64(it.Key()[len(headerPrefix):]))
		if h := o.kept(height); h != nil && !isExpired(state, height, h.header) {
			break
		}
		expired = append(expired, bytes.Clone(it.Key()))
	}
	if err := it.Error(); err != nil {
		_ = it.Close()
		return fmt.Errorf("read the headers that were fetched: %w", err)
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("read the headers that were fetched: %w", err)
	}
	for _, key := range expired {
		if err := o.own.Delete(key); err != nil {
			return fmt.Errorf("remove an old header: %w", err)
		}
	}
	return nil
}

func isExpired(state *sm.State, height int64, h *types.Header) bool {
	return evidence.IsEvidenceExpired(state.LastBlockHeight, state.LastBlockTime, height, h.Time, state.ConsensusParams.Evidence)
}

var _ evidence.BlockStore = (*oldHeaders)(nil)

// Height returns that of the newest block.
func (o *oldHeaders) Height() int64 { return o.blocks.Height() }

// LoadBlockMeta returns the header of a block with its hash, nil where it is not here. It asks nobody.
func (o *oldHeaders) LoadBlockMeta(height int64) *types.BlockMeta {
	if meta := o.blocks.LoadBlockMeta(height); meta != nil {
		return meta
	}
	if h := o.kept(height); h != nil {
		return &types.BlockMeta{BlockID: h.commit.BlockID, Header: *h.header}
	}
	return nil
}

// LoadBlockCommit returns the commit of a block as the block after it has it, nil where it is not here.
func (o *oldHeaders) LoadBlockCommit(height int64) *types.Commit {
	if commit := o.blocks.LoadBlockCommit(height); commit != nil {
		return commit
	}
	if h := o.kept(height); h != nil {
		return h.commit
	}
	return nil
}

// oldValidators is CometBFT's store with the validators from before this node's first block.
type oldValidators struct {
	sm.Store
	headers *oldHeaders
}

// LoadValidators returns the validators of a block.
func (s oldValidators) LoadValidators(height int64) (*types.ValidatorSet, error) {
	set, err := s.Store.LoadValidators(height)
	if err != nil && height >= 1 && height < s.headers.first() {
		return s.headers.validatorsAt(height)
	}
	return set, err
}
