package consensus

import (
	"bytes"

	"github.com/cometbft/cometbft/evidence"
	lightclient "github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
)

// wantedHeader is a header that is to be fetched. Of an exact one, the commit must be the one that the next block has.
type wantedHeader struct {
	height int64
	exact  bool
}

// wanted is what evidence is lacking to be checked.
type wanted struct {
	headers []wantedHeader
	// doubtful says that some of it may have been in a block before this node's first.
	doubtful bool
}

// wanted returns what is lacking to check evidence. What CometBFT refuses anyhow lacks nothing: evidence that is too old, that is known to have been in a block, or that those it accuses have not signed. So evidence that
// somebody made up leads to no question.
func (p *evidencePool) wanted(list types.EvidenceList) (w wanted) {
	state := p.State()
	known := make(map[wantedHeader]bool)
	for _, ev := range list {
		if !p.headers.old(ev.Height()) || evidence.IsEvidenceExpired(state.LastBlockHeight, state.LastBlockTime, ev.Height(), ev.Time(), state.ConsensusParams.Evidence) {
			continue
		}
		if p.headers.plausible(ev) != nil {
			continue
		}
		w.doubtful = w.doubtful || !p.headers.isNew(ev)
		for _, h := range needed(ev) {
			if !known[h] && !p.headers.has(h) {
				known[h] = true
				w.headers = append(w.headers, h)
			}
		}
	}
	return w
}

// needed returns the headers that CometBFT checks evidence against.
func needed(ev types.Evidence) []wantedHeader {
	attack, ok := ev.(*types.LightClientAttackEvidence)
	switch {
	case !ok:
		return []wantedHeader{{ev.Height(), false}}
	case attack.ConflictingBlock.Height == ev.Height():
		return []wantedHeader{{ev.Height(), true}}
	}
	return []wantedHeader{{ev.Height(), false}, {attack.ConflictingBlock.Height, true}}
}

// has reports whether a header is here, or will be without being fetched.
func (o *oldHeaders) has(w wantedHeader) bool {
	if !o.old(w.height) {
		return true
	}
	return !o.lacks(w.height) && (!w.exact || o.exact(w.height))
}

// named reports whether a commit is the one that the block after it has. Where that is the first one and not there yet, any good commit has to do.
func (o *oldHeaders) named(height int64, commit *types.Commit) bool {
	next := o.LoadBlockMeta(height + 1)
	if next == nil {
		return commit != nil && height+1 >= o.first()
	}
	return commit != nil && bytes.Equal(commit.Hash(), next.Header.LastCommitHash)
}

// exact reports whether the commit that is here is the one that the block after it has: by another one, as good as it may be, a node would hold other validators guilty of an attack than the others do.
func (o *oldHeaders) exact(height int64) bool { return o.named(height, o.LoadBlockCommit(height)) }

// plausible returns nil for evidence that is signed by those whom it accuses: all that is checked without a header.
func (o *oldHeaders) plausible(ev types.Evidence) error {
	validators, err := o.validatorsAt(ev.Height())
	if err != nil {
		return err
	}
	switch ev := ev.(type) {
	case *types.DuplicateVoteEvidence:
		return evidence.VerifyDuplicateVote(ev, o.genesis.ChainID, validators)
	case *types.LightClientAttackEvidence:
		return plausibleAttack(ev, o.genesis.ChainID, validators)
	}
	return fault.New(fault.Invalid, "evidence of a kind that is not known")
}

// plausibleAttack returns nil when those who were validators have signed the block that contradicts the chain.
func plausibleAttack(ev *types.LightClientAttackEvidence, chainID string, validators *types.ValidatorSet) error {
	block := ev.ConflictingBlock
	switch {
	case ev.TotalVotingPower != validators.TotalVotingPower():
		return fault.New(fault.Invalid, "the validators had another power")
	case block.Height != ev.CommonHeight:
		return validators.VerifyCommitLightTrustingAllSignatures(chainID, block.Commit, lightclient.DefaultTrustLevel)
	case !bytes.Equal(block.ValidatorsHash, validators.Hash()):
		return fault.New(fault.Invalid, "the block has other validators")
	}
	return validators.VerifyCommitLightAllSignatures(chainID, block.Commit.BlockID, block.Height, block.Commit)
}

// isNew reports whether evidence was certainly in no block before this node's first one, which the node can't know otherwise. Whoever misbehaved loses all power with the block that has evidence of it: so it was in none if
// all whom it accuses have had power ever since, and others had too, as the last validator keeps its power.
func (o *oldHeaders) isNew(ev types.Evidence) bool {
	guilty := accused(ev)
	if len(guilty) == 0 {
		return false
	}
	innocent := func(set *types.ValidatorSet, err error) bool {
		if err != nil || set.Size() <= 1 {
			return false
		}
		for _, address := range guilty {
			if !set.HasAddress(address) {
				return false
			}
		}
		return true
	}
	first := o.first()
	changes, err := o.listed(ev.Height(), first-1)
	if err != nil || !innocent(o.validatorsAt(ev.Height())) {
		return false
	}
	for _, at := range changes {
		if !innocent(o.validatorsAt(at + 1)) {
			return false
		}
	}
	// The last block before may have taken the power from the one after the next on.
	return innocent(o.states.LoadValidators(first + 1))
}

// accused returns the addresses of those who misbehaved.
func accused(ev types.Evidence) (list []types.Address) {
	switch ev := ev.(type) {
	case *types.DuplicateVoteEvidence:
		list = append(list, ev.VoteA.ValidatorAddress)
	case *types.LightClientAttackEvidence:
		for _, v := range ev.ByzantineValidators {
			list = append(list, v.Address)
		}
	}
	return list
}
