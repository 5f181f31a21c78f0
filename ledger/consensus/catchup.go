package consensus

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/p2p"
	bcproto "github.com/cometbft/cometbft/proto/tendermint/blocksync"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// lateBurst blocks that a peer sends though nobody waits for them any more are borne at once, and lateRate more in a second. Blocks near the newest are asked for twice, from two peers each.
	lateBurst = 40
	lateRate  = 2
	// maxLate bounds the peers of whom it is remembered how many of these they sent.
	maxLate = 1024
)

// blockReactor is CometBFT's block sync, without what makes a node believe too early that it has all blocks, or that others misbehave:
//
//   - How far others are is held back until there was time for all of them to say so: CometBFT takes the first peer's word for it, which may have nothing itself.
//   - A peer that does not keep the block which is needed next is not shown to it: it would be passed over, and if it were the only one, there would seem to be nothing to fetch.
//   - Where the state was fetched first, a new reactor takes the place of the first one: that would reckon from the genesis, find that no block came for long, and give up.
//   - What a peer says of itself that was overtaken by something newer is dropped: CometBFT would have nothing of that peer for a minute.
//   - A block that comes from the second peer after the first one's was carried out is no misbehaviour.
type blockReactor struct {
	*blocksync.Reactor // the first
	renew              func(sm.State) *blocksync.Reactor
	next               func() int64 // the height of the block that is needed next
	meeting            meeting

	mu      sync.Mutex
	second  *blocksync.Reactor       // guarded by mu; nil: there is the first only
	open    bool                     // guarded by mu: how far others are is no longer held back
	reports map[p2p.ID]p2p.Envelope  // guarded by mu; what each peer said last
	late    map[p2p.ID]*rate.Limiter // guarded by mu
}

var (
	_ p2p.Reactor        = (*blockReactor)(nil)
	_ p2p.MsgBytesFilter = (*blockReactor)(nil)
)

// current returns the reactor that does the work.
func (r *blockReactor) current() *blocksync.Reactor {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.second != nil {
		return r.second
	}
	return r.Reactor
}

// begin begins to fetch blocks after a state.
func (r *blockReactor) begin(state sm.State) error {
	if state.LastBlockHeight == 0 {
		return r.Reactor.Enable(state)
	}
	second := r.renew(state)
	second.SetLogger(r.Logger)
	second.SetSwitch(r.Switch)
	r.mu.Lock()
	r.second = second
	r.mu.Unlock()
	return second.Start()
}

// Stop stops fetching.
func (r *blockReactor) Stop() error {
	if now := r.current(); now != r.Reactor {
		if err := now.Stop(); err != nil {
			r.Logger.Error("Error stopping the second block sync", "err", err)
		}
	}
	return r.Reactor.Stop()
}

// meet shows to CometBFT how far others are, when enough of them have said so or ctx ends. Until then it fetches nothing anyway: it gives peers three seconds to come.
func (r *blockReactor) meet(ctx context.Context) {
	tick := time.NewTicker(meetInterval)
	defer tick.Stop()
	for !r.meeting.over(r.spoke) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	r.mu.Lock()
	r.open = true
	var all []p2p.Envelope
	for _, e := range r.reports {
		all = append(all, e)
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b p2p.Envelope) int { return cmp.Compare(status(b).Height, status(a).Height) }) // who has most comes first
	for _, e := range all {
		r.show(e)
	}
}

func (r *blockReactor) spoke(id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.reports[key(id)]
	return ok
}

// status returns the status in a message that has one.
func status(e p2p.Envelope) *bcproto.StatusResponse { return e.Message.(*bcproto.StatusResponse) }

