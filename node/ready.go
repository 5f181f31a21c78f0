package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// absentPatience is how long a node that is ready waits for holders that don't answer before it takes its records for ready without them, as far as they can be spared.
	// Peers that restart at the same time are back by then.
	absentPatience = 2 * time.Minute
)

// Ready returns a channel that is closed once the node serves: it runs, its ledger too if it has one, and it has met the other peers, or knows of none
// to meet, or has waited for one in vain.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// watchReadiness closes ready when its time has come, unless ctx ends before.
func (n *Node) watchReadiness(ctx context.Context) error {
	defer func() {
		if ctx.Err() == nil {
			n.readyAt = time.Now()
			close(n.ready)
		}
	}()
	if n.ledger != nil {
		select {
		case <-n.ledger.Started():
		case <-ctx.Done():
			return nil
		}
	}
	return waited(routing.AwaitJoined(ctx, n.membership, n.expectsPeers))
}

// waited makes the end of the node no failure of what waited.
func waited(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// expectsPeers tells whether the node was told of others, which mDNS alone does not.
func (n *Node) expectsPeers() bool {
	return len(n.cfg.Bootstrap) > 0 || len(n.cfg.DNS) > 0 || len(n.View().Members) > 1
}

func (n *Node) othersAlive() int {
	return n.View().Count(routing.Alive) - 1
}

// readyError returns nil once the node is ready and as long as its ledger has not failed, and otherwise why not.
func (n *Node) readyError() error {
	select {
	case <-n.ready:
		return n.ledgerError()
	default:
		return fault.New(fault.Unavailable, "the node is looking for the first of its peers")
	}
}

// recordsReadyError returns nil once the node is ready, has been voted in if it is to be a validator, and has seen all that it holds in sync and at full count, from then on as long as it is ready; before, it
// says what is missing.
func (n *Node) recordsReadyError() error {
	if err := n.readyError(); err != nil {
		return err
	}
	if n.enrolment != nil {
		if err := n.enrolment.Seated(); err != nil {
			return err
		}
	}
	if n.settled.Load() {
		return nil
	}
	s, err := n.store.Settlement()
	if err != nil {
		return err
	}
	lenient := time.Since(n.readyAt) >= absentPatience
	if s.Settled(lenient) {
		n.settled.Store(true)
		return nil
	}
	return fault.New(fault.Unavailable, "%s", unsettled(&s, lenient))
}

// unsettled says what is missing.
func unsettled(s *records.Settlement, lenient bool) string {
	var parts []string
	if s.Unsynced > 0 {
		parts = append(parts, fmt.Sprintf("%d are not in sync yet", s.Unsynced))
	}
	if s.Open > 0 {
		parts = append(parts, fmt.Sprintf("%d are not seen at full count yet", s.Open))
	}
	if s.Spared > 0 && !lenient {
		parts = append(parts, fmt.Sprintf("%d of these lack holders that don't answer, and are not waited for longer than %s", s.Spared, absentPatience))
	}
	return fmt.Sprintf("%d records of this node may be below full count: of its %d shards %s", s.Below, s.Held, strings.Join(parts, ", "))
}
