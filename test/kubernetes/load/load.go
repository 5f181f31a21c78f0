package load

import (
	"context"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/sim/history"
)

// A Load is callers at work. Its methods are for one goroutine.
type Load struct {
	cfg     Config
	start   time.Time
	keys    *keyring
	history history.History
	callers []*caller
	phases  []phase
	stopped time.Duration // 0 while the callers work

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// A phase is a stretch of a load, until the next one begins.
type phase struct {
	name string
	from time.Duration // since the load's start
}

// Start puts the load on until Stop is called or ctx ends. Its first phase has the name given. Stop must be called in any case.
func Start(ctx context.Context, cfg Config, phaseName string) (*Load, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	l := &Load{cfg: cfg, start: time.Now(), keys: newKeyring(cfg.Seed), phases: []phase{{name: phaseName}}}
	for i := range cfg.Callers {
		c, err := newCaller(l, i)
		if err != nil {
			return nil, err
		}
		l.callers = append(l.callers, c)
	}
	ctx, l.cancel = context.WithCancel(ctx)
	for _, c := range l.callers {
		l.wg.Go(func() { c.run(ctx) })
	}
	return l, nil
}

// Seed returns what decides which operations are made.
func (l *Load) Seed() uint64 { return l.cfg.Seed }

// Phase ends the phase that was, and begins another.
func (l *Load) Phase(name string) { l.phases = append(l.phases, phase{name: name, from: l.now()}) }

// Stop ends the load once the operations under way have ended. It may be called again.
func (l *Load) Stop() {
	if l.stopped != 0 {
		return
	}
	l.cancel()
	l.wg.Wait()
	l.stopped = l.now()
}

// now returns the time since the load's start, which is the history's.
func (l *Load) now() time.Duration { return time.Since(l.start) }
