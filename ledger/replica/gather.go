package replica

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
)

const (
	// gatherTime is how long the first transaction of an envelope waits for others, unless there are gatherEnough, and gatherBusy how long it does where busyCount of this node wait for a block already: most come into the next block all the same,
	// and an envelope costs each node a message and signatures that are checked by themselves, which many transactions share for less.
	gatherTime   = 3 * time.Millisecond
	gatherBusy   = 20 * time.Millisecond
	busyCount    = 16
	gatherEnough = 256
	// gatherMost is the most transactions of an envelope, and gatherBytes about the most bytes: an envelope is checked as a whole before it is passed on, and others wait for it meanwhile.
	gatherMost  = 512
	gatherBytes = 256 << 10
	// fullPause is how long to wait when no envelope is taken because too many wait.
	fullPause = 50 * time.Millisecond
)

// wakeGatherer tells the gatherer that something waits.
func (r *Replica) wakeGatherer() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// gather puts what is handed in into envelopes until ctx ends.
func (r *Replica) gather(ctx context.Context) {
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		timer.Reset(r.patience())
		for over := false; !over && r.waiting() < gatherEnough; {
			select {
			case <-ctx.Done():
				return
			case <-r.wake:
			case <-timer.C:
				over = true
			}
		}
		for batch := r.next(); len(batch) > 0; batch = r.next() {
			if full := r.send(ctx, batch); full {
				timer.Reset(fullPause)
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
			}
		}
	}
}

// patience returns how long what is handed in waits for more.
func (r *Replica) patience() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count-len(r.queue) >= busyCount {
		return gatherBusy
	}
	return gatherTime
}

func (r *Replica) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue)
}

// next takes from the queue what goes into one envelope.
func (r *Replica) next() []*Submission {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, bytes, total := 0, 0, uint32(0)
	for _, s := range r.queue {
		room, c := application.Room(len(s.data)), uint32(s.transaction.Cost())
		if n > 0 && (n == gatherMost || bytes+room > gatherBytes || total+c > r.cfg.Genesis.Limits.BlockCost) {
			break
		}
		n, bytes, total = n+1, bytes+room, total+c
	}
	batch := slices.Clone(r.queue[:n])
	for _, s := range batch {
		s.queued, s.sent = false, clock()
		s.trail.enter(stageHandOver)
		s.trail.shared(n - 1)
	}
	r.queue = r.queue[n:]
	if len(r.queue) == 0 {
		r.queue = nil
	}
	return batch
}

// send checks signatures and passes on those whose are good. It reports whether too much waits to be agreed on.
func (r *Replica) send(ctx context.Context, batch []*Submission) (full bool) {
	transactions := make([]*ledger.Transaction, len(batch))
	for i, s := range batch {
		transactions[i] = s.transaction
	}
	good, data := batch[:0:0], make([][]byte, 0, len(batch))
	for i, err := range ledger.VerifySignatures(r.network, transactions) {
		if err != nil {
			r.refuse(err, batch[i])
			continue
		}
		good, data = append(good, batch[i]), append(data, batch[i].data)
	}
	r.metrics.checked(len(good), len(batch)-len(good))
	if len(good) == 0 {
		return false
	}
	transactions = transactions[:0]
	for _, s := range good {
		transactions = append(transactions, s.transaction)
	}
	envelope := application.EncodeEnvelope(rand.Uint64(), data)
	r.app.AddChecked(envelope, transactions)
	return r.sent(good, r.engine.Submit(ctx, envelope))
}

// sent deals with the answer to an envelope.
func (r *Replica) sent(list []*Submission, err error) (full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch kind := fault.KindOf(err); {
	case err == nil || kind == fault.Conflict: // the very same envelope is on its way already
		for _, s := range list {
			s.trail.enter(stageBlock)
			r.take(s, nil)
		}
	case kind == fault.Full && !errors.Is(err, context.Canceled):
		r.putBack(list)
		return true
	case kind == fault.Invalid: // all of it has become useless since it was looked at
		for _, s := range list {
			r.passedOver(s, s.transaction.ValidFrom(), r.reason(s, err))
		}
	default:
		for _, s := range list {
			r.end(s, Place{}, err)
		}
	}
	return false
}

// reason returns why a submission may be in no block. The answer to an envelope speaks of the first transaction in it only.
func (r *Replica) reason(s *Submission, answer error) error {
	if _, err := r.app.Try(s.transaction); err != nil {
		return err
	}
	return answer
}

// putBack puts what was not taken in front of the queue, while r.mu is held, unless it is there again or is over meanwhile.
func (r *Replica) putBack(list []*Submission) {
	list = slices.DeleteFunc(list, func(s *Submission) bool { return s.queued || !slices.Contains(r.pending[s.ID], s) })
	for _, s := range list {
		s.queued = true
		s.trail.enter(stageGather)
	}
	r.queue = append(list, r.queue...)
}
