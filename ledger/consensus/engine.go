package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// stopTime is how long CometBFT may take to stop: it finishes what it writes, for which a busy disk may need seconds. When its consensus has failed, a part
	// may wait for it for ever, and is not waited for longer than failedStopTime.
	stopTime       = 30 * time.Second
	failedStopTime = 3 * time.Second
	// drainTime is how long goroutines of CometBFT that nothing waits for may need to notice that it has stopped: they sleep querySleep up to four times.
	drainTime = 4*querySleep + 100*time.Millisecond
)

// An Engine takes part in a chain while it runs. Its methods may be called from many goroutines, also before and after that.
type Engine struct {
	cfg   Config
	clock func() time.Time // time.Now but in tests

	used    atomic.Bool
	begun   sync.Once
	started chan struct{} // closed by begun when the parts are there for the first time
	failed  chan struct{} // closed by fail

	mu    sync.RWMutex // shared while the databases are in use
	parts *parts       // nil unless the databases are open, guarded by mu

	failing sync.Mutex    // one of its own: what fails may be using the databases
	failure error         // guarded by failing
	ending  bool          // guarded by failing; see cutOff
	full    bool          // guarded by failing; the engine pauses for want of room
	paused  chan struct{} // guarded by failing; closed when it pauses, and then another

	kept      types.Txs              // what waited for a block when the parts were made anew; used by Run alone
	looked    bool                   // whether the others were looked at before the validator begins; used by Run alone
	sound     atomic.Bool            // the failure is not one of CometBFT's: its parts can be waited for
	probation atomic.Pointer[string] // what a barred validator waits for; nil: nothing is known of that

	roll     roll
	progress progress
	fetched  atomic.Int64 // the height of the state that the node began with; 0: the genesis
}

// New returns an engine that does nothing until Run.
func New(cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg.withDefaults(), clock: time.Now, started: make(chan struct{}), failed: make(chan struct{}), paused: make(chan struct{})}, nil
}

// Run takes part in the chain until ctx ends, and closes what it opened. It can be called once. Two goroutines of CometBFT's write-ahead log are left behind,
// which wait for a timer and for SIGHUP: CometBFT has no way to end them, and asks for that signal, so that it no longer ends a program that does not ask
// for it too.
//
// When CometBFT stops for an error of its own, Run does not return: it stops what is left of CometBFT, and blocks can be read until ctx ends. Then, or when the
// start fails, Run returns the error; otherwise nil. While the disk has no room, CometBFT is stopped as well, and made anew once there is some; and it is made anew when the
// signer's bar was lifted.
func (e *Engine) Run(ctx context.Context) error {
	if e.used.Swap(true) {
		return fault.New(fault.Conflict, "consensus: the engine was run before")
	}
	unregister := e.register()
	defer unregister()
	for first := true; ; first = false {
		next, err := e.run(ctx)
		if err != nil && !first && ctx.Err() == nil && e.waitable(err) { // there was room, and it is gone before the start was over
			e.pause()
			if e.awaitRoom(ctx, nil) {
				next = roomy
			}
		}
		switch {
		case next == over && err != nil && !first && ctx.Err() == nil: // a node goes on without its ledger
			e.fail(err)
			<-ctx.Done()
			return e.reason()
		case next == over:
			return errors.Join(e.reason(), err)
		case next == roomy:
			e.goOn()
		case next == resumed:
			e.looked = true
		}
		if err != nil { // the files are as after a crash
			e.cfg.Logger.Warn("ledger: closed otherwise than it should be", "error", err)
		}
	}
}

// sequel is what follows a run of the parts.
type sequel int

const (
	over    sequel = iota // nothing: the node stops
	roomy                 // the parts are made anew, since the disk has room again
	resumed               // the parts are made anew, since a bar was lifted: CometBFT does not try again what was not signed
)

// run makes the parts and takes part with them, until ctx ends or they are to be made anew. It leaves nothing open.
func (e *Engine) run(ctx context.Context) (next sequel, err error) {
	p, err := e.assemble(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return over, nil
		}
		return over, fmt.Errorf("start the ledger: %w", err)
	}
	p.take(e.kept)
	e.kept = nil
	e.mu.Lock()
	e.parts = p
	e.mu.Unlock()
	questions := e.launch(p)
	next, err = e.follow(ctx, p)
	if questions != nil {
		err = errors.Join(err, questions.Close())
	}

	e.mu.Lock() // nobody reads from here on
	e.parts = nil
	e.mu.Unlock()
	switch next {
	case resumed:
		e.kept = p.pool.ReapMaxTxs(-1)
	case roomy:
		e.kept = p.spreader.handedIn() // what failed without room may hold the pool's lock for ever
	}
	return next, errors.Join(err, p.close())
}

// launch has the parts take part, unless there is a reason not to, and returns what answers others' questions, or nil.
func (e *Engine) launch(p *parts) *rpc.Server {
	questions, err := e.serveQuestions()
	if err == nil {
		err = e.cfg.Follows(p.first.LastBlockHeight + 1)
	}
	switch {
	case err != nil:
		e.fail(err)
	case e.reason() != nil: // it has failed while the parts were made anew
	case e.low(pauseBelow):
		e.pause()
	default:
		if err := p.start(); err != nil {
			e.fail(err)
		}
	}
	e.begun.Do(func() { close(e.started) })
	return questions
}

