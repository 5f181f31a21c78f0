package consensus

import (
	"context"
	"time"

	"github.com/cometbft/cometbft/evidence"
	"github.com/cometbft/cometbft/p2p"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
)

// What evidence from before this node's first block may cost that peers send. Consensus does not wait for it.
const (
	// gossipBurst headers are fetched at once, and then gossipRate in a second, for evidence that peers send. It was signed by somebody who was a validator and did misbehave.
	gossipBurst = 16
	gossipRate  = 1
	// lookBurst pieces of evidence from before this node's first block are looked at that peers send, and then lookRate in a second: signatures cost time, and those of a piece that nothing here can decide on are not held against its
	// sender.
	lookBurst = 100
	lookRate  = 10
)

// forGossip makes ready what evidence that a peer sent is checked against. An error means that it can't be checked now, which is not the peer's fault.
func (p *evidencePool) forGossip(ev types.Evidence) error {
	if !p.headers.old(ev.Height()) {
		return nil
	}
	if !p.looks.Allow() {
		return fault.New(fault.Full, "peers send too much old evidence")
	}
	w := p.wanted(types.EvidenceList{ev})
	if w.doubtful {
		return fault.New(fault.NotFound, "nothing here tells whether it was in a block before")
	}
	if len(w.headers) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.life, voteTime)
	defer cancel()
	select {
	case p.one <- struct{}{}:
		defer func() { <-p.one }()
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "another header is being fetched")
	}
	if w = p.wanted(types.EvidenceList{ev}); len(w.headers) == 0 { // it came while this one waited
		return nil
	}
	if !p.gossip.AllowN(time.Now(), len(w.headers)) {
		return fault.New(fault.Full, "too many headers were fetched for evidence that peers sent")
	}
	return p.fetch(ctx, w.headers)
}

// evidenceReactor is CometBFT's. Evidence that can't be checked yet is passed over: CometBFT would take whoever sent it for a liar. It is sent again after a while.
type evidenceReactor struct {
	*evidence.Reactor
	pool *evidencePool
}

// Receive takes evidence from a peer.
func (r *evidenceReactor) Receive(e p2p.Envelope) {
	m, ok := e.Message.(*cmtproto.EvidenceList)
	if !ok {
		r.Reactor.Receive(e)
		return
	}
	list := make([]types.Evidence, len(m.Evidence))
	for i := range m.Evidence {
		ev, err := types.EvidenceFromProto(&m.Evidence[i])
		if err == nil {
			err = ev.ValidateBasic()
		}
		if err != nil { // it is CometBFT's to say so
			r.Reactor.Receive(e)
			return
		}
		list[i] = ev
	}
	for i, ev := range list {
		if err := r.pool.forGossip(ev); err != nil { // nor is what follows in the message looked at: CometBFT sends them one by one
			r.pool.log.Debug("ledger: evidence of misbehaviour can't be checked yet", "peer", e.Src.ID(), "height", ev.Height(), "error", err)
			return
		}
		one := e
		one.Message = &cmtproto.EvidenceList{Evidence: m.Evidence[i : i+1]}
		r.Reactor.Receive(one)
		if !e.Src.IsRunning() { // it was sent away for that
			return
		}
	}
}
