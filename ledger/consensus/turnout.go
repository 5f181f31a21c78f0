package consensus

import (
	"fmt"

	cstypes "github.com/cometbft/cometbft/consensus/types"
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

// Lacking tells who has not voted, and false where no vote on the next block is under way or more than two thirds have voted. Votes take a moment: who wants to know whether the ledger stands still asks again, and compares height and round.
func (e *Engine) Lacking() (t Turnout, round int32, lacking bool) {
	_ = e.use(func(p *parts) error { // an engine that does not run says so elsewhere
		now := p.state.GetRoundState()
		if now.Step < cstypes.RoundStepPrevote || now.Validators == nil || now.Votes == nil {
			return nil
		}
		votes := now.Votes.Prevotes(now.Round)
		if now.Step >= cstypes.RoundStepPrecommit {
			votes = now.Votes.Precommits(now.Round)
		}
		if votes == nil || votes.HasTwoThirdsAny() {
			return nil
		}
		t.Height, round, lacking = now.Height, now.Round, true
		cast := votes.BitArray()
		t.sum(now.Validators, cast.GetIndex)
		return nil
	})
	return t, round, lacking
}

func (t *Turnout) count(set *types.ValidatorSet, commit *types.Commit) {
	t.sum(set, func(i int) bool {
		return i < len(commit.Signatures) && commit.Signatures[i].BlockIDFlag == types.BlockIDFlagCommit
	})
}

// sum adds up the validators, by whether they voted.
func (t *Turnout) sum(set *types.ValidatorSet, voted func(i int) bool) {
	for i, v := range set.Validators {
		t.Power += v.VotingPower
		if voted(i) {
			t.Voted += v.VotingPower
			continue
		}
		var key ledger.PublicKey
		copy(key[:], v.PubKey.Bytes())
		t.Absent = append(t.Absent, key)
	}
}
