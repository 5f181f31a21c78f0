package consensus

import (
	"context"
	"time"

	cs "github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/internal/pause"
)

const (
	// handOverTime is how long a node goes on passing on the last block that it can carry out. Others that lack it then get it from a node with a program that goes on.
	handOverTime = 10 * time.Second
	// handOverInterval is how often it looks whether they have it.
	handOverInterval = 100 * time.Millisecond
)

// finish fails the engine after the last block that the application can carry out.
func (e *Engine) finish(err error) {
	e.finished.Store(true)
	e.fail(err)
}

// handOver waits until the members that are connected have the newest block, too: it was decided with the votes that this node saw, and without them, others that don't know the rules of the next block would
// wait for it in vain, and not learn why. It returns after handOverTime at the latest. The guard keeps this node from voting for a block meanwhile.
func (p *parts) handOver(ctx context.Context) {
	if !p.swtch.IsRunning() {
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
