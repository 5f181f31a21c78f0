package enrol

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
)

// newTestMember returns a member in seat 0, with key 0, that asks nobody by itself.
func newTestMember(t *testing.T) *Member {
	t.Helper()
	b, err := openBook(filepath.Join(t.TempDir(), "seats.json"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Seat: 0, Key: key(0), Operator: operator(0), Patience: DefaultPatience, Interval: DefaultInterval, Logger: slog.New(slog.DiscardHandler)}
	return &Member{cfg: cfg, own: claim(0, 0), heard: make(map[peer.ID]heard), book: b, changed: make(chan struct{})}
}

// TestWhoJustStoppedIsNotCountedOn: after a round in which one did not answer it is neither counted among those that vote nor replaced; after a while it is absent.
func TestWhoJustStoppedIsNotCountedOn(t *testing.T) {
	m := newTestMember(t)
	state := &State{Height: 100, Ready: true, InForce: true, Validators: validators(0, 1, 2, 3)}
	long, before, began := time.Now().Add(-2*DefaultPatience), time.Now().Add(-time.Second), time.Now()
	for n, at := range map[int]time.Time{1: began, 2: began, 3: before} {
		c := claim(n, n)
		m.heard[c.Peer] = heard{c, at}
	}
	c := claim(2, 2)
	c.Leaving = true
	m.heard[c.Peer] = heard{c, began}
	if d := decide(m.situation(state, 4, began)); d.change != nil || !strings.Contains(d.why, "2 of 3 of the power") {
		t.Errorf("one leaves while another is silent: %+v, %s", d.change, d.why)
	}
	other := claim(13, 3)
	m.heard[other.Peer] = heard{other, began}
	m.tidy(state)
	if d := decide(m.situation(state, 4, began)); d.change != nil && d.change.Validator == key(3) {
		t.Errorf("one that was silent for a second is replaced: %s", d.why)
	}
	silent := claim(3, 3)
	m.heard[silent.Peer] = heard{silent, long}
	if err := m.book.learn(entry{key(3), 3}); err != nil {
		t.Fatal(err)
	}
	m.tidy(state)
	if d := decide(m.situation(state, 4, began)); d.change == nil || d.change.Validator != key(3) || d.change.Power != 0 {
		t.Errorf("one that was silent for long is not replaced: %+v, %s", d.change, d.why)
	}
}

// meshOf returns hosts that can reach one another and say that they speak the members' protocol.
func meshOf(t *testing.T, n int, spoken protocol.ID) []host.Host {
	t.Helper()
	net, err := mocknet.FullMeshLinked(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { net.Close() })
	for _, h := range net.Hosts() {
		for _, other := range net.Hosts() {
			if err := h.Peerstore().AddProtocols(other.ID(), spoken); err != nil {
				t.Fatal(err)
			}
		}
	}
	return net.Hosts()
}

// TestStrangersDoNotSilenceMembers: peers without the secret that take questions and never answer, many more than are asked at a time, do not make a member's answers too old.
func TestStrangersDoNotSilenceMembers(t *testing.T) {
	t.Parallel()
	const strangers = 4 * maxAsking
	network := swarm.NetworkID{1}
	hosts := meshOf(t, strangers+2, network.Protocol(protocolName))
	var ids []peer.ID
	for _, h := range slices.Concat(hosts[:maxAsking], hosts[strangers:], hosts[maxAsking:strangers]) {
		ids = append(ids, h.ID())
	}
	silent := make(chan struct{})
	defer close(silent)
	for _, h := range hosts[:strangers] {
		h.SetStreamHandler(network.Protocol(protocolName), func(s libp2pnetwork.Stream) {
			<-silent
			_ = s.Reset()
		})
	}
	members := make([]*Member, 2)
	for i := range members {
		var err error
		members[i], err = New(Config{
			Host: hosts[strangers+i], Network: network, Ledger: &recorder{}, Peers: func() []peer.ID { return ids }, Secret: make([]byte, MinSecret), Seat: i, Key: key(i), Operator: operator(i),
			Seats: func(context.Context) (int, error) { return 2, nil }, Book: filepath.Join(t.TempDir(), "seats.json"), Patience: 2 * askTime,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer members[i].Close()
	}
	m, other := members[0], members[1]
	state := &State{Ready: true, Validators: validators(0, 1)}
	for range 5 { // on a busy machine one round may be too short for its answer
		m.heard[other.own.Peer] = heard{other.own, time.Now()} // as of the round before
		began := time.Now()
		m.askAll(t.Context(), state)
		m.tidy(state)
		if h, ok := m.heard[other.own.Peer]; ok && !h.at.Before(began) {
			return
		}
	}
	t.Error("the other member's claims were too old at the end of each round, or it was not asked")
}

// TestStrangersDoNotUseUpWhatMembersMayAsk: however many there are, and whatever they ask.
func TestStrangersDoNotUseUpWhatMembersMayAsk(t *testing.T) {
	m, from := newTestMember(t), peer.ID("member")
	m.cfg.Host, m.prover, m.limits = meshOf(t, 1, "x")[0], prover{make([]byte, MinSecret), ledger.Hash{}}, newLimits()
	question := m.prover.question(from, m.cfg.Host.ID(), nonce{1})
	refused := false
	for i := range maxLimited + 1 {
		_, err := m.serve(t.Context(), peer.ID(fmt.Sprint("stranger", i)), question)
		refused = refused || fault.KindOf(err) == fault.Forbidden
	}
	if !refused {
		t.Error("strangers may ask without bounds")
	}
	answer, err := m.serve(t.Context(), from, question)
	if err == nil {
		_, err = m.prover.readAnswer(m.cfg.Host.ID(), from, nonce{1}, answer)
	}
	if err != nil {
		t.Errorf("a member's question: %v", err)
	}
}

// TestAnswersAreFreshWhenTheNumberOfSeatsComesLate: else one that answers is taken for absent, and its place may be given to another.
func TestAnswersAreFreshWhenTheNumberOfSeatsComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, other := newTestMember(t), claim(1, 1)
		m.cfg.Ledger = &recorder{}
		m.cfg.Peers = func() []peer.ID { // it answers when it is asked
			m.heard[other.Peer] = heard{other, time.Now()}
			return nil
		}
		m.cfg.Seats = func(context.Context) (int, error) {
			time.Sleep(DefaultPatience + time.Second)
			return 4, nil
		}
		m.round(t.Context())
		if _, ok := m.heard[other.Peer]; !ok {
			t.Error("it is taken for absent")
		}
	})
}

