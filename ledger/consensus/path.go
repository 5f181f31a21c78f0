package consensus

import (
	"bytes"
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

// Path returns the path that leads to the header of block "to": from block "since", or from the genesis when that is 0. Changes are the heights of the blocks between them at which the validators may
// have changed, in ascending order. It is fault.NotFound for a height that is not reached, or not kept.
func (e *Engine) Path(since, to int64, changes []int64) (p light.Path, err error) {
	err = e.Read(func(blocks *store.BlockStore, states sm.Store) error {
		if since > 0 {
			h, err := loadHeader(blocks, since)
			if err != nil {
				return err
			}
			p.Start = new(light.Start)
			if p.Start.Header, err = light.EncodeHeader(h); err != nil {
				return fmt.Errorf("encode the header of block %d: %w", since, err)
			}
			if p.Start.Next, err = loadValidators(states, since+1); err != nil {
				return err
			}
		}
		for _, height := range changes {
			if err := addStep(&p, blocks, states, height); err != nil {
				return err
			}
		}
		_, p.Last, err = loadSigned(blocks, to)
		return err
	})
	return p, err
}

// addStep adds a block to a path unless the validators after it are those before.
func addStep(p *light.Path, blocks *store.BlockStore, states sm.Store, height int64) error {
	h, signed, err := loadSigned(blocks, height)
	if err != nil || bytes.Equal(h.ValidatorsHash, h.NextValidatorsHash) {
		return err
	}
	next, err := loadValidators(states, height+1)
	if err == nil {
		p.Steps = append(p.Steps, light.Step{Signed: signed, Next: next})
	}
	return err
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
