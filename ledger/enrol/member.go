package enrol

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// protocolName is that of questions and answers, behind the network's id.
	protocolName = "enrol/1"
	// DefaultInterval is the time between two rounds of questions, and DefaultPatience how old an answer may be and still count: who does not answer for so long is taken for absent.
	DefaultInterval = time.Second
	DefaultPatience = 10 * time.Second
	// maxAsked is how many peers are asked in one round, of those that speak the protocol, and maxAsking how many at a time.
	maxAsked  = MaxSeats
	maxAsking = 16
	// askTime bounds one question, and actTime what is done about a decision.
	askTime = 3 * time.Second
	actTime = 20 * time.Second
	// stableRounds is in how many rounds the same change must have followed before this node is for it, and lateRounds after how many it proposes it although that was another's turn.
	stableRounds = 2
	lateRounds   = 8
)

// State is what the ledger says.
type State struct {
	Height int64
	// Ready says that this node has the blocks, and votes if it has power.
	Ready bool
	// InForce says that the validators are those who decide on the next block.
	InForce    bool
	Validators []Validator
	Proposals  []Proposal
}

// Proposal is one that is open, for a validator's power.
type Proposal struct {
	Change ledger.SetPower
	ID     ledger.Hash
	Votes  []ledger.AccountID
}

// Ledger is the node's copy of the ledger.
type Ledger interface {
	// State returns what the ledger says now. It is fault.Unavailable when it does not run.
	State() (State, error)
	// Submit has the operator do something, and returns when it is in a block and was applied. What comes into no block within some seconds never does.
	Submit(ctx context.Context, op ledger.Operation) error
}

// Config configures a Member.
type Config struct {
	Host host.Host
	// Network is the id of the ledger, in the form of a network's: the validators of different ledgers don't know one another, though the ledgers be of one network.
	Network swarm.NetworkID
	Ledger  Ledger
	// Peers returns the peers that are there.
	Peers func() []peer.ID
	// Secret is what all have in common, MinSecret to MaxSecret bytes.
	Secret []byte
	// Seat is the node's, below MaxSeats. Key is its validator's, and Operator the account that speaks for it.
	Seat     int
	Key      ledger.PublicKey
	Operator ledger.AccountID
	// Seats returns how many seats there are to be, 1 to MaxSeats. While it fails nothing is changed.
	Seats func(ctx context.Context) (int, error)
	// Book is the file in which the node remembers who is in which seat.
	Book string
	// Interval and Patience are as their defaults say, which 0 stands for.
	Interval, Patience time.Duration
	// Logger may be nil.
	Logger *slog.Logger
}

// Validate returns a fault.Invalid error when no member can be made of the configuration.
func (c *Config) Validate() error {
	switch {
	case len(c.Secret) < MinSecret || len(c.Secret) > MaxSecret:
		return fault.New(fault.Invalid, "the validators' secret has %d bytes: want %d to %d", len(c.Secret), MinSecret, MaxSecret)
	case c.Seat < 0 || c.Seat >= MaxSeats:
		return fault.New(fault.Invalid, "seat %d: want 0 to %d", c.Seat, MaxSeats-1)
	case c.Host == nil || c.Ledger == nil || c.Peers == nil || c.Seats == nil || c.Book == "":
		return fault.New(fault.Invalid, "enrol: host, ledger, peers, seats and book are all needed")
	case c.Interval < 0 || c.Patience < 0:
		return fault.New(fault.Invalid, "enrol: a time is negative")
	}
	return nil
}

// Member is one of those that vote one another in. Make it with New, then call Run and Close.
type Member struct {
	cfg      Config
	protocol protocol.ID
	prover   prover
	limits   *limits
	server   *rpc.Server
	client   *rpc.Client

	mu      sync.Mutex
	own     Claim             // guarded by mu
	heard   map[peer.ID]heard // guarded by mu
	warned  map[peer.ID]bool  // guarded by mu; peers whose other secret was told of
	book    *book             // guarded by mu
	last    decision          // guarded by mu
	rounds  int               // guarded by mu; in how many rounds last has followed
	power   uint64            // guarded by mu; the node's own, in the ledger
	total   uint64            // guarded by mu
	inForce bool              // guarded by mu
	looked  bool              // guarded by mu; the three above are known
	seated  bool              // guarded by mu; the node has voted with power
	changed chan struct{}     // guarded by mu; closed after each round
}

