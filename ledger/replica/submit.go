package replica

import (
	"bytes"
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
)

const (
	// maxPending bounds how many transactions were handed in on this node and are in no block yet, and maxPendingBytes their bytes: those of a block or of some thousand transfers are far below.
	maxPending      = 50_000
	maxPendingBytes = 128 << 20
	// sweepTime is how often what is too late is looked for, in block time, and keepTime how long a transaction that may wait for months is waited for here.
	sweepTime = 10 * time.Second
	keepTime  = ledger.MaxWindow
	// renewTime is after how long a transaction that is in no block is put into another envelope. Nodes pass one on once: those that fetched blocks then, or had no room, do not have it.
	renewTime = time.Minute
	// maxEarly is how often a transaction may be in a block whose time is too early for it, and earlyPause how long it then waits, twice as long each time: ten seconds in all. The block after a pause has
	// the time before it, the one after that the present; further tries are for clocks that differ.
	maxEarly   = 10
	earlyPause = 10 * time.Millisecond
)

// Place is where a transaction is, and what became of it there.
type Place struct {
	Height int64
	// Time is the block's, in milliseconds since 1970.
	Time   int64
	Result ledger.Result
}

// Submission is a transaction that was handed in on this node.
type Submission struct {
	// ID is the transaction's.
	ID ledger.TransactionID

	data        []byte
	transaction *ledger.Transaction
	since       int64         // ms
	sent        int64         // when it was last put into an envelope, ms, guarded by Replica.mu
	queued      bool          // whether it is in Replica.queue, guarded by Replica.mu
	early       int           // how often it came too early, guarded by Replica.mu
	trail       *trail        // guarded by Replica.mu
	taken       chan struct{} // closed when it was decided whether it is passed on
	refused     error         // why not; set before taken is closed
	done        chan struct{} // closed when it is known what became of it
	place       Place         // set before done is closed
	err         error         // why it will be in no block; set before done is closed
}

// Done is closed when it is known what became of the transaction.
func (s *Submission) Done() <-chan struct{} { return s.done }

// Wait waits until it is known what became of the transaction. That it failed in a block is no error: see Place.Result. Errors are of the kinds of Submit, and fault.Unavailable when ctx ends before: it may
// still come into a block until it is too late for it.
func (s *Submission) Wait(ctx context.Context) (Place, error) {
	select {
	case <-s.done:
		return s.place, s.err
	case <-ctx.Done():
		return Place{}, fault.New(fault.Unavailable, "transaction %s is in no block yet, and may still come into one until %s: more than two thirds of the voting power must be there",
			s.ID, time.UnixMilli(s.transaction.ValidUntil).UTC().Format(time.RFC3339))
	}
}

// Taken waits until this node has checked the transaction and passed it on. Errors are of the kinds of Submit, and fault.Unavailable when ctx ends before.
func (s *Submission) Taken(ctx context.Context) error {
	select {
	case <-s.taken:
		return s.refused
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "transaction %s was not passed on: %w", s.ID, context.Cause(ctx))
	}
}

// Submit hands in an encoded transaction, and returns when this node has checked it and passed it on. One that is in a block already, or was handed in before, is no error: the submission tells what became of it.
//
// Errors are fault.Invalid for what can be in no block, fault.Forbidden where the keys are not those of the account, fault.Conflict where another took its slot or the state does not allow what it does,
// fault.NotFound where what it names is not there, fault.TooLarge, fault.Full when too much waits, and fault.Unavailable when the ledger does not go on.
func (r *Replica) Submit(ctx context.Context, data []byte) (*Submission, error) {
	s, err := r.Enqueue(ctx, data)
	if err != nil {
		return nil, err
	}
	return s, s.Taken(ctx)
}

// Enqueue is Submit without the wait: whether signatures are good turns out later, as an error of Taken and Wait. It keeps data. What is recorded of the transaction is so beneath ctx, which means nothing else.
func (r *Replica) Enqueue(ctx context.Context, data []byte) (_ *Submission, err error) {
	trail := newTrail(ctx)
	_, span := tracing.Start(ctx, "submit")
	defer tracing.End(span, &err)
	t, err := ledger.ParseTransaction(data)
	if err != nil {
		return nil, err
	}
	s := &Submission{
		ID: t.ID(r.network), data: data, transaction: t, since: clock(), taken: make(chan struct{}), done: make(chan struct{}), trail: trail,
	}
	if span.IsRecording() {
		span.SetAttributes(attribute.String("moot.ledger.transaction", s.ID.String()))
	}
	known, waiting := r.known(s)
	if known != nil {
		return known, nil
	}
	refused := r.check(s, waiting > 0)
	if refused == nil {
		return r.enqueue(s)
	}
	// Perhaps because it is in a block. Who looks for it there first may miss the block that comes before the check.
	place, err := r.Find(s.ID)
	if err != nil {
		return nil, refused
	}
	s.place = place
	close(s.taken)
	close(s.done)
	return s, nil
}

// known returns the submission of the same bytes that waits already, and how many wait.
func (r *Replica) known(s *Submission) (*Submission, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.same(s.ID, s.data), r.count
}

// same returns the submission of some bytes that waits, while r.mu is held. An id is not enough: it says nothing about signatures, and who sends another's transaction with wrong ones must not share a
// verdict with it.
func (r *Replica) same(id ledger.TransactionID, data []byte) *Submission {
	for _, s := range r.pending[id] {
		if bytes.Equal(s.data, data) {
			return s
		}
	}
	return nil
}

