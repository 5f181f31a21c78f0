package consensus

import (
	"fmt"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Turnout is who voted for a block.
type Turnout struct {
	// Height is the block's.
	Height int64
	// Power is the voting power of its validators, and Voted that of those whose votes the block after it holds.
	Power, Voted int64
	// Absent are the keys of the others.
	Absent []ledger.PublicKey
}

// Turnout tells who voted for the last block but one: the last block holds the votes. A validator that is slow may be absent now and then. It is fault.NotFound before there are two blocks.
func (e *Engine) Turnout() (t Turnout, err error) {
	err = e.Read(func(blocks *store.BlockStore, states sm.Store) error {
		t.Height = blocks.Height() - 1
		commit := blocks.LoadBlockCommit(t.Height)
		if t.Height < 1 || commit == nil {
			return fault.New(fault.NotFound, "nobody has voted yet")
		}
		set, err := states.LoadValidators(t.Height)
		if err != nil {
			return fmt.Errorf("load the validators of block %d: %w", t.Height, err)
		}
		t.count(set, commit)
		return nil
	})
	return t, err
}

func (t *Turnout) count(set *types.ValidatorSet, commit *types.Commit) {
	for i, v := range set.Validators {
		t.Power += v.VotingPower
		if i < len(commit.Signatures) && commit.Signatures[i].BlockIDFlag == types.BlockIDFlagCommit {
			t.Voted += v.VotingPower
			continue
		}
		var key ledger.PublicKey
		copy(key[:], v.PubKey.Bytes())
		t.Absent = append(t.Absent, key)
	}
}