// recorder is a ledger that notes what is handed in.
type recorder struct{ ops []ledger.Operation }

func (r *recorder) State() (State, error) { return State{}, nil }
func (r *recorder) Submit(_ context.Context, op ledger.Operation) error {
	r.ops = append(r.ops, op)
	return nil
}

// TestAct: who proposes, who votes, and who waits.
func TestAct(t *testing.T) {
	change := &ledger.SetPower{Validator: key(9), Power: 1, Operator: operator(9)}
	open := func(voters ...int) []Proposal {
		p := Proposal{Change: *change, ID: ledger.Hash{7}}
		for _, n := range voters {
			p.Votes = append(p.Votes, operator(n))
		}
		return []Proposal{p}
	}
	for name, tt := range map[string]struct {
		seat      int
		power     []int
		proposals []Proposal
		rounds    int
		want      ledger.Kind
	}{
		"the lowest seat proposes":                {0, []int{0, 1, 2, 3}, nil, stableRounds, ledger.KindPropose},
		"the others wait for it":                  {1, []int{0, 1, 2, 3}, nil, stableRounds, 0},
		"but not for ever":                        {1, []int{0, 1, 2, 3}, nil, lateRounds, ledger.KindPropose},
		"what is open is voted for":               {1, []int{0, 1, 2, 3}, open(0), stableRounds, ledger.KindVote},
		"once":                                    {1, []int{0, 1, 2, 3}, open(0, 1), stableRounds, 0},
		"and again when it would pass now":        {1, []int{0, 1}, open(0, 1), stableRounds, ledger.KindVote},
		"who has no power does nothing":           {1, []int{0, 2, 3}, open(0), lateRounds, 0},
		"another's proposal is another's concern": {1, []int{0, 1, 2, 3}, []Proposal{{Change: ledger.SetPower{Validator: key(8)}, Votes: nil}}, stableRounds, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, r := newTestMember(t), &recorder{}
			m.cfg.Ledger, m.cfg.Seat, m.cfg.Key, m.cfg.Operator = r, tt.seat, key(tt.seat), operator(tt.seat)
			s := council(4)
			state := &State{Ready: true, InForce: true, Validators: validators(tt.power...), Proposals: tt.proposals}
			if err := m.act(t.Context(), state, s, &decision{change, "a test"}, tt.rounds); err != nil {
				t.Fatal(err)
			}
			if len(r.ops) > 1 || (len(r.ops) == 1) != (tt.want != 0) || len(r.ops) == 1 && r.ops[0].Kind() != tt.want {
				t.Errorf("handed in %v, want %v", r.ops, tt.want)
			}
		})
	}
}

// TestRetire: it returns when the node is out and the others decide without it, says why when its time is over, and does not wait for what can't be.
func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newTestMember(t)
		state := &State{Ready: true, InForce: true, Validators: validators(0, 1, 2, 3)}
		m.conclude(decision{why: "the others sleep"}, state)
		if err := m.Seated(); err != nil {
			t.Errorf("a validator is none: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := m.Retire(ctx); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "the others sleep") || ctx.Err() == nil {
			t.Errorf("nobody votes: %v", err)
		}
		retired := make(chan error, 1)
		go func() { retired <- m.Retire(t.Context()) }()
		synctest.Wait()
		m.conclude(decision{}, &State{Ready: true, Validators: validators(1, 2, 3)})
		synctest.Wait()
		select {
		case err := <-retired:
			t.Errorf("it went before the others decide without it: %v", err)
		default:
		}
		m.conclude(decision{}, &State{Ready: true, InForce: true, Validators: validators(1, 2, 3)})
		if err := <-retired; err != nil {
			t.Errorf("voted out: %v", err)
		}
		m.conclude(decision{}, &State{Ready: true, InForce: true, Validators: validators(0)})
		if err := m.Retire(t.Context()); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "only validator") {
			t.Errorf("the last one: %v", err)
		}
	})
}