// heard is a claim, and when it came.
type heard struct {
	Claim
	at time.Time
}

// New begins to answer questions. Nothing is asked before Run.
func New(cfg Config) (*Member, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Interval, cfg.Patience = cmp.Or(cfg.Interval, DefaultInterval), cmp.Or(cfg.Patience, DefaultPatience)
	b, err := openBook(cfg.Book)
	if err != nil {
		return nil, err
	}
	if seat, known := b.seats[cfg.Key]; known && seat != cfg.Seat {
		return nil, fault.New(fault.Conflict, "this node's validator is in seat %d and can't move to seat %d: give it its old seat, or another home", seat, cfg.Seat)
	}
	m := &Member{
		cfg: cfg, protocol: cfg.Network.Protocol(protocolName), prover: prover{bytes.Clone(cfg.Secret), ledger.Hash(cfg.Network)}, limits: newLimits(),
		own:   Claim{Peer: cfg.Host.ID(), Seat: cfg.Seat, Key: cfg.Key, Operator: cfg.Operator},
		heard: make(map[peer.ID]heard), warned: make(map[peer.ID]bool), book: b, changed: make(chan struct{}), last: decision{why: "it has not looked at the ledger yet"},
	}
	if err := m.open(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Member) open() (err error) {
	m.client, err = rpc.NewClient(rpc.ClientConfig{Host: m.cfg.Host, Protocol: m.protocol, MaxMessage: maxMessage, MaxInFlight: 1, Logger: m.cfg.Logger})
	if err != nil {
		return err
	}
	m.server, err = rpc.NewServer(rpc.ServerConfig{Host: m.cfg.Host, Protocol: m.protocol, MaxMessage: maxMessage, MaxInFlight: 2, Handler: m.serve, Logger: m.cfg.Logger})
	if err != nil {
		_ = m.client.Close()
	}
	return err
}

// Close stops answering. Run has returned.
func (m *Member) Close() error {
	err := m.server.Close()
	if closing := m.client.Close(); err == nil {
		err = closing
	}
	return err
}

// serve answers a question, and says so when the secret is another: an operator who mistyped it wants to know. Questions that do not prove the secret are bounded, so that they take no member's turn.
func (m *Member) serve(_ context.Context, from peer.ID, request []byte) ([]byte, error) {
	self := m.cfg.Host.ID()
	n, proven, err := m.prover.readQuestion(from, self, request)
	if !proven && !m.limits.allow(from, time.Now()) {
		return nil, fault.New(fault.Forbidden, "questions too often")
	}
	if err != nil {
		return nil, err
	}
	if !proven {
		m.cfg.Logger.Debug("a peer without the validators' secret asks for seats", "peer", from)
		return []byte{refusal}, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.prover.answer(self, from, n, &answer{m.own, entriesOf(m.book.seats)}), nil
}

// entriesOf returns the entries of a book, in the order of keys.
func entriesOf(seats map[ledger.PublicKey]int) []entry {
	list := make([]entry, 0, len(seats))
	for k, seat := range seats {
		list = append(list, entry{k, seat})
	}
	slices.SortFunc(list, func(a, b entry) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return list
}

// Run asks and votes until ctx ends.
func (m *Member) Run(ctx context.Context) error {
	tick := time.NewTicker(m.cfg.Interval)
	defer tick.Stop()
	for {
		m.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round looks at the ledger, asks the others, and does what follows from both.
func (m *Member) round(ctx context.Context) {
	state, err := m.cfg.Ledger.State()
	if err != nil {
		m.conclude(decision{why: err.Error()}, nil)
		return
	}
	m.look(&state)
	seats, seatsErr := m.seats(ctx) // before the others are asked, whose answers would be old when that takes long
	began := time.Now()
	m.askAll(ctx, &state)
	if ctx.Err() != nil {
		return
	}
	if seatsErr != nil {
		m.conclude(decision{why: "it is not known how many validators are wanted: " + seatsErr.Error()}, &state)
		return
	}
	height := state.Height // what others are held to is what was there before they were asked
	if state, err = m.cfg.Ledger.State(); err != nil {
		return
	}
	state.Height = height
	m.tidy(&state)
	s := m.situation(&state, seats, began)
	d := decide(s)
	rounds := m.conclude(d, &state)
	if d.change == nil || rounds < stableRounds {
		return
	}
	if err := m.act(ctx, &state, s, &d, rounds); err != nil && ctx.Err() == nil {
		m.cfg.Logger.Info("validators: a change was not voted for", "change", d.why, "error", err)
	}
}

// seats returns how many seats there are to be.
func (m *Member) seats(ctx context.Context) (int, error) {
	seats, err := m.cfg.Seats(ctx)
	if err == nil && (seats < 1 || seats > MaxSeats) {
		err = fault.New(fault.Invalid, "%d: want 1 to %d", seats, MaxSeats)
	}
	return seats, err
}

// look takes over what the ledger says of the node itself.
func (m *Member) look(s *State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own.Height, m.own.Ready = s.Height, s.Ready
}

// situation returns what the next change follows from. Who has not answered in the round that began then is not counted on, though it is not taken for absent for a while: so nobody's place is given away in haste, and
// nobody is voted out when another may just have stopped.
func (m *Member) situation(state *State, seats int, began time.Time) *situation {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &situation{seats: seats, height: state.Height, inForce: state.InForce, validators: state.Validators, book: m.book.seats, claims: []Claim{m.own}}
	for _, h := range m.heard {
		h.Ready = h.Ready && !h.at.Before(began)
		s.claims = append(s.claims, h.Claim)
	}
	return s
}

// tidy forgets whose answer is old, and the seats of those that have neither power nor anybody who speaks of them. A node that lacks blocks does not know who has power.
func (m *Member) tidy(state *State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	wanted := map[ledger.PublicKey]bool{m.own.Key: true}
	for id, h := range m.heard {
		if now.Sub(h.at) > m.cfg.Patience {
			delete(m.heard, id)
			continue
		}
		wanted[h.Key] = true
	}
	for _, v := range state.Validators {
		wanted[v.Key] = true
	}
	err := m.book.learn(entry{m.own.Key, m.own.Seat})
	if err == nil && state.Ready {
		err = m.book.keep(func(k ledger.PublicKey) bool { return wanted[k] })
	}
	if err != nil {
		m.cfg.Logger.Warn("validators: seats are not remembered", "error", err)
	}
}

// conclude takes over what a round led to, and returns in how many rounds the same change has followed.
func (m *Member) conclude(d decision, state *State) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.equal(&m.last) {
		m.rounds++
	} else {
		m.rounds = 1
		m.cfg.Logger.Debug("validators: what is next", "change", d.change != nil, "why", d.why)
	}
	m.last = d
	if state != nil {
		m.note(state)
	}
	close(m.changed)
	m.changed = make(chan struct{})
	return m.rounds
}

// note keeps the node's own standing. mu is held.
func (m *Member) note(state *State) {
	m.looked, m.inForce, m.power, m.total = true, state.InForce, 0, 0
	for _, v := range state.Validators {
		m.total += v.Power
		if v.Key == m.own.Key {
			m.power = v.Power
		}
	}
	if m.power > 0 && m.inForce && state.Ready {
		m.seated = true
	}
}

// Seated returns nil once the node has been a validator in force that has caught up, from then on for as long as it runs; before, it says what is waited for.
func (m *Member) Seated() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seated {
		return nil
	}
	return fault.New(fault.Unavailable, "this node, in seat %d, is no validator yet: %s", m.cfg.Seat, m.last.why)
}

// Retire asks the others to vote this node out, and returns when it has no power and the others decide without it. It is fault.Unavailable, and says what was waited for, when ctx ends before, and at once for
// the last validator: the ledger would end with it.
func (m *Member) Retire(ctx context.Context) error {
	for {
		m.mu.Lock()
		m.own.Leaving = true
		changed, why := m.changed, m.last.why
		out, alone := m.looked && m.power == 0 && m.inForce, m.looked && m.power > 0 && m.power == m.total
		m.mu.Unlock()
		switch {
		case out:
			return nil
		case alone:
			return fault.New(fault.Unavailable, "this is the ledger's only validator: let another be voted in first")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "this node is a validator still, and was not voted out in time: %s", why)
		}
	}
}

// newNonce returns a nonce that was never used.
func newNonce() (n nonce, err error) {
	_, err = rand.Read(n[:])
	return n, err
}
