package records

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// minHedge and maxHedge bound how long a read waits for a holder before it asks one more.
	minHedge = 10 * time.Millisecond
	maxHedge = 200 * time.Millisecond
	// hedgeFactor times the usual latency is how long that is in between.
	hedgeFactor = 4
)

// latency is the smoothed time that other peers take to answer. The zero value knows nothing yet.
type latency struct{ smoothed atomic.Int64 } // nanoseconds

func (l *latency) observe(d time.Duration) {
	const weight = 8 // of the past
	if old := l.smoothed.Load(); old == 0 {
		l.smoothed.Store(int64(d))
	} else {
		l.smoothed.Store(old + (int64(d)-old)/weight) // a lost race loses one observation
	}
}

// hedge returns how long a read waits before it asks another holder.
func (l *latency) hedge() time.Duration {
	usual := time.Duration(l.smoothed.Load())
	if usual == 0 {
		return maxHedge / 2
	}
	return min(max(hedgeFactor*usual, minHedge), maxHedge)
}

// call makes a request to a member. A refusal is an error.
func (s *Store) call(ctx context.Context, m *routing.Member, to op, data []byte) (_ response, err error) {
	ctx, span := tracing.Call(ctx, to.callName(), m.ID)
	defer tracing.End(span, &err)
	if s.cfg.Host.Network().Connectedness(m.ID) != network.Connected && len(m.Addrs) > 0 {
		s.cfg.Host.Peerstore().AddAddrs(m.ID, m.Addrs, peerstore.TempAddrTTL)
	}
	start := time.Now()
	answer, err := s.calls.Call(ctx, m.ID, data)
	if err != nil {
		return response{}, err
	}
	s.latency.observe(time.Since(start))
	resp, err := unmarshalResponse(to, answer)
	if err != nil {
		s.conduct.blame(m.ID, malformed)
		return response{}, fmt.Errorf("answer of %s: %w", m.ID, err)
	}
	return resp, resp.err()
}

// ask makes a request to a member, which may be this peer itself. encoded is req as it goes over the wire.
func (s *Store) ask(ctx context.Context, m *routing.Member, req *request, encoded []byte) (resp response, err error) {
	if m.ID != s.self {
		return s.call(ctx, m, req.op, encoded)
	}
	ctx, span := tracing.Start(ctx, req.op.serveName())
	defer tracing.End(span, &err)
	resp = s.holder.answer(ctx, s.self, req)
	return resp, resp.err()
}

// askOrder sorts members for a read: this peer first, then those alive by round trip, then those that may not answer.
func (s *Store) askOrder(t *topology, members []int) []int {
	order := slices.Clone(members)
	cost := func(i int) time.Duration {
		m := t.member(i)
		switch {
		case m.ID == s.self:
			return -1
		case m.State == routing.Suspect:
			return time.Hour
		case m.State != routing.Alive: // away
			return 2 * time.Hour
		case m.RTT <= 0:
			return time.Minute // unknown
		}
		return min(m.RTT, time.Minute)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(cost(a), cost(b)) })
	return order
}

// An outcome is what became of asking one member.
type outcome[T any] struct {
	member int
	answer T
	err    error
}

// gather asks members in order until need of them have answered: as many as are needed at once, and one more whenever one fails or none has answered for a
// while. It returns all outcomes by then; what is still under way is cancelled. extra marks the requests that only make
// up the number, as opposed to the first and to those that stand in for one that failed or is slow.
func gather[T any](s *Store, ctx context.Context, t *topology, order []int, need int, ask func(ctx context.Context, member int, extra bool) (T, error)) []outcome[T] {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := gathering[T]{ctx: ctx, results: make(chan outcome[T], len(order)), order: order, ask: ask, s: s, t: t}
	g.start(need)
	hedge := s.latency.hedge()
	timer := time.NewTimer(hedge)
	defer timer.Stop()
	var outcomes []outcome[T]
	for answered := 0; answered < need && len(outcomes) < g.started; {
		select {
		case o := <-g.results:
			outcomes = append(outcomes, o)
			if o.err == nil {
				answered++
			} else {
				g.start(1)
			}
		case <-timer.C:
			g.start(1)
			timer.Reset(hedge)
		case <-ctx.Done():
			return g.ready(outcomes)
		}
	}
	return outcomes
}

// ready adds the outcomes that are there already: on a machine that stood still for a while, time is up before they were looked at.
func (g *gathering[T]) ready(outcomes []outcome[T]) []outcome[T] {
	for {
		select {
		case o := <-g.results:
			outcomes = append(outcomes, o)
		default:
			return outcomes
		}
	}
}

// gathering is the state of a gather.
type gathering[T any] struct {
	s       *Store
	t       *topology
	ctx     context.Context
	order   []int
	started int
	results chan outcome[T] // has room for every member
	ask     func(ctx context.Context, member int, extra bool) (T, error)
}

// start asks the next n members. This peer is asked last and in place, which takes no time, so that the others work meanwhile.
func (g *gathering[T]) start(n int) {
	first := g.started
	g.started = min(first+n, len(g.order))
	self := -1
	for i := first; i < g.started; i++ {
		if g.t.id(g.order[i]) == g.s.self {
			self = i
			continue
		}
		g.s.tasks.Go(func() { g.run(i, n) })
	}
	if self >= 0 {
		g.run(self, n)
	}
}

func (g *gathering[T]) run(i, together int) {
	extra := i > 0 && i < together // one of the first group, and not its first
	answer, err := g.ask(g.ctx, g.order[i], extra)
	g.results <- outcome[T]{g.order[i], answer, err}
}
