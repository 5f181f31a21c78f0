package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	cs "github.com/cometbft/cometbft/consensus"

	"github.com/folkmoot/folkmoot/fault"
)

// watchInterval is how often the height is looked at.
const watchInterval = time.Second

// Status is how an engine is doing.
type Status struct {
	// Running says that the engine has started and not stopped.
	Running bool
	// Syncing says that blocks are still fetched from others. A validator does not vote before it has them all.
	Syncing bool
	// Height is that of the newest block, or of the state where no block after it is there yet, and Round that of the attempts to make the next one.
	Height int64
	Round  int32
	// Base is the lowest block that is kept; 0: there is none.
	Base int64
	// Fetching is how the fetching of what is lacking goes on, while Syncing.
	Fetching Progress
	// Members is how many peers take part with this node.
	Members int
	// Pool is how many envelopes wait for a block, and PoolBytes how many bytes they have.
	Pool      int
	PoolBytes int64
	// Moved is when the height last rose, by this node's clock.
	Moved time.Time
	// Barred says why the validator does not vote, or is nil.
	Barred error
	// Behind is how far this node's clock is behind the last proposal, where the validator did not vote for it because of that, and otherwise 0. It follows what others decide.
	Behind time.Duration
	// Waiting says what the node can't go on without, where evidence of misbehaviour in a block that was decided can't be checked; empty: nothing.
	Waiting string
	// Paused says that the disk has no room for the ledger, which goes on by itself when there is some, or is nil.
	Paused error
	// Failure says why CometBFT has stopped, or is nil.
	Failure error
}

// progress is when the height last rose, and how the fetching of what is lacking goes on.
type progress struct {
	mu     sync.Mutex
	height int64     // guarded by mu
	moved  time.Time // guarded by mu
	now    Progress  // guarded by mu
}

// enter begins a stage.
func (p *progress) enter(s Stage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Stage, p.now.Snapshot, p.now.Applied, p.now.Chunks = s, 0, 0, 0
}

// aim notes how far others are.
func (p *progress) aim(height int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Target = height
}

// fetching notes how far a snapshot is fetched.
func (p *progress) fetching(height int64, applied, chunks int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Snapshot, p.now.Applied, p.now.Chunks = height, applied, chunks
}

// note notes why the state is not fetched.
func (p *progress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Note = text
}

// warn notes what keeps blocks from coming, if anything does.
func (p *progress) warn(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Lacking = text
}

func (p *progress) report() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *progress) see(height int64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if height > p.height || p.moved.IsZero() {
		p.height, p.moved = height, now
	}
}

// again counts the time without a block from now on.
func (p *progress) again(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved = now
}

func (p *progress) last() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moved
}

// watch notes when the height rises, until ctx ends.
func (e *Engine) watch(ctx context.Context, p *parts) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for checked := false; ; {
		height := max(p.blocks.Height(), e.fetched.Load())
		e.progress.see(height, time.Now())
		if e.low(pauseBelow) {
			e.pause()
		}
		if trust := e.cfg.Sync.Trust; !checked && trust != nil && height >= trust.Height {
			checked = true
			e.compare(p, trust)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// compare fails the engine when the chain here has another block than the one that is trusted. A block that is not kept was compared when it was fetched, or when it was there.
func (e *Engine) compare(p *parts, t *Trust) {
	if meta := p.blocks.LoadBlockMeta(t.Height); meta != nil && !bytes.Equal(meta.BlockID.Hash, t.Hash[:]) {
		e.fail(otherBlock(t, meta.BlockID.Hash))
	}
}

// consensusBegan returns what is called when the consensus routine runs: from then on its end is either asked for or a failure.
func (e *Engine) consensusBegan(state *cs.State) func() {
	return func() {
		go func() {
			state.Wait()
			if state.IsRunning() { // nobody asked it to stop
				e.fail(errors.New("consensus stopped by itself"))
			}
		}()
	}
}

// Status returns how the engine is doing.
func (e *Engine) Status() Status {
	s := Status{Moved: e.progress.last()}
	_ = e.use(func(p *parts) error {
		s.Running = true
		s.Syncing = p.guard.syncing.Load()
		s.Height, s.Base = max(p.blocks.Height(), e.fetched.Load()), p.blocks.Base()
		s.Behind = time.Duration(p.guard.behind.Load())
		if s.Syncing {
			s.Fetching = e.progress.report()
		}
		s.Members = len(p.gate.Peers())
		s.Round = p.reactor.turn.attempts()
		s.Waiting = p.proofs.waitsFor()
		s.Pool, s.PoolBytes = p.pool.Size(), p.pool.SizeBytes()
		return nil
	})
	s.Failure, s.Paused = e.reason(), e.Paused()
	if e.cfg.Signer != nil {
		s.Barred = e.cfg.Signer.Barred()
		if text := e.probation.Load(); s.Barred != nil && text != nil {
			s.Barred = fmt.Errorf("%w; %s", s.Barred, *text)
		}
	}
	return s
}

// Health returns nil if the node keeps up with a chain that moves. An error is fault.Internal when CometBFT has stopped, which only a new start mends, and
// fault.Unavailable when the disk has no room, when blocks are still fetched, when a header is waited for, or when the chain does not move, as when too many validators are away.
func (e *Engine) Health() error {
	s := e.Status()
	switch {
	case s.Failure != nil:
		return fault.As(fault.Internal, s.Failure)
	case s.Paused != nil:
		return fault.As(fault.Unavailable, s.Paused)
	case !s.Running:
		return fault.New(fault.Unavailable, "the ledger is not running")
	case s.Waiting != "":
		return fault.New(fault.Unavailable, "the ledger is waiting: %s", s.Waiting)
	case s.Syncing:
		return fault.New(fault.Unavailable, "%s", s.fetchingText())
	case time.Since(s.Moved) > e.cfg.Timing.Stall:
		return fault.New(fault.Unavailable, "no block for %s: height %d, round %d, %d peers; more than two thirds of the voting power must be there",
			time.Since(s.Moved).Round(time.Second), s.Height, s.Round, s.Members)
	}
	return nil
}

// fetchingText says what is fetched.
func (s *Status) fetchingText() string {
	f := &s.Fetching
	text := fmt.Sprintf("the ledger is fetching blocks: height %d", s.Height)
	switch f.Stage {
	case StagePeers:
		text = "the ledger is asking other nodes how far they are"
	case StageState:
		text = "the ledger is looking for a snapshot of its state"
		if f.Snapshot > 0 {
			text = fmt.Sprintf("the ledger is fetching its state after block %d: %d of %d parts", f.Snapshot, f.Applied, f.Chunks)
		}
	}
	if f.Target > 0 {
		text += fmt.Sprintf(", others are at %d", f.Target)
	}
	text += fmt.Sprintf(", %d peers", s.Members)
	for _, more := range []string{f.Note, f.Lacking} {
		if more != "" {
			text += "; " + more
		}
	}
	return text
}

// Ready returns nil when the engine runs and has not failed, so that what is handed in may come into a block once enough of the voting power is there. Otherwise the kinds are those of Health.
func (e *Engine) Ready() error {
	if failure := e.reason(); failure != nil {
		return fault.As(fault.Internal, failure)
	}
	if paused := e.Paused(); paused != nil {
		return fault.As(fault.Unavailable, paused)
	}
	_, err := e.running()
	return err
}
