package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/bulk"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/payments"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// payer is an account that pays, with as many of its keys as must sign.
type payer struct {
	set  *ledger.KeySet
	keys []ed25519.PrivateKey
}

// paymentRun is an import under way.
type paymentRun struct {
	u       *ledgerUser
	o       paymentOptions
	network ledger.Hash
	height  int64 // of the last block when the run began
	list    []payment
	payers  map[ledger.AccountID]payer
	journal *payments.Journal
	batcher *batcher
	began   time.Time
	bar     *progressbar.ProgressBar // nil where nobody sees it

	mu      sync.Mutex
	entries map[int]payments.Entry // guarded by mu; by line
	paidNow int                    // guarded by mu
}

// payAll deals with every line that is not dealt with yet.
func (r *paymentRun) payAll(ctx context.Context) error {
	if err := r.openPayers(ctx); err != nil {
		return err
	}
	if a := r.u.app; a.stderrTerminal && !a.json {
		r.bar = progressbar.NewOptions64(int64(max(len(r.list), 1)),
			progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription("pay"), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetWidth(30), progressbar.OptionThrottle(65*time.Millisecond), progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionClearOnFinish())
		defer func() { _ = r.bar.Clear() }()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan *payment)
	var workers sync.WaitGroup
	for range min(r.o.concurrency, len(r.list)) {
		workers.Go(func() {
			for p := range work {
				if err := r.pay(ctx, p); err != nil {
					cancel(fmt.Errorf("line %d: %w", p.line, err)) // the first is the one that is told
				}
				if r.bar != nil {
					_ = r.bar.Add(1) // a terminal that cannot be written to is no reason to stop
				}
			}
		})
	}
	for i := range r.list {
		select {
		case work <- &r.list[i]:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

func (r *paymentRun) entry(line int) (payments.Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[line]
	return e, ok
}

// pay deals with a line.
func (r *paymentRun) pay(ctx context.Context, p *payment) error {
	e, known := r.entry(p.line)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !known:
		return r.begin(ctx, p)
	case e.Settled == nil && e.Network != r.network:
		return r.lookBack(ctx, p, e.Sent)
	case e.Settled == nil:
		return r.follow(ctx, p, e.Sent, true)
	case e.Settled.Failure == "":
		return nil
	case e.Settled.Height > 0: // it failed for good
		if r.o.retryFailed {
			return r.begin(ctx, p)
		}
		return nil
	case r.o.retryFailed && e.Network != r.network:
		return r.lookBack(ctx, p, e.Sent)
	case r.o.retryFailed: // it was refused, and may have come into a block in spite of that
		if err := r.send(e.Sent); err != nil {
			return err
		}
		return r.follow(ctx, p, e.Sent, true)
	}
	s, err := r.ask(ctx, e.Sent, e.Settled.ID)
	if err == nil {
		r.settle(s)
	}
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// lookBack deals with a line whose transaction was sent to a ledger that the present one goes on from. That one has ended: what is in none of its blocks never will be, and is valid nowhere else.
func (r *paymentRun) lookBack(ctx context.Context, p *payment, sent payments.Sent) error {
	t, err := ledger.ParseTransaction(sent.Transaction)
	if err != nil {
		return fault.New(fault.Internal, "what was kept of it: %w", err)
	}
	id := t.ID(sent.Network).String()
	var settled payments.Settled
	err = bulk.Retry(ctx, func(ctx context.Context) (err error) {
		settled, err = r.ask(ctx, sent, id)
		return transient(err)
	})
	switch kind := fault.KindOf(err); {
	case kind == fault.NotFound:
		return r.begin(ctx, p)
	case kind == fault.Conflict:
		return advise(fmt.Errorf("transaction %s was sent before another ledger went on from that: %w", id, err), "ask such a node, with --api")
	case err != nil:
		return r.u.app.ledgerFailed("ask for the transaction", id, err)
	}
	r.settle(settled)
	return nil
}

// send keeps a transaction: from then on it may be handed in.
func (r *paymentRun) send(s payments.Sent) error {
	if err := r.journal.Send(s); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries[s.Line] = payments.Entry{Sent: s}
	return nil
}

// begin makes the transaction of a line, keeps it, and hands it in.
func (r *paymentRun) begin(ctx context.Context, p *payment) error {
	body, err := newBody(r.o.validFor, ledger.MaxWindow, p.memo, []ledger.Operation{&p.op})
	if err != nil {
		return err
	}
	t, by := &ledger.Transaction{Body: body}, r.payers[p.op.From]
	for _, key := range by.keys {
		if err := t.Sign(r.network, p.op.From, by.set, key); err != nil {
			return err
		}
	}
	data, err := ledger.EncodeTransaction(t)
	if err != nil {
		return err
	}
	sent := payments.Sent{Line: p.line, Height: r.height, Transaction: data, Network: r.network}
	if err := r.send(sent); err != nil {
		return err
	}
	return r.follow(ctx, p, sent, false)
}

// errDead is for a transaction that is in no block and can come into none any more.
var errDead = errors.New("the transaction came into no block while it was valid")

// follow hands in a transaction, again for as long as that may help, until it is known what became of it. resumed says that it may have been handed in before.
func (r *paymentRun) follow(ctx context.Context, p *payment, sent payments.Sent, resumed bool) error {
	t, err := ledger.ParseTransaction(sent.Transaction)
	if err != nil {
		return fault.New(fault.Internal, "what was kept of it: %w", err)
	}
	id := t.ID(r.network).String()
	var settled payments.Settled
	err = bulk.Retry(ctx, func(ctx context.Context) (err error) {
		if resumed {
			if settled, err = r.lookUp(ctx, sent, id, t.ValidUntil); err == nil || fault.KindOf(err) != fault.NotFound {
				return err
			}
		}
		resumed = true
		settled, err = r.handIn(ctx, sent, id, t.ValidUntil)
		return err
	})
	switch {
	case errors.Is(err, errDead):
		return r.begin(ctx, p)
	case err != nil:
		return r.u.app.ledgerFailed("submit", id, err)
	}
	r.settle(settled)
	return nil
}

// lookUp asks what became of a transaction. It is fault.NotFound as long as it may be handed in, and errDead when it never comes into a block.
func (r *paymentRun) lookUp(ctx context.Context, sent payments.Sent, id string, validUntil int64) (payments.Settled, error) {
	// The time first: what is in no block when that is over never will be.
	l, err := r.u.client.Ledger(ctx)
	if err != nil {
		return payments.Settled{}, transient(err)
	}
	if l.Network != r.network.String() {
		return payments.Settled{}, advise(fault.New(fault.Conflict, "another ledger has gone on from %s meanwhile", r.network), "give the command once more: what is in the old one's blocks is looked up there")
	}
	s, err := r.ask(ctx, sent, id)
	if fault.KindOf(err) != fault.NotFound || l.Time.UnixMilli() < validUntil {
		return s, transient(err)
	}
	// A node that entered the network later than that does not know what was in earlier blocks.
	if height := min(sent.Height+1, l.Height); height > 0 {
		if _, err := r.u.client.Block(ctx, height); fault.KindOf(err) == fault.NotFound {
			return s, advise(fault.New(fault.Full, "the node does not keep block %d, in which transaction %s may be", height, id), "ask one that does, with --api")
		} else if err != nil {
			return s, transient(err)
		}
	}
	return s, errDead
}

// ask asks for the block that a transaction is in, of the ledger that it was made for.
func (r *paymentRun) ask(ctx context.Context, sent payments.Sent, id string) (payments.Settled, error) {
	found, err := r.u.client.TransactionIn(ctx, sent.Network.String(), id)
	if err != nil {
		return payments.Settled{}, err
	}
	return settledAs(sent.Line, &found.TransactionStatus), nil
}

func settledAs(line int, status *v1.TransactionStatus) payments.Settled {
	s := payments.Settled{Line: line, ID: status.ID, Height: status.Height}
	if !status.Applied {
		s.Failure = orDash(status.Failure)
	}
	return s
}

// handIn hands a transaction in, and returns what became of it.
func (r *paymentRun) handIn(ctx context.Context, sent payments.Sent, id string, validUntil int64) (payments.Settled, error) {
	status, err := r.batcher.handIn(ctx, sent.Transaction)
	kind := fault.KindOf(err)
	switch {
	case err == nil && status.ID != id:
		return payments.Settled{}, fault.New(fault.Internal, "transaction %s was handed in, and the node answers for transaction %s", id, printable(status.ID))
	case err == nil && status.State != v1.TransactionCommitted:
		return payments.Settled{}, fault.New(fault.Unavailable, "transaction %s is in no block yet", id)
	case err == nil:
		return settledAs(sent.Line, &status), nil
	case kind == fault.Invalid && time.Now().UnixMilli() >= validUntil:
		return payments.Settled{}, fault.New(fault.Unavailable, "%w; it may be in a block all the same until the ledger's time has come so far", err)
	case kind != fault.Conflict && kind != fault.NotFound:
		return payments.Settled{}, transient(err)
	}
	// It is refused since it would fail, or since it is in a block already.
	s, askErr := r.ask(ctx, sent, id)
	if fault.KindOf(askErr) == fault.NotFound {
		return payments.Settled{Line: sent.Line, ID: id, Failure: printable(err.Error())}, nil
	}
	return s, transient(askErr)
}

// transient makes errors that may pass by themselves fault.Unavailable, which is tried again.
func transient(err error) error {
	if err != nil && (lostConnection(err) || fault.KindOf(err) == fault.Full) {
		return fault.As(fault.Unavailable, err)
	}
	return err
}

func (r *paymentRun) settle(s payments.Settled) {
	r.journal.Settle(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[s.Line]
	e.Settled = &s
	if s.Failure == "" {
		e.Transaction = nil
		r.paidNow++
	}
	r.entries[s.Line] = e
}

// paymentSummary is what --json prints of an import.
type paymentSummary struct {
	File     string          `json:"file"`
	Complete bool            `json:"complete"` // every line is paid
	Lines    int             `json:"lines"`
	Paid     int             `json:"paid"`
	PaidNow  int             `json:"paid_now"` // by this run
	Failed   int             `json:"failed"`
	Open     int             `json:"open"` // not sent, or not known what became of it
	Seconds  float64         `json:"seconds"`
	State    string          `json:"state"`
	Failures []failedPayment `json:"failures"`
}

type failedPayment struct {
	Line        int    `json:"line"`
	Transaction string `json:"transaction"`
	Height      int64  `json:"height,omitempty"` // absent of one that the node refused
	Failure     string `json:"failure"`
}

func (r *paymentRun) summary() paymentSummary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := paymentSummary{File: r.o.file, Lines: len(r.list), PaidNow: r.paidNow, Seconds: time.Since(r.began).Seconds(), State: r.o.state, Failures: []failedPayment{}}
	for i := range r.list {
		switch e := r.entries[r.list[i].line]; {
		case e.Settled == nil:
			s.Open++
		case e.Settled.Failure == "":
			s.Paid++
		default:
			s.Failed++
			s.Failures = append(s.Failures, failedPayment{e.Line, e.Settled.ID, e.Settled.Height, e.Settled.Failure})
		}
	}
	s.Complete = s.Paid == s.Lines
	return s
}

// finish tells what came of the import.
func (r *paymentRun) finish(err, closeErr error) error {
	a, s := r.u.app, r.summary()
	if a.json {
		if err := a.printJSON(s); err != nil {
			return err
		}
	} else {
		r.printSummary(&s)
	}
	switch err = errors.Join(err, closeErr); {
	case err != nil:
		return advise(fmt.Errorf("import %s: stopped with %s left: %w", quoteKey(r.o.file), plural(s.Open, "line"), err), "the same command goes on, and pays nothing twice")
	case s.Failed > 0:
		err = fault.New(fault.Conflict, "import %s: %s of %d failed and did nothing", quoteKey(r.o.file), plural(s.Failed, "line"), s.Lines)
		return advise(err, "the same command with --retry-failed tries them again")
	}
	return nil
}

func (r *paymentRun) printSummary(s *paymentSummary) {
	a := r.u.app
	for _, f := range s.Failures[:min(len(s.Failures), bulk.MaxBadShown)] {
		where := "refused"
		if f.Height > 0 {
			where = fmt.Sprintf("in block %d", f.Height)
		}
		a.notef("%s:%d: transaction %s, %s: %s", s.File, f.Line, f.Transaction, where, oneLine(f.Failure))
	}
	if more := len(s.Failures) - bulk.MaxBadShown; more > 0 {
		a.notef("and %s more, which --json lists", plural(more, "failed line"))
	}
	a.printf("paid %d of %s", s.Paid, plural(s.Lines, "line"))
	if s.PaidNow < s.Paid {
		a.printf(", %d of them now", s.PaidNow)
	}
	a.printf(" in %.1f s", s.Seconds)
	if s.Failed > 0 {
		a.printf("; %d failed", s.Failed)
	}
	if s.Open > 0 {
		a.printf("; %d open", s.Open)
	}
	a.printf("\n")
}