// follow does what there is to do while the parts take part, and stops them when that is over. It returns when ctx ends, or when the parts are to be made anew.
func (e *Engine) follow(ctx context.Context, p *parts) (next sequel, err error) {
	defer context.AfterFunc(ctx, p.store.NoWait)()
	work, stop := context.WithCancel(ctx)
	defer stop()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	attend, watch := e.attend(work, p), new(errgroup.Group)
	watch.Go(func() error { e.watch(watching, p); return nil })
	hurry := make(<-chan struct{}) // closed when CometBFT may wait for itself, or for the disk
	select {
	case <-ctx.Done():
	case <-e.failed:
		if p.guard.finished.Load() {
			p.handOver(ctx)
		}
		if !e.sound.Load() {
			hurry = e.failed
		}
	case <-e.pausing():
		next, hurry = roomy, e.pausing()
	case <-p.renewed:
		next, hurry = resumed, e.pausing() // the disk may get full meanwhile
	}
	stop()
	_ = attend.Wait()
	err = p.stop(hurry)
	stopWatching()
	_ = watch.Wait()
	if next == resumed && e.Paused() != nil {
		next = roomy
	}
	switch {
	case next == resumed && err == nil:
		return resumed, nil
	case next == roomy:
		if err != nil { // what waits for the disk did not stop in time
			e.cfg.Logger.Debug("ledger: CometBFT goes on stopping", "error", err)
		}
		if !e.awaitRoom(ctx, p) {
			return over, nil
		}
		time.Sleep(drainTime)
		return roomy, nil
	case next == resumed: // it can't be made anew beside what goes on
		e.fail(err)
	}
	<-ctx.Done()
	return over, err
}

// attend begins what goes on beside CometBFT until ctx ends.
func (e *Engine) attend(ctx context.Context, p *parts) *errgroup.Group {
	group := new(errgroup.Group)
	if p.fresh {
		group.Go(func() error { e.begin(ctx, p); return nil })
	} else {
		e.progress.enter(StageBlocks)
		if p.guard.syncing.Load() && !p.held {
			group.Go(func() error { p.blocksync.meet(ctx); return nil })
		}
	}
	for _, part := range []func(context.Context, *parts){e.followTargets, e.keepPeers, e.watchOthers} {
		group.Go(func() error { part(ctx, p); return nil })
	}
	group.Go(func() error { p.spreader.run(ctx); return nil })
	return group
}

// renew has the parts made anew.
func (p *parts) renew() { p.renewOnce.Do(func() { close(p.renewed) }) }

// take puts what waited for a block into the pool. What the application does not take any more is gone.
func (p *parts) take(waiting types.Txs) {
	for _, tx := range waiting {
		if submit(p.pool, tx) == nil {
			p.spreader.spread(tx)
		}
	}
}

// start begins to take part.
func (p *parts) start() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("start CometBFT: panic: %v", r)
		}
	}()
	if err := p.swtch.Start(); err != nil {
		return fmt.Errorf("start CometBFT: %w", err)
	}
	if !p.guard.syncing.Load() { // a chain of one
		p.reactor.began()
	}
	return nil
}

// stop ends all that uses the databases. The peers are told first, by the end of their sessions.
func (p *parts) stop(failed <-chan struct{}) error {
	p.endWaits()
	err := errors.Join(p.gate.Close(), p.stopSwitch(failed), p.bus.Stop(), p.conns.Stop(), p.proofs.asker.close())
	time.Sleep(drainTime) // a bound, not a guess: who comes later finds guardedDB
	return err
}

// stopSwitch ends CometBFT's parts, and gives up waiting for them after a while.
func (p *parts) stopSwitch(failed <-chan struct{}) error {
	stopped := make(chan error, 1)
	p.stopped = make(chan struct{})
	go func() {
		defer close(p.stopped)
		if p.swtch.IsRunning() {
			stopped <- p.swtch.Stop()
		} else {
			stopped <- nil
		}
	}()
	for late := time.After(stopTime); ; {
		select {
		case err := <-stopped:
			return err
		case <-failed:
			failed, late = nil, time.After(failedStopTime)
		case <-late:
			return errors.New("CometBFT did not stop in time")
		}
	}
}

// close closes the databases.
func (p *parts) close() error { return p.store.Close() }

// fail marks the engine as failed; only the first reason counts. It pauses where the reason is a full disk, and waiting mends it.
func (e *Engine) fail(err error) {
	e.failing.Lock()
	defer e.failing.Unlock()
	if (e.full || isFull(err)) && e.cfg.Broken() == nil {
		e.pauseLocked()
		return
	}
	if e.failure == nil && !e.ending {
		e.failure = err
		e.cfg.Logger.Error("the ledger has failed", "error", err)
		close(e.failed)
	}
}

// cutOff notes that the end of the engine cut off what CometBFT can't do without. It takes that for a failure, which it is not.
func (e *Engine) cutOff() {
	e.failing.Lock()
	defer e.failing.Unlock()
	e.ending = true
}

// reason returns why the engine has failed, or nil.
func (e *Engine) reason() error {
	e.failing.Lock()
	defer e.failing.Unlock()
	return e.failure
}

// Started is closed when the engine has opened its databases and begun to take part.
func (e *Engine) Started() <-chan struct{} { return e.started }

// Failed is closed when CometBFT has stopped for an error of its own; Health says which.
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// use calls f while the databases are open.
func (e *Engine) use(f func(p *parts) error) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.parts == nil {
		return fault.New(fault.Unavailable, "the ledger is not running")
	}
	return f(e.parts)
}

// LatestHeight returns the height of the newest block, or 0.
func (e *Engine) LatestHeight() (height int64) {
	_ = e.use(func(p *parts) error {
		height = p.blocks.Height()
		return nil
	})
	return height
}

// Members returns the peers that take part with this node at the moment.
func (e *Engine) Members() (ids []peer.ID) {
	_ = e.use(func(p *parts) error {
		ids = p.gate.Peers()
		return nil
	})
	return ids
}
