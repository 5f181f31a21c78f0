package ledgerbench

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/fault"
)

// Names of the loads.
const (
	LoadSingle = "one by one"
	LoadHalf   = "one by one, half of that rate"
	LoadLight  = "one by one, 8 in flight"
	LoadBatch  = "in batches"
)

const (
	// lightCallers are those of LoadLight.
	lightCallers = 8
	// maxPerNode bounds the callers of one node, which refuses more than 1,024 requests at once.
	maxPerNode = 960
	// warmUp bounds the time for which something is used before it is measured, which is else a fourth of that.
	warmUp = 3 * time.Second
	// preparedRate is for how many transfers a second there are signed ones at the start of a load. Later ones are signed while it goes on.
	preparedRate, preparedBatchRate = 5_000, 10_000
	maxPrepared                     = 600_000
)

// Figures are what a load did.
type Figures struct {
	Load string `json:"load"`
	// Callers is how many requests were in flight at once, at most.
	Callers int `json:"callers"`
	// Transfers are those that were applied, within Seconds.
	Transfers int     `json:"transfers"`
	Seconds   float64 `json:"seconds"`
	Rate      float64 `json:"transfers_per_second"`
	// CPU is the processor time of all nodes for each transfer, in microseconds, and Generator that of the program that hands them in.
	CPU       float64 `json:"cpu_us"`
	Generator float64 `json:"generator_cpu_us,omitempty"`
	// P50 and P99 are how long a request takes until all that it handed in is in a block, in milliseconds.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// Blocks are how many were made meanwhile.
	Blocks int64 `json:"blocks"`
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// figures returns those of operations of each transfers.
func figures(load string, r measure.Result, each int) Figures {
	f := Figures{Load: load, Transfers: (r.Operations - r.Failures) * each, Seconds: r.Elapsed.Seconds(), P50: milliseconds(r.P50), P99: milliseconds(r.P99)}
	if f.Transfers > 0 {
		f.Rate = float64(f.Transfers) / f.Seconds
		f.CPU = float64(r.CPU.Microseconds()) / float64(f.Transfers)
	}
	return f
}

// submit hands in a transfer at a node and waits until it was applied.
func (n *network) submit(ctx context.Context, at int, transaction []byte) error {
	s, err := n.clients[at].SubmitTransaction(ctx, transaction, v1.SubmitOptions{})
	if err != nil {
		return err
	}
	return applied(&s)
}

func applied(s *v1.TransactionStatus) error {
	if !s.Applied {
		return fault.New(fault.Internal, "transaction %s in block %d was not applied: %s", s.ID, s.Height, s.Failure)
	}
	return nil
}

// submitBatch hands in several at once.
func (n *network) submitBatch(ctx context.Context, at int, transactions [][]byte) error {
	list, err := n.clients[at].SubmitBatch(ctx, transactions, v1.SubmitOptions{})
	if err != nil {
		return err
	}
	for i := range list {
		if err = list[i].Err; err == nil {
			err = applied(&list[i].Status)
		}
		if err != nil {
			return fmt.Errorf("transaction %d of a batch: %w", i+1, err)
		}
	}
	return nil
}

// session is a network under load, with the accounts that pay.
type session struct {
	cfg       *Config
	network   *network
	voters    int // transfers are handed in at the first so many nodes
	payers    *payers
	transfers int // that were applied so far
	report    *Report
}

// run puts the network under a load of operations that move each transfers, once for a while before it is measured.
func (s *session) run(ctx context.Context, load string, each int, l measure.Load) (Figures, error) {
	l.Callers = min(l.Callers, maxPerNode*s.voters)
	l.CPU = s.network.cpu
	l.Do = func(ctx context.Context, i int) error {
		list, err := s.payers.next(each)
		if err != nil {
			return err
		}
		if load == LoadBatch {
			return s.network.submitBatch(ctx, i%s.voters, list)
		}
		return s.network.submit(ctx, i%s.voters, list[0])
	}
	rate := preparedRate
	if load == LoadBatch {
		rate = preparedBatchRate
	}
	if err := s.payers.prepare(ctx, min(int(float64(rate)*l.Duration.Seconds()), maxPrepared)); err != nil {
		return Figures{}, err
	}
	warm := l
	warm.Duration = min(l.Duration/4, warmUp)
	warmed, err := measure.Run(ctx, warm)
	if err != nil {
		return Figures{}, err
	}
	before, err := s.network.clients[0].Ledger(ctx)
	if err != nil {
		return Figures{}, err
	}
	own, err := measure.CPU()
	if err != nil {
		return Figures{}, err
	}
	result, err := measure.Run(ctx, l)
	if err != nil {
		return Figures{}, err
	}
	ownAfter, err := measure.CPU()
	if err != nil {
		return Figures{}, err
	}
	after, err := s.network.clients[0].Ledger(ctx)
	if err != nil {
		return Figures{}, err
	}
	f := figures(load, result, each)
	f.Callers = l.Callers
	s.transfers += f.Transfers + (warmed.Operations-warmed.Failures)*each
	f.Blocks = after.Height - before.Height
	if f.Transfers > 0 {
		f.Generator = float64((ownAfter - own).Microseconds()) / float64(f.Transfers)
	}
	if result.Failure != nil {
		s.report.note("%s: %d of %d requests failed, such as: %v", load, result.Failures, result.Operations, result.Failure)
	}
	return f, nil
}

// single measures transfers that are handed in one by one.
func (s *session) single(ctx context.Context, load string, callers int, rate float64) (Figures, error) {
	return s.run(ctx, load, 1, measure.Load{Callers: callers, Duration: s.cfg.Duration, Rate: rate})
}

// batches measures transfers that are handed in many at a time.
func (s *session) batches(ctx context.Context) (Figures, error) {
	return s.run(ctx, LoadBatch, s.cfg.Batch, measure.Load{Callers: s.cfg.Batchers, Duration: s.cfg.Duration})
}
