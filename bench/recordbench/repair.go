package recordbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// repairSize is the size of the values that are stored before peers are lost; repairCallers store them.
	repairSize    = 4096
	repairCallers = 32
	// repairTimeout bounds the storing.
	repairTimeout = 2 * time.Minute
)

// Loss is what the loss of one peer with its disk cost.
type Loss struct {
	Peers   int   `json:"peers"` // those left
	Records int   `json:"records_held"`
	Held    int64 `json:"bytes_held"` // of keys and values, by the peer that was lost
	// Moved are the bytes that the others sent one another to replace its copies.
	Moved int64 `json:"bytes_moved"`
	// Seconds is the time from the loss to the full count of every record; the death has to be found out in it.
	Seconds float64 `json:"seconds"`
}

// Ratio is the bytes moved over the bytes held.
func (l Loss) Ratio() float64 {
	if l.Held == 0 {
		return 0
	}
	return float64(l.Moved) / float64(l.Held)
}

// repair loses peers one after the other, each for good, once the copies of the one before are replaced.
func (c *Config) repair(ctx context.Context, report *Report) (err error) {
	losses := min(c.Losses, c.Peers-c.Copies)
	if losses < 1 {
		return nil
	}
	c.progress(fmt.Sprintf("moot, %d peers of which some are lost", c.Peers))
	m, err := openMoot(ctx, mootOptions{dir: c.Dir, peers: c.Peers, copies: c.Copies})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := m.fill(ctx, c.LossRecords); err != nil {
		return err
	}
	for range losses {
		loss, err := m.lose(ctx)
		if err != nil {
			return fmt.Errorf("lose a peer: %w", err)
		}
		report.Losses = append(report.Losses, loss)
	}
	return nil
}

// fill stores what is going to be repaired.
func (m *moot) fill(ctx context.Context, records int) error {
	v := values{prefix: "repair", size: repairSize}
	result, err := measure.Run(ctx, measure.Load{
		Callers: repairCallers, Duration: repairTimeout, Operations: records,
		Do: func(ctx context.Context, i int) error { return m.Put(ctx, i%len(m.peers), v.key(i), v.value(i)) },
	})
	switch {
	case err != nil:
		return err
	case result.Failure != nil:
		return fmt.Errorf("store what is to be repaired: %w", result.Failure)
	}
	return m.awaitFull(ctx)
}

// lose ends one peer and waits until its copies are replaced.
func (m *moot) lose(ctx context.Context) (l Loss, err error) {
	victim := m.peers[len(m.peers)-1]
	if l.Records, l.Held, err = victim.holds(ctx); err != nil {
		return l, err
	}
	id := victim.host.ID()
	if err := m.kill(len(m.peers) - 1); err != nil {
		return l, err
	}
	l.Peers = len(m.peers)
	began := time.Now()
	before, err := m.repairBytes() // those of the peer that is gone do not count
	if err != nil {
		return l, err
	}
	if err := m.await(ctx, "the loss is not noticed everywhere", func(p *mootPeer) bool {
		member, known := p.membership.View().Member(id)
		return !known || member.State == routing.Dead
	}); err != nil {
		return l, err
	}
	if err := m.awaitFull(ctx); err != nil {
		return l, err
	}
	l.Seconds = time.Since(began).Seconds()
	after, err := m.repairBytes()
	l.Moved = int64(after - before)
	return l, err
}

// holds returns how many records are on a peer's disk, and how many bytes of keys and values.
func (p *mootPeer) holds(ctx context.Context) (n int, bytes int64, err error) {
	for cursor := ""; ; {
		page, err := p.store.List(ctx, records.ListOptions{Local: true, Cursor: cursor})
		if err != nil {
			return n, bytes, err
		}
		for _, e := range page.Entries {
			n, bytes = n+1, bytes+int64(len(e.Key))+e.Size
		}
		if cursor = page.Cursor; cursor == "" {
			return n, bytes, nil
		}
	}
}

// awaitFull waits until the stores are in sync and every record has all its copies.
func (m *moot) awaitFull(ctx context.Context) error {
	if err := m.awaitStores(ctx); err != nil {
		return err
	}
	return m.await(ctx, "not all records have all copies", func(p *mootPeer) bool {
		s := p.store.Stats()
		return s.Below == 0 && s.Unreachable == 0
	})
}
