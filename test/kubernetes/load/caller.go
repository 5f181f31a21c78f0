package load

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/sim/history"
)

// retryPause is how long a caller waits after an attempt that failed: a refused connection fails at once.
const retryPause = 50 * time.Millisecond

// A sample is an operation as its caller lived through it, all attempts together.
type sample struct {
	kind     history.Kind
	from, to time.Duration // since the load's start
	failure  string        // the sort of the last attempt's failure; empty: it went well
}

// A failure is an attempt that failed.
type failure struct {
	at   time.Duration
	sort string
	text string
}

// A caller makes one operation after the other. Its results are read when it has ended.
type caller struct {
	load    *Load
	id      int
	rng     *rand.Rand
	targets *targets
	session string // token of the caller's session

	count  int            // writes begun
	fresh  int            // fresh keys begun
	newest map[string]int // by key, the number of the newest acknowledged write

	samples  []sample
	failures []failure
}

func newCaller(l *Load, id int) (*caller, error) {
	t, err := newTargets(&l.cfg, id)
	if err != nil {
		return nil, err
	}
	return &caller{load: l, id: id, rng: rand.New(rand.NewPCG(l.cfg.Seed, uint64(id))), targets: t, newest: map[string]int{}}, nil
}

// run makes operations at the caller's share of the rate until ctx ends. Times at which the caller was still waiting are left out, not made up for.
func (c *caller) run(ctx context.Context) {
	defer c.targets.close()
	cfg := &c.load.cfg
	interval := time.Duration(float64(time.Second) * float64(cfg.Callers) / (cfg.PutRate + cfg.GetRate))
	if !pause(ctx, interval*time.Duration(c.id)/time.Duration(cfg.Callers)) {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		c.one(context.WithoutCancel(ctx))
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// pause waits, and reports whether ctx is not over.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// one makes one operation.
func (c *caller) one(ctx context.Context) {
	cfg := &c.load.cfg
	key, ok := c.load.keys.pick(c.rng, c.id)
	if !ok || c.rng.Float64()*(cfg.PutRate+cfg.GetRate) < cfg.PutRate {
		c.put(ctx)
		return
	}
	c.try(ctx, history.Op{Kind: history.Get, Key: key})
}

// put writes the next value of one of the caller's keys.
func (c *caller) put(ctx context.Context) {
	w := write{caller: c.id, number: c.count}
	c.count++
	switch n := c.rng.IntN(10); {
	case n < 4:
		w.key = c.load.keys.fresh(c.id, c.fresh)
		c.fresh++
	case n < 8:
		w.key = c.load.keys.own(c.id, c.rng.IntN(ownKeys))
	default:
		w.key = c.load.keys.shared(c.rng.IntN(sharedKeys))
	}
	if c.try(ctx, history.Op{Kind: history.Put, Key: w.key, Value: w.value(c.load.cfg.ValueSize)}) {
		c.newest[w.key] = w.number
		c.load.keys.acknowledged(w.key)
	}
}

// try makes attempts at an operation until one goes well or the caller's patience is over.
func (c *caller) try(ctx context.Context, op history.Op) bool {
	ctx, cancel := context.WithTimeout(ctx, c.load.cfg.Patience)
	defer cancel()
	s := sample{kind: op.Kind, from: c.load.now()}
	for {
		err := c.attempt(ctx, op)
		s.to = c.load.now()
		if err == nil {
			s.failure = ""
			break
		}
		s.failure = c.failures[len(c.failures)-1].sort
		if hopeless(err) || !pause(ctx, retryPause) {
			break
		}
		c.targets.failed()
	}
	c.samples = append(c.samples, s)
	return s.failure == ""
}

// attempt asks the current target once and adds what it answers to the history.
func (c *caller) attempt(ctx context.Context, op history.Op) error {
	ctx, cancel := context.WithTimeout(ctx, c.load.cfg.AttemptTimeout)
	defer cancel()
	target, url := c.targets.client()
	// Behind one address there may be several nodes: the operation's Node stays open.
	op.Session, op.Call = c.id+1, int64(c.load.now())
	err := ask(ctx, target, &op, &c.session)
	op.Return = int64(c.load.now())
	c.load.history.Add(op)
	if err != nil {
		c.failures = append(c.failures, failure{at: time.Duration(op.Return), sort: sortOf(ctx, err), text: op.Kind.String() + " at " + url + ": " + err.Error()})
	}
	return err
}

// ask makes the operation at a node and writes down the outcome.
func ask(ctx context.Context, node *client.Client, op *history.Op, session *string) error {
	var token string
	var err error
	switch op.Kind {
	case history.Put:
		written, failed := node.PutRecord(ctx, op.Key, []byte(op.Value), client.PutOptions{Session: *session})
		op.Version, token, err = written.Version, written.Session, failed
	default:
		record, failed := node.GetRecord(ctx, op.Key, client.GetOptions{Session: *session})
		op.Value, op.Version, token, err = string(record.Value), record.Version, record.Session, failed
	}
	if token != "" {
		*session = token
	}
	switch {
	case err == nil:
		op.Outcome = history.OK
	case op.Kind == history.Get && fault.KindOf(err) == fault.NotFound:
		op.Outcome = history.NotFound
	}
	return err
}
