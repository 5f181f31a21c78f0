package consensus

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cometbft/cometbft/evidence"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/fault"
)

// How headers are fetched that evidence is checked against. Consensus waits for them.
const (
	// voteTime is the most that a vote waits for headers: who lacks one then votes against the block. After a wait in vain none is begun for quietTime.
	voteTime  = 2 * time.Second
	quietTime = 10 * time.Second
	// hedgeTime is how long one peer is given before another is asked, too.
	hedgeTime = 300 * time.Millisecond
	// settleTurn is how long CometBFT may take to tell of the step that it is in, which it does in a goroutine of its own.
	settleTurn = 200 * time.Millisecond
	// minEvidencePause and maxEvidencePause bound the time between two attempts where the node can't go on without a header.
	minEvidencePause = 250 * time.Millisecond
	maxEvidencePause = 10 * time.Second
	// headerFetchers is how many headers are fetched at once.
	headerFetchers = 4
)

// evidencePool is CometBFT's, with what it lacks where the node began with a state that it fetched: the headers from before, which are fetched when evidence is to be checked against them, and which of that evidence was
// in a block already.
type evidencePool struct {
	*evidence.Pool
	headers *oldHeaders
	asker   *asker
	life    context.Context // the engine's: CometBFT asks without one
	turn    *turn
	decided func() bool // says that a block that is checked was decided, whatever turn says
	cut     func()      // is told that the engine's end cuts off what it can't do without
	log     *slog.Logger

	gossip *rate.Limiter // of headers
	looks  *rate.Limiter // of pieces that are looked at
	one    chan struct{} // has room for one: fetches for what peers send come one after the other

	mu      sync.Mutex
	quiet   time.Time // guarded by mu; until when no vote waits
	waiting string    // guarded by mu; what the node can't go on without
}

var _ sm.EvidencePool = (*evidencePool)(nil)

func (b *builder) newEvidencePool(life context.Context, turn *turn) (*evidencePool, error) {
	headers := &oldHeaders{history: b.history, genesis: b.parts.genesis, fetched: &b.engine.fetched}
	pool, err := evidence.NewPool(b.space(spaceEvidence), oldValidators{b.states, headers}, headers)
	if err != nil {
		return nil, fmt.Errorf("open the evidence: %w", err)
	}
	pool.SetLogger(b.log)
	asker, err := b.engine.newAsker(&b.parts)
	if err != nil {
		return nil, err
	}
	return &evidencePool{
		Pool: pool, headers: headers, asker: asker, life: life, turn: turn, decided: b.guard.syncing.Load, cut: b.engine.cutOff, log: b.engine.cfg.Logger,
		gossip: rate.NewLimiter(gossipRate, gossipBurst), looks: rate.NewLimiter(lookRate, lookBurst), one: make(chan struct{}, 1),
	}, nil
}

// CheckEvidence checks the evidence in a block. A block that is proposed is refused when a header is lacking and does not come in time, or when nothing tells whether the evidence was in a block before. A block for which others
// have voted is not to be refused: CometBFT would stop for good. For that, the header is waited for, and what more than two thirds found to be new is believed to be.
func (p *evidencePool) CheckEvidence(list types.EvidenceList) error {
	w := p.wanted(list)
	if len(w.headers) == 0 && !w.doubtful {
		return p.Pool.CheckEvidence(list)
	}
	err := p.forVote(w)
	if err == nil && !w.doubtful {
		return p.Pool.CheckEvidence(list)
	}
	if !p.must() {
		if err == nil {
			err = fault.New(fault.NotFound, "nothing here tells whether evidence of misbehaviour was in a block before this node's first")
		}
		return fmt.Errorf("check the evidence in a block: %w", err)
	}
	if err := p.forDecided(w); err != nil {
		return fmt.Errorf("check the evidence in a block that was decided: %w", err)
	}
	return p.Pool.CheckEvidence(list)
}

// must waits until CometBFT has told what it does, and reports whether it can't go on without the block that it checks.
func (p *evidencePool) must() bool {
	select {
	case <-time.After(settleTurn):
	case <-p.life.Done():
	}
	return p.decided() || p.turn.voted()
}

// forVote fetches headers for a vote.
func (p *evidencePool) forVote(w wanted) error {
	if len(w.headers) == 0 {
		return nil
	}
	p.mu.Lock()
	quiet := time.Now().Before(p.quiet)
	p.mu.Unlock()
	if quiet {
		return fault.New(fault.Unavailable, "headers did not come a moment ago")
	}
	ctx, cancel := context.WithTimeout(p.life, voteTime)
	defer cancel()
	err := p.fetch(ctx, w.headers)
	if err != nil {
		p.mu.Lock()
		p.quiet = time.Now().Add(quietTime)
		p.mu.Unlock()
	}
	return err
}

// forDecided fetches headers for a block without which the node can't go on, until they are there or the engine ends.
func (p *evidencePool) forDecided(w wanted) error {
	defer p.wait("", nil)
	for pause := minEvidencePause; ; pause = min(2*pause, maxEvidencePause) {
		ctx, cancel := context.WithTimeout(p.life, askTime)
		err := p.fetch(ctx, w.headers)
		cancel()
		if err == nil {
			return nil
		}
		if p.life.Err() == nil {
			p.wait(fmt.Sprintf("a block that others voted for has evidence of misbehaviour from before block %d, with which this node's begin, and no node that is there gives the header that it is checked against", p.headers.first()), err)
		}
		select {
		case <-p.life.Done():
			p.cut()
			return p.life.Err()
		case <-time.After(pause):
		}
	}
}

// wait notes what keeps the node from going on; empty: nothing.
func (p *evidencePool) wait(what string, cause error) {
	p.mu.Lock()
	first := p.waiting == "" && what != ""
	p.waiting = what
	p.mu.Unlock()
	if first {
		p.log.Warn("ledger: waiting for a header", "reason", what, "error", cause)
	}
}

func (p *evidencePool) waitsFor() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// fetch fetches headers that are not here from other nodes, and keeps them. Those that have come stay, also when others have not.
func (p *evidencePool) fetch(ctx context.Context, headers []wantedHeader) error {
	if len(headers) == 0 {
		return nil
	}
	state := p.State()
	if err := p.headers.dropExpired(&state); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(headerFetchers)
	for _, h := range headers {
		group.Go(func() error { return p.fetchOne(ctx, h) })
	}
	return group.Wait()
}

// fetchOne fetches a header from whoever has it.
func (p *evidencePool) fetchOne(ctx context.Context, w wantedHeader) error {
	if p.headers.has(w) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.exact && p.headers.lacks(w.height+1) { // which has the hash of the commit
		if err := p.fetchOne(ctx, wantedHeader{w.height + 1, false}); err != nil {
			return err
		}
	}
	err := p.asker.race(ctx, func(ctx context.Context, of peer.ID) error {
		signed, err := p.asker.header(ctx, of, w.height)
		if err != nil {
			return err
		}
		found, err := p.headers.check(w.height, &signed)
		if err == nil && w.exact && !p.headers.named(w.height, found.commit) {
			err = fault.New(fault.Invalid, "the commit of block %d is not the one that the next block has", w.height)
		}
		if err != nil {
			return err
		}
		return p.headers.keepHeader(w.height, &signed)
	})
	if err != nil {
		return fmt.Errorf("get the header of block %d: %w", w.height, err)
	}
	return nil
}
