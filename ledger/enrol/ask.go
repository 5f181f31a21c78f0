package enrol

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// askAll asks those of the others that speak the protocol, for half of the time after which an answer is too old: peers that never answer must not make the answers of others old.
func (m *Member) askAll(ctx context.Context, state *State) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Patience/2)
	defer cancel()
	var asking sync.WaitGroup
	slots := make(chan struct{}, maxAsking)
	for _, id := range m.asked() {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			if err := m.ask(ctx, id, state); err != nil && ctx.Err() == nil {
				m.cfg.Logger.Debug("validators: no claim", "peer", id, "error", err)
			}
		})
	}
	asking.Wait()
}

// asked returns the peers to ask in this round: first those that have proven the secret, which no stranger takes the turn of, and then others, each time in another order.
func (m *Member) asked() []peer.ID {
	var proven, others []peer.ID
	for _, id := range m.cfg.Peers() {
		if id == m.cfg.Host.ID() {
			continue
		}
		if spoken, err := m.cfg.Host.Peerstore().SupportsProtocols(id, m.protocol); err != nil || len(spoken) == 0 {
			continue
		}
		if m.hasProven(id) {
			proven = append(proven, id)
		} else {
			others = append(others, id)
		}
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	list := append(proven, others...)
	return list[:min(len(list), maxAsked)]
}

// hasProven tells whether a peer has proven the secret not long ago.
func (m *Member) hasProven(id peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.heard[id]
	return ok
}

// ask asks one peer and notes what it says.
func (m *Member) ask(ctx context.Context, to peer.ID, state *State) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	n, err := newNonce()
	if err != nil {
		return err
	}
	self := m.cfg.Host.ID()
	response, err := m.client.Call(ctx, to, m.prover.question(self, to, n))
	if err != nil {
		return err
	}
	a, err := m.prover.readAnswer(to, self, n, response)
	if err != nil {
		m.warn(to, err)
		return err
	}
	return m.hear(a, state)
}

// warn tells of a peer with another secret, once: it is asked every second.
func (m *Member) warn(of peer.ID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if fault.KindOf(err) == fault.Forbidden && !m.warned[of] && len(m.warned) < maxLimited {
		m.warned[of] = true
		m.cfg.Logger.Warn("validators: a peer that votes by a secret does not have this node's", "peer", of, "error", err)
	}
}

// hear notes a claim, and who is in which seat. Seats that others remember are taken over for validators that have power only: what is remembered of the rest is of no use.
func (m *Member) hear(a *answer, state *State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	learned := []entry{{a.Key, a.Seat}}
	for _, e := range a.Book {
		if slices.ContainsFunc(state.Validators, func(v Validator) bool { return v.Key == e.Key }) {
			learned = append(learned, e)
		}
	}
	if err := m.book.learn(learned...); err != nil {
		return err
	}
	if seat, known := m.book.seats[a.Key]; known && seat != a.Seat {
		return fault.New(fault.Conflict, "it claims seat %d with the key of seat %d", a.Seat, seat)
	}
	m.heard[a.Peer] = heard{a.Claim, time.Now()}
	return nil
}

// act proposes a change or votes for it, as far as that is this node's to do.
func (m *Member) act(ctx context.Context, state *State, s *situation, d *decision, rounds int) error {
	own := slices.IndexFunc(state.Validators, func(v Validator) bool { return v.Key == m.cfg.Key && v.Operator == m.cfg.Operator })
	if own < 0 || !state.Ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	i := slices.IndexFunc(state.Proposals, func(p Proposal) bool { return p.Change == *d.change })
	switch {
	case i >= 0 && slices.Contains(state.Proposals[i].Votes, m.cfg.Operator) && !passes(state.Proposals[i].Votes, state.Validators):
		return nil // it waits for the others
	case i >= 0:
		m.cfg.Logger.Info("validators: vote", "change", d.why)
		return m.cfg.Ledger.Submit(ctx, &ledger.Vote{By: m.cfg.Operator, Proposal: state.Proposals[i].ID})
	case proposer(s, m.cfg.Key) || rounds >= lateRounds:
		m.cfg.Logger.Info("validators: propose", "change", d.why)
		return m.cfg.Ledger.Submit(ctx, &ledger.Propose{By: m.cfg.Operator, Proposal: ledger.Proposal{SetPower: d.change}})
	}
	return nil
}

// passes tells whether those who voted have become enough since, because others lost their power: a vote that is repeated then puts the proposal into force.
func passes(votes []ledger.AccountID, validators []Validator) bool {
	var yes, total uint64
	for _, v := range validators {
		total += v.Power
		if slices.Contains(votes, v.Operator) {
			yes += v.Power
		}
	}
	return safe(yes, total)
}
