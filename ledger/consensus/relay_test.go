package consensus

import (
	"testing"
	"testing/synctest"
	"time"

	cs "github.com/cometbft/cometbft/consensus"
	cstypes "github.com/cometbft/cometbft/consensus/types"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
)

// partTaker is a peer that counts the messages that it gets.
type partTaker struct {
	p2p.Peer
	state *cs.PeerState
	got   int
}

func (p *partTaker) Get(string) any { return p.state }

func (p *partTaker) Send(p2p.Envelope) bool {
	p.got++
	return true
}

// A part of another node's proposal is left to that node for a while, and longer where the peer has voted; whatever else there is goes out at once.
func TestRelayOfParts(t *testing.T) {
	const height = 5
	part := func(height int64, round int32) p2p.Envelope {
		return p2p.Envelope{ChannelID: cs.DataChannel, Message: &cmtcons.BlockPart{Height: height, Round: round}}
	}
	for name, c := range map[string]struct {
		step cstypes.RoundStepType
		e    p2p.Envelope
		own  bool // nothing came from others
		part bool // not everybody is connected with everybody
		want time.Duration
	}{
		"a part":                          {cstypes.RoundStepPropose, part(height, 0), false, false, relayPart},
		"to one who has voted":            {cstypes.RoundStepPrevote, part(height, 0), false, false, relayVoted},
		"to one who waits for it":         {cstypes.RoundStepCommit, part(height, 0), false, false, relayPart},
		"of this node's own proposal":     {cstypes.RoundStepPropose, part(height, 0), true, false, 0},
		"of another round":                {cstypes.RoundStepPropose, part(height, 1), false, false, 0},
		"of an older block":               {cstypes.RoundStepPropose, part(height-1, 0), false, false, 0},
		"where not all are connected":     {cstypes.RoundStepPropose, part(height, 0), false, true, 0},
		"something else about the height": {cstypes.RoundStepPropose, p2p.Envelope{Message: &cmtcons.HasVote{Height: height}}, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a arrival
				to := &partTaker{}
				to.state = cs.NewPeerState(to).SetLogger(log.NewNopLogger())
				to.state.ApplyNewRoundStepMessage(&cs.NewRoundStepMessage{Height: height, Step: c.step, LastCommitRound: 0})
				if !c.own {
					a.see(height, 0)
					a.see(height-1, 7) // what came before it changes nothing
				}
				start := time.Now()
				for !(relayPeer{to, &a, func() bool { return !c.part }}).Send(c.e) {
				}
				if took := time.Since(start); took != c.want || to.got != 1 {
					t.Errorf("sent %d times after %s, want %s", to.got, took, c.want)
				}
			})
		})
	}
}
