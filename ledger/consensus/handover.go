package consensus

import (
	"context"
	"time"

	cs "github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/internal/pause"
)

const (
	// handOverTime is how long a node goes on passing on the last block that it can carry out. Others that lack it then get it from a node with a program that goes on.
	handOverTime = 10 * time.Second
	// handOverInterval is how often it looks whether they have it.
	handOverInterval = 100 * time.Millisecond
)

// handOver waits until the members that are connected have the newest block, too: it was decided with the votes that this node saw, and without them, others that don't know the rules of the next block would
// wait for it in vain, and not learn why. It returns after handOverTime at the latest. Meanwhile this node votes for no block, see guardedConsensus, and hears of none, see ofNextBlock: one that others decide must not get onto its disk, where the next start would
// have to carry it out. So there is no time to wait where blocks are fetched.
func (p *parts) handOver(ctx context.Context) {
	if !p.swtch.IsRunning() || p.guard.syncing.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	for !p.allHave(p.blocks.Height()) && pause.For(ctx, handOverInterval) == nil {
	}
}

// allHave reports whether the members that are connected say that they have the block of a height.
func (p *parts) allHave(height int64) bool {
	for _, peer := range p.swtch.Peers().Copy() {
		state, ok := peer.Get(types.PeerStateKey).(*cs.PeerState)
		if !ok || state.GetHeight() <= height {
			return false
		}
	}
	return true
}

// ofNextBlock reports whether a message is one of those by which a block comes about.
func ofNextBlock(e p2p.Envelope) bool {
	switch e.Message.(type) {
	case *cmtcons.Proposal, *cmtcons.ProposalPOL, *cmtcons.BlockPart, *cmtcons.Vote:
		return true
	}
	return false
}
