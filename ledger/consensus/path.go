package consensus

import (
	"fmt"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

// AppHash returns the root of the state that the header of a block has, that after the block before. It is fault.NotFound for a height that is not reached, or not kept.
func (e *Engine) AppHash(height int64) (root ledger.Hash, err error) {
	err = e.Read(func(blocks *store.BlockStore, _ sm.Store) error {
		h, err := loadHeader(blocks, height)
		if err == nil {
			copy(root[:], h.AppHash)
		}
		return err
	})
	return root, err
}

// BlockHash returns the hash of a block. It is fault.NotFound for a height that is not reached, or not kept.
func (e *Engine) BlockHash(height int64) (hash ledger.Hash, err error) {
	err = e.Read(func(blocks *store.BlockStore, _ sm.Store) error {
		h, err := loadHeader(blocks, height)
		if err == nil {
			copy(hash[:], h.Hash())
		}
		return err
	})
	return hash, err
}

// Path returns the path that leads to the header of block "to": from block "since", or from the genesis when that is 0. It is fault.NotFound for a height that is not reached, or not kept.
func (e *Engine) Path(since, to int64) (p light.Path, err error) {
	err = e.use(func(parts *parts) error {
		p, err = parts.history.path(since, to)
		return err
	})
	return p, err
}

// path returns a path from what is kept.
func (h *history) path(since, to int64) (p light.Path, err error) {
	if since > 0 {
		header, err := loadHeader(h.blocks, since)
		if err != nil {
			return p, err
		}
		p.Start = new(light.Start)
		if p.Start.Header, err = light.EncodeHeader(header); err != nil {
			return p, fmt.Errorf("encode the header of block %d: %w", since, err)
		}
		if p.Start.Next, err = loadValidators(h.states, since+1); err != nil {
			return p, err
		}
	}
	heights, err := h.heights(since+1, to-1)
	if err != nil {
		return p, err
	}
	for _, height := range heights {
		s, ok, err := h.step(height)
		if err != nil {
			return p, err
		}
		if ok {
			p.Steps = append(p.Steps, s)
		}
	}
	_, p.Last, err = loadSigned(h.blocks, to)
	return p, err
}

func loadHeader(blocks *store.BlockStore, height int64) (*types.Header, error) {
	meta := blocks.LoadBlockMeta(height)
	if meta == nil {
		return nil, fault.New(fault.NotFound, "block %d is not here: this node has blocks %d to %d", height, blocks.Base(), blocks.Height())
	}
	return &meta.Header, nil
}

func loadSigned(blocks *store.BlockStore, height int64) (*types.Header, light.Signed, error) {
	h, err := loadHeader(blocks, height)
	if err != nil {
		return nil, light.Signed{}, err
	}
	commit := blocks.LoadBlockCommit(height)
	if commit == nil {
		commit = blocks.LoadSeenCommit(height) // of the last block
	}
	if commit == nil {
		return nil, light.Signed{}, fault.New(fault.NotFound, "the signatures of block %d are not here", height)
	}
	signed, err := light.Encode(h, commit)
	return h, signed, err
}

func loadValidators(states sm.Store, height int64) ([]light.Validator, error) {
	set, err := states.LoadValidators(height)
	if err != nil {
		return nil, fmt.Errorf("load the validators of block %d: %w", height, err)
	}
	return light.Validators(set), nil
}

// Deciding returns the validators that decide on the next block, in CometBFT's order. A change that a block makes is among them after the block that follows it: until then those before decide.
func (e *Engine) Deciding() (list []light.Validator, err error) {
	err = e.Read(func(_ *store.BlockStore, states sm.Store) error {
		s, err := states.Load()
		if err != nil {
			return fmt.Errorf("load the chain's state: %w", err)
		}
		if s.Validators != nil {
			list = light.Validators(s.Validators)
		}
		return nil
	})
	return list, err
}
