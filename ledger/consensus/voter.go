package consensus

import (
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

// A voter signs for CometBFT, which does not try again what it could not sign:
//
//   - It signs nothing while the disk has no room for the note that it did, and pauses the engine instead.
//   - Asked for another vote than it gave before the node was started again, it hands over the one that it gave. That happens where the vote is not in CometBFT's log and the application judges otherwise by now, as when the
//     clock was set back. CometBFT would wait for its own vote, and where nothing is decided without it, so would the chain, for ever.
type voter struct {
	*signer.Signer
	engine *Engine
	// add takes a vote of this node, in CometBFT's routine.
	add func(*types.Vote)
}

// SignProposal signs a proposal.
func (s voter) SignProposal(chain string, p *cmtproto.Proposal) error {
	return s.sign(func() error { return s.Signer.SignProposal(chain, p) })
}

// SignVote signs a vote.
func (s voter) SignVote(chain string, v *cmtproto.Vote) error {
	err := s.sign(func() error { return s.Signer.SignVote(chain, v) })
	if fault.KindOf(err) == fault.Conflict {
		s.repeat(v)
	}
	return err
}

// repeat hands over the vote that was given where another was asked for.
func (s voter) repeat(asked *cmtproto.Vote) {
	given := *asked
	if !s.Voted(&given) {
		return
	}
	v, err := types.VoteFromProto(&given)
	if err != nil {
		s.engine.cfg.Logger.Warn("ledger: the vote that was given can't be read", "height", asked.Height, "round", asked.Round, "error", err)
		return
	}
	s.engine.cfg.Logger.Info("ledger: the vote from before the start counts", "height", asked.Height, "round", asked.Round, "type", asked.Type)
	s.add(v)
}

func (s voter) sign(f func() error) error {
	err := error(fault.New(fault.Full, "the disk has no room"))
	if !s.engine.low(pauseBelow) {
		err = f()
	}
	if fault.KindOf(err) == fault.Full {
		s.engine.pause()
	}
	return err
}
