package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// DefaultDrainTimeout is how long a node takes to hand over what it holds unless it is told otherwise.
const DefaultDrainTimeout = 5 * time.Minute

// errStoppedLeaving is the cause of the end of a departure that somebody stopped.
var errStoppedLeaving = errors.New("it was stopped")

// departure is how far a node has come with leaving for good. It happens once.
type departure struct {
	begin chan time.Duration // takes the one request, which Run carries out
	over  chan struct{}      // closed at the end, after err is set

	mu      sync.Mutex
	begun   bool                    // guarded by mu
	left    int64                   // guarded by mu; records left to hand over, as told last
	told    bool                    // guarded by mu; left is known
	changed chan struct{}           // guarded by mu; closed when left changes
	stop    context.CancelCauseFunc // guarded by mu; nil until it is under way
	stopped bool                    // guarded by mu
	err     error                   // guarded by mu; why not everything was handed over
}

func newDeparture() *departure {
	return &departure{begin: make(chan time.Duration, 1), over: make(chan struct{}), changed: make(chan struct{})}
}

// request begins the departure unless it has begun.
func (d *departure) request(drain time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.begun {
		d.begun = true
		d.begin <- drain
	}
}

func (d *departure) hasBegun() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun
}

// progress notes how many records are left.
func (d *departure) progress(left int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told && d.left == left {
		return
	}
	d.left, d.told = left, true
	close(d.changed)
	d.changed = make(chan struct{})
}

// state returns what is left, if that is known, and a channel that is closed at the next change.
func (d *departure) state() (left int64, told bool, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left, d.told, d.changed
}

// bound returns the context of a departure that begins now, which ends after drain, and when somebody stops it.
func (d *departure) bound(ctx context.Context, drain time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, drain)
	ctx, stop := context.WithCancelCause(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = stop
	if d.stopped {
		stop(errStoppedLeaving)
	}
	return ctx, func() {
		stop(nil)
		cancel()
	}
}

// end says what came of it.
func (d *departure) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	close(d.over)
}

// Leave makes the node hand over all that it holds and end for good: Run then returns. progress is told now and then, from the calling goroutine, how many records are left. The
// departure goes on when ctx ends, and a later call joins it; that of the first call counts for drain, 0 being DefaultDrainTimeout. It is fault.Unavailable when not everything was
// handed over in time: the node ends all the same, others take it for dead, and its home may be run again. When nobody else is alive the node goes on as it is.
func (n *Node) Leave(ctx context.Context, drain time.Duration, progress func(left int64)) error {
	d := n.departure
	if drain == 0 {
		drain = DefaultDrainTimeout
	}
	if !d.hasBegun() && n.othersAlive() == 0 {
		return fault.New(fault.Unavailable, "leave: no other peer is alive that could take over what this node holds: stop it instead, or start others first")
	}
	d.request(drain)
	for told := int64(-1); ; {
		left, known, changed := d.state()
		if known && left != told {
			progress(left)
			told = left
		}
		select {
		case <-changed:
		case <-d.over:
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// StopLeaving ends a Leave under way, as if its time were up. Without one it is fault.Conflict.
func (n *Node) StopLeaving() error {
	d := n.departure
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.begun {
		return fault.New(fault.Conflict, "this node is not leaving")
	}
	d.stopped = true
	if d.stop != nil {
		d.stop(errStoppedLeaving)
	}
	return nil
}

// depart waits for the request to leave, carries it out, and then ends the serving of the node. A stop of the node ends it too.
func (n *Node) depart(ctx context.Context, stopServing context.CancelFunc) {
	var drain time.Duration
	select {
	case <-ctx.Done():
		n.departure.end(fault.New(fault.Unavailable, "leave: the node has stopped"))
		return
	case drain = <-n.departure.begin:
	}
	defer stopServing()
	began := time.Now()
	retired := n.retire(ctx, drain/2)
	err := n.handOver(ctx, drain-time.Since(began))
	switch {
	case retired != nil && err != nil:
		err = fmt.Errorf("%w; %w", retired, err) // one line
	case retired != nil:
		err = retired
	}
	if err == nil {
		err = markLeft(n.cfg.Home, time.Now())
	}
	n.departure.end(err)
}

// retire has the node voted out if it is one of the validators that vote one another in. Whatever becomes of it, the records are handed over afterwards.
func (n *Node) retire(ctx context.Context, patience time.Duration) error {
	if n.enrolment == nil {
		return nil
	}
	ctx, done := n.departure.bound(ctx, patience)
	defer done()
	n.departure.progress(n.store.Stats().Stored)
	n.cfg.Logger.Info("leaving for good: asking the other validators to vote this one out", "patience", patience)
	if err := n.enrolment.Retire(ctx); err != nil {
		n.cfg.Logger.Warn("leaving for good: the validator has its power still", "error", err)
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}

func (n *Node) handOver(ctx context.Context, drain time.Duration) error {
	ctx, done := n.departure.bound(ctx, drain)
	defer done()
	n.cfg.Logger.Info("leaving for good: handing over what this node holds", "drain_timeout", drain)
	n.announce("departure", n.membership.AnnounceLeave)
	err := n.store.Leave(ctx, n.departure.progress)
	left, _, _ := n.departure.state()
	switch {
	case err == nil:
		n.announce("end", n.membership.AnnounceLeft)
		return nil
	case errors.Is(context.Cause(ctx), errStoppedLeaving):
		err = errStoppedLeaving
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		err = fmt.Errorf("the %s given are over", drain)
	}
	return fault.New(fault.Unavailable, "leave: %d records are not handed over: %w", left, err)
}

// announce tells others of the node's departure. Who is not told learns of it from those who are.
func (n *Node) announce(what string, tell func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	if err := tell(ctx); err != nil {
		n.cfg.Logger.Debug("announce "+what, "error", err)
	}
}

// hasLeft tells whether the departure is over and was complete.
func (n *Node) hasLeft() bool {
	select {
	case <-n.departure.over:
	default:
		return false
	}
	n.departure.mu.Lock()
	defer n.departure.mu.Unlock()
	return n.departure.begun && n.departure.err == nil
}

// departureError is why a departure that was begun did not hand everything over; nil when there was none.
func (n *Node) departureError() error {
	n.departure.mu.Lock()
	defer n.departure.mu.Unlock()
	if !n.departure.begun {
		return nil
	}
	return n.departure.err
}