// check says what would become of a transaction in the next block, which has room for any (ledger.MinBlockCost). One that would fail is refused, unless others wait here that may help it: then the block decides.
func (r *Replica) check(s *Submission, others bool) error {
	if err := r.engine.Ready(); err != nil {
		return fault.As(fault.Unavailable, err)
	}
	result, err := r.app.Try(s.transaction)
	if err != nil || others {
		return err
	}
	return ResultError(result, s.transaction)
}

func (r *Replica) enqueue(s *Submission) (*Submission, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over { // it has since it was asked whether the ledger runs
		return nil, fault.New(fault.Unavailable, "transaction %s was not passed on: this node stops", s.ID)
	}
	if known := r.same(s.ID, s.data); known != nil {
		return known, nil
	}
	if r.count >= maxPending || r.bytes+len(s.data) > maxPendingBytes {
		return nil, fault.New(fault.Full, "%d transactions wait for a block already: try again later", r.count)
	}
	r.pending[s.ID] = append(r.pending[s.ID], s)
	r.count, r.bytes = r.count+1, r.bytes+len(s.data)
	r.again(s)
	return s, nil
}

// again puts a submission into the queue, while r.mu is held. It is there once at most, however often it was in a block that had no room: each time it is put into an envelope it may be so again.
func (r *Replica) again(s *Submission) {
	if !s.queued {
		s.queued = true
		s.trail.enter(stageGather)
		r.queue = append(r.queue, s)
		r.wakeGatherer()
	}
}

// refuse ends submissions that were not passed on.
func (r *Replica) refuse(err error, list ...*Submission) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range list {
		r.end(s, Place{}, err)
	}
}

// end tells what became of a submission, while r.mu is held.
func (r *Replica) end(s *Submission, place Place, err error) {
	list := r.pending[s.ID]
	i := slices.Index(list, s)
	if i < 0 {
		return
	}
	r.count, r.bytes = r.count-1, r.bytes-len(s.data)
	if len(list) == 1 {
		delete(r.pending, s.ID)
	} else {
		r.pending[s.ID] = slices.Concat(list[:i], list[i+1:]) // who calls may be reading the list
	}
	s.place, s.err = place, err
	s.trail.end(place, err)
	r.take(s, err)
	close(s.done)
}

// take notes that a submission was passed on, or why not, while r.mu is held.
func (r *Replica) take(s *Submission, refused error) {
	select {
	case <-s.taken:
	default:
		s.refused = refused
		close(s.taken)
	}
}

// committed is told of each block.
func (r *Replica) committed(b application.Block) {
	r.metrics.carriedOut(b)
	r.witness.committed(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.moved)
	r.moved = make(chan struct{})
	if r.count == 0 {
		return
	}
	for _, result := range b.Results {
		for _, s := range r.pending[result.ID] {
			r.end(s, Place{b.Height, b.Time, result}, nil)
		}
	}
	for _, p := range b.PassedOver {
		if len(r.pending[p.ID]) == 0 {
			continue
		}
		if s := r.same(p.ID, ledger.AppendTransaction(nil, p.Transaction)); s != nil {
			r.passedOver(s, b.Time, p.Reason)
		}
	}
	r.sweep(b.Time)
}

// passedOver deals with a transaction of this node that came into a block of some time and was not carried out, while r.mu is held.
func (r *Replica) passedOver(s *Submission, at int64, reason error) {
	if place, err := r.Find(s.ID); err == nil { // another node had brought it
		r.end(s, place, nil)
		return
	}
	switch {
	case fault.KindOf(reason) == fault.Full:
		r.again(s)
	case s.transaction.ValidFrom() > at && s.early < maxEarly:
		r.later(s)
	default:
		r.end(s, Place{}, reason)
	}
}

// clock returns the node's time in milliseconds since 1970.
func clock() int64 { return time.Now().UnixMilli() }

// sweep ends what is too late for any block, and has tried again what is in none for long, while r.mu is held.
func (r *Replica) sweep(time int64) {
	if time-r.swept < sweepTime.Milliseconds() {
		return
	}
	r.swept = time
	now := clock()
	for _, list := range r.pending {
		for _, s := range list {
			switch {
			case s.transaction.ValidUntil <= time:
				r.end(s, Place{}, fault.New(fault.Unavailable, "transaction %s came into no block while it was valid", s.ID))
			case time-s.since > keepTime.Milliseconds():
				r.end(s, Place{}, fault.New(fault.Unavailable, "transaction %s is in no block yet, and is no longer waited for here", s.ID))
			case s.sent > 0 && now-s.sent > renewTime.Milliseconds():
				r.again(s)
			}
		}
	}
}

// abandon ends what still waits when the node stops.
func (r *Replica) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, list := range r.pending {
		for _, s := range list {
			r.end(s, Place{}, fault.New(fault.Unavailable, "transaction %s is in no block yet, and this node stops", s.ID))
		}
	}
	r.queue, r.pauses, r.over = nil, nil, true
}

// ResultError returns nil for a transaction that was applied, and otherwise what was wrong with which operation: fault.NotFound where what it names is not there, else fault.Conflict.
func ResultError(r ledger.Result, t *ledger.Transaction) error {
	kind := fault.Conflict
	switch r.Code {
	case ledger.Applied:
		return nil
	case ledger.NoAsset, ledger.NoMember, ledger.NoProposal, ledger.NoValidator, ledger.NoInvite:
		kind = fault.NotFound
	}
	what := ""
	if int(r.Operation) < len(t.Operations) {
		what = " (" + t.Operations[r.Operation].Kind().String() + ")"
	}
	return fault.New(kind, "operation %d%s: %s", int(r.Operation)+1, what, r.Code)
}
