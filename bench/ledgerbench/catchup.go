package ledgerbench

import (
	"context"
	"fmt"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
)

// catchUpTimeout bounds how long a new node may take.
const catchUpTimeout = 30 * time.Minute

// CatchUp is how a new node has come to know what the others know.
type CatchUp struct {
	// Transfers are those that it has carried out, in Blocks, from the start of its process on.
	Transfers int     `json:"transfers"`
	Blocks    int64   `json:"blocks"`
	Seconds   float64 `json:"seconds"`
	// CPU is its processor time for each, in microseconds.
	CPU float64 `json:"cpu_us"`
}

// catchUp makes transfers until there are enough, and then starts a node that knows nothing.
func (s *session) catchUp(ctx context.Context) (*CatchUp, error) {
	if missing := s.cfg.CatchUp - s.transfers; missing > 0 {
		batches := (missing + s.cfg.Batch - 1) / s.cfg.Batch
		result, err := measure.Run(ctx, measure.Load{Callers: s.cfg.Batchers, Duration: catchUpTimeout, Operations: batches, CPU: s.network.cpu, Do: func(ctx context.Context, i int) error {
			list, err := s.payers.next(s.cfg.Batch)
			if err != nil {
				return err
			}
			return s.network.submitBatch(ctx, i%s.voters, list)
		}})
		if err != nil {
			return nil, err
		}
		if s.transfers += (result.Operations - result.Failures) * s.cfg.Batch; result.Failure != nil {
			return nil, fmt.Errorf("make %d transfers: %w", s.cfg.CatchUp, result.Failure)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	l, err := s.network.clients[0].Ledger(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.network.start(ctx); err != nil {
		return nil, fmt.Errorf("start a new node: %w", err)
	}
	last := len(s.network.clients) - 1
	if err := s.network.until(ctx, func() bool {
		own, err := s.network.clients[last].Ledger(ctx)
		return err == nil && own.Height >= l.Height
	}); err != nil {
		return nil, fmt.Errorf("catch up: %w", err)
	}
	done := &CatchUp{Transfers: s.transfers, Blocks: l.Height, Seconds: time.Since(began).Seconds()}
	usage, err := s.network.nodes[last:].Usage()
	if done.Transfers > 0 {
		done.CPU = float64(usage.CPU.Microseconds()) / float64(done.Transfers)
	}
	return done, err
}