// Receive takes a message from a peer.
func (r *blockReactor) Receive(e p2p.Envelope) {
	s, ok := e.Message.(*bcproto.StatusResponse)
	if !ok || blocksync.ValidateMsg(s) != nil {
		r.current().Receive(e)
		return
	}
	r.mu.Lock()
	if last, ok := r.reports[e.Src.ID()]; ok && (s.Height < status(last).Height || s.Base < status(last).Base) { // overtaken
		r.mu.Unlock()
		return
	}
	r.reports[e.Src.ID()] = e
	open := r.open
	r.mu.Unlock()
	if open {
		r.show(e)
	}
}

// show shows CometBFT how far a peer is, unless what is needed next is not there.
func (r *blockReactor) show(e p2p.Envelope) {
	if status(e).Base <= r.next() {
		r.current().Receive(e)
	}
}

// AddPeer begins with a peer.
func (r *blockReactor) AddPeer(p p2p.Peer) { r.current().AddPeer(p) }

// RemovePeer forgets a peer.
func (r *blockReactor) RemovePeer(p p2p.Peer, reason any) {
	r.mu.Lock()
	delete(r.reports, p.ID())
	r.mu.Unlock()
	r.current().RemovePeer(p, reason)
}

// FilterMsgBytes refuses what a peer must not send, before it is decoded.
func (r *blockReactor) FilterMsgBytes(channel byte, from p2p.Peer, data []byte) error {
	err := r.current().FilterMsgBytes(channel, from, data)
	if err != nil && late(data) && r.bear(from.ID()) {
		return nil
	}
	return err
}

// late reports whether a message is a block that might be one which was asked for.
func late(data []byte) bool {
	var m bcproto.SigCountMessage
	if m.Unmarshal(data) != nil || m.BlockResponse == nil || m.BlockResponse.Block == nil {
		return false
	}
	commit, extended := m.BlockResponse.Block.LastCommit, m.BlockResponse.ExtCommit
	return (commit == nil || len(commit.Signatures) <= types.MaxVotesCount) && extended == nil
}

// bear reports whether one more late block of a peer is borne.
func (r *blockReactor) bear(id p2p.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open { // nothing was asked for yet
		return false
	}
	l := r.late[id]
	if l == nil {
		if len(r.late) >= maxLate {
			clear(r.late)
		}
		l = rate.NewLimiter(lateRate, lateBurst)
		r.late[id] = l
	}
	return l.Allow()
}

// newBlockReactor makes the reactor. votes is the address with which this node votes, or nil.
func (b *builder) newBlockReactor(executor *sm.BlockExecutor, votes []byte) *blockReactor {
	build := func(enabled bool, state sm.State, fetched int64) *blocksync.Reactor {
		alone := votes // it need not look for others: they can have decided nothing without it
		if _, own := state.Validators.GetByAddress(votes); !indispensable(own, state.Validators) {
			alone = nil
		}
		return blocksync.NewReactor(enabled, false, state.Copy(), executor, b.blocks, alone, fetched, blocksync.NopMetrics())
	}
	fetched := int64(0) // the height of the state, where no block after it is there yet
	if b.blocks.Height() == 0 {
		fetched = b.chain.LastBlockHeight
	}
	e := b.engine
	r := &blockReactor{
		Reactor: build(b.sync && !b.fresh && !b.held, b.chain, fetched),
		renew:   func(s sm.State) *blocksync.Reactor { return build(true, s, s.LastBlockHeight) },
		next:    func() int64 { return max(b.blocks.Height(), e.fetched.Load()) + 1 },
		meeting: meeting{known: e.cfg.Peers.Known, self: e.cfg.Host.ID()},
		reports: make(map[p2p.ID]p2p.Envelope), late: make(map[p2p.ID]*rate.Limiter),
	}
	r.SetLogger(b.log)
	return r
}

// indispensable reports whether nothing is decided without a validator: the others have no more than two thirds of the power. CometBFT's block sync rounds down, and takes one of four with a power of 1 each for such.
func indispensable(own *types.Validator, all *types.ValidatorSet) bool {
	return own != nil && 3*own.VotingPower >= all.TotalVotingPower()
}
