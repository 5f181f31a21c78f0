package consensus

import (
	"sync"

	cstypes "github.com/cometbft/cometbft/consensus/types"
	"github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
)

// turn is where CometBFT is in its work on the next block, as it tells its peers: its own answer comes only when nothing is waited for.
type turn struct {
	mu     sync.Mutex
	height int64  // guarded by mu
	round  int32  // guarded by mu
	step   uint32 // guarded by mu; a cstypes.RoundStepType
}

// see takes what CometBFT tells, which may come in another order than it happened.
func (t *turn) see(m *cmtcons.NewRoundStep) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.Height > t.height || m.Height == t.height && (m.Round > t.round || m.Round == t.round && m.Step > t.step) {
		t.height, t.round, t.step = m.Height, m.Round, m.Step
	}
}

// voted reports whether this node has made up its mind about the proposal of the round: if it checks a block again, then because more than two thirds have voted for it.
func (t *turn) voted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.step >= uint32(cstypes.RoundStepPrevote)
}

// attempts returns the number of the round.
func (t *turn) attempts() int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.round
}

// SetSwitch stands between the reactor and its switch, to see what the consensus does.
func (r *consensusReactor) SetSwitch(s p2p.Switcher) { r.Reactor.SetSwitch(watchedSwitch{s, r.turn}) }

type watchedSwitch struct {
	p2p.Switcher
	turn *turn
}

// BroadcastAsync sends a message to all peers.
func (s watchedSwitch) BroadcastAsync(e p2p.Envelope) {
	if m, ok := e.Message.(*cmtcons.NewRoundStep); ok {
		s.turn.see(m)
	}
	s.Switcher.BroadcastAsync(e)
}
