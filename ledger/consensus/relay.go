package consensus

import (
	"sync"
	"time"

	cs "github.com/cometbft/cometbft/consensus"
	cstypes "github.com/cometbft/cometbft/consensus/types"
	"github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	"github.com/cometbft/cometbft/types"
)

// How long this node leaves it to the proposer to send a part of a block to a peer, which the proposer does at once where it is connected with it. Nobody says which parts it has before it has voted and seen the others' votes, so that parts
// would reach each peer from nearly everybody.
const (
	// relayPart is the time after the first part came here, and relayVoted the time where the peer has made up its mind meanwhile, mostly for having the block.
	relayPart  = 100 * time.Millisecond
	relayVoted = 300 * time.Millisecond
)

// arrival is when the first part of a proposal came from somebody else.
type arrival struct {
	mu     sync.Mutex
	height int64     // guarded by mu
	round  int32     // guarded by mu
	at     time.Time // guarded by mu
}

// see notes a part that came.
func (a *arrival) see(height int64, round int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if height > a.height || height == a.height && round > a.round {
		a.height, a.round, a.at = height, round, time.Now()
	}
}

// age returns for how long a proposal has been here that came from somebody else, or false.
func (a *arrival) age(height int64, round int32) (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.at), height == a.height && round == a.round
}

// relayPeer is a peer to which parts of others' proposals are sent late.
type relayPeer struct {
	p2p.Peer
	arrival *arrival
	whole   func() bool // every node is connected with every other
}

// Send sends a message. It is false for a part that the peer will probably have from the proposer: CometBFT then looks again whether the peer lacks it.
func (p relayPeer) Send(e p2p.Envelope) bool {
	if m, ok := e.Message.(*cmtcons.BlockPart); ok && p.early(m) {
		time.Sleep(gossipSleep) // the time between two looks
		return false
	}
	return p.Peer.Send(e)
}

func (p relayPeer) early(m *cmtcons.BlockPart) bool {
	age, ok := p.arrival.age(m.Height, m.Round)
	if !ok || age >= relayVoted || !p.whole() {
		return false
	}
	if age < relayPart {
		return true
	}
	state, ok := p.Get(types.PeerStateKey).(*cs.PeerState)
	if !ok {
		return false
	}
	now := state.GetRoundState()
	return now.Height == m.Height && now.Round == m.Round && (now.Step == cstypes.RoundStepPrevote || now.Step == cstypes.RoundStepPrevoteWait)
}

// InitPeer makes CometBFT's notes on a peer.
func (r *consensusReactor) InitPeer(p p2p.Peer) p2p.Peer {
	r.Reactor.InitPeer(relayPeer{p, &r.arrival, r.whole})
	return p
}

// Receive takes a message from a peer.
func (r *consensusReactor) Receive(e p2p.Envelope) {
	if r.guard.finished.Load() && ofNextBlock(e) {
		return
	}
	if m, ok := e.Message.(*cmtcons.BlockPart); ok {
		r.arrival.see(m.Height, m.Round)
	}
	r.Reactor.Receive(e)
}
