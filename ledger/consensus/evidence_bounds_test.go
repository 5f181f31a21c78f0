package consensus

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	cstypes "github.com/cometbft/cometbft/consensus/types"
	"github.com/cometbft/cometbft/evidence"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/fault"
)

// probe is an evidence pool over the databases of a node that runs, which asks whom the test says, and counts.
type probe struct {
	*evidencePool
	members []peer.ID
	asked   atomic.Int64 // how often others were asked for a header
	cuts    int
	must    bool
}

func newProbe(t *testing.T, of *chainNode, life context.Context) *probe {
	t.Helper()
	p := of.running()
	own := dbm.NewMemDB() // with the changes of validators, and no headers yet
	it, err := p.history.own.Iterator(stepKey(0), stepKey(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	for ; it.Valid(); it.Next() {
		if err := own.Set(bytes.Clone(it.Key()), bytes.Clone(it.Value())); err != nil {
			t.Fatal(err)
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	headers := &oldHeaders{history: &history{blocks: p.blocks, states: p.states, own: own}, genesis: p.genesis, fetched: &of.engine.fetched}
	pool, err := evidence.NewPool(dbm.NewMemDB(), oldValidators{p.states, headers}, headers)
	if err != nil {
		t.Fatal(err)
	}
	out := new(probe)
	out.evidencePool = &evidencePool{
		Pool: pool, headers: headers, life: life, turn: new(turn), decided: func() bool { return out.must }, cut: func() { out.cuts++ }, log: logger1(),
		gossip: rate.NewLimiter(0, gossipBurst), looks: rate.NewLimiter(0, lookBurst), one: make(chan struct{}, 1),
		asker: &asker{client: p.proofs.asker.client, members: func() []peer.ID { out.asked.Add(1); return slices.Clone(out.members) }},
	}
	return out
}

// bogus: evidence that nobody signed, or that is too old, costs no question, and what a validator did sign for another time one.
func bogus(t *testing.T, o *oldNet) {
	p := newProbe(t, o.late, t.Context())
	p.members = []peer.ID{o.v.host.ID()}
	good := o.a.misbehaved(o.v, o.height)
	refuse := func(what string, ev types.Evidence) {
		t.Helper()
		if err := p.forGossip(ev); err != nil {
			t.Errorf("%s: it is passed over, and so not refused: %v", what, err)
		}
		if err := p.AddEvidence(ev); err == nil {
			t.Errorf("%s: it is believed", what)
		}
		if err := p.CheckEvidence(types.EvidenceList{ev}); err == nil {
			t.Errorf("%s: it is voted for", what)
		}
	}
	for h := int64(1); h < o.height+5; h++ {
		stranger, other := *good, newCulprit()
		stranger.VoteA, stranger.VoteB = other.vote(t, o.chainID(), h, 0, good.Timestamp, 'a'), other.vote(t, o.chainID(), h, 0, good.Timestamp, 'b')
		refuse("a stranger", &stranger)
		moved, vote := *good, *good.VoteB
		vote.Signature = bytes.Clone(vote.Signature)
		vote.Signature[h%64] ^= 1
		moved.VoteB = &vote
		refuse("a bit of a signature", &moved)
	}
	power := *good
	power.TotalVotingPower++
	refuse("another power", &power)
	if p.asked.Load() != 0 {
		t.Errorf("it costs %d questions", p.asked.Load())
	}
	wrong := *good
	wrong.Timestamp = wrong.Timestamp.Add(time.Second)
	for range 3 {
		refuse("another time", &wrong)
	}
	if p.asked.Load() != 1 {
		t.Errorf("for a wrong time somebody is asked %d times, want once", p.asked.Load())
	}
	if err := p.CheckEvidence(types.EvidenceList{good}); err != nil || p.asked.Load() != 1 {
		t.Errorf("the good one, after %d questions: %v", p.asked.Load(), err)
	}
	state := p.State()
	for _, expired := range []bool{false, true} {
		if expired {
			state.LastBlockHeight += state.ConsensusParams.Evidence.MaxAgeNumBlocks + 1
			state.LastBlockTime = state.LastBlockTime.Add(state.ConsensusParams.Evidence.MaxAgeDuration + time.Minute)
		}
		if err := p.headers.dropExpired(&state); err != nil {
			t.Fatal(err)
		}
		if _, err := p.headers.fetchedHeader(o.height); (err != nil) != expired {
			t.Errorf("expired %t: %v", expired, err)
		}
	}
}

// bounded: where nobody answers, evidence that peers send costs as many questions as are allowed, and after a wait in vain for a vote there is none for a while.
func bounded(t *testing.T, o *oldNet) {
	p := newProbe(t, o.late, t.Context())
	refused := 0
	for i := range int64(2 * gossipBurst) {
		if err := p.forGossip(o.a.misbehaved(o.v, o.height+i%6)); err == nil {
			t.Error("evidence is checked without a header")
		} else if fault.KindOf(err) == fault.Full {
			refused++
		}
	}
	if p.asked.Load() != gossipBurst || refused != gossipBurst {
		t.Errorf("peers' evidence leads to %d questions, and %d pieces were over the limit", p.asked.Load(), refused)
	}
	p.asked.Store(0)
	for range lookBurst {
		_ = p.forGossip(o.a.misbehaved(o.v, o.height))
	}
	if p.looks.Tokens() > 0 {
		t.Error("more evidence is looked at than is allowed")
	}
	for range 3 {
		if err := p.CheckEvidence(types.EvidenceList{o.a.misbehaved(o.v, o.height)}); err == nil {
			t.Error("evidence is voted for without a header")
		}
	}
	if p.asked.Load() != 1 {
		t.Errorf("for votes others were asked %d times within %s", p.asked.Load(), quietTime)
	}
}

// waitsForDecided: where the node can't go on without a header, it is waited for until somebody has it, or the engine ends.
func waitsForDecided(t *testing.T, o *oldNet) {
	list := types.EvidenceList{o.a.misbehaved(o.v, o.height)}
	life, end := context.WithCancel(t.Context())
	p := newProbe(t, o.late, life)
	p.turn.see(&cmtcons.NewRoundStep{Height: 5, Step: uint32(cstypes.RoundStepPrevote)})
	done := make(chan error, 1)
	go func() { done <- p.CheckEvidence(list) }()
	eventually(t, "that it waits", func() bool { return p.waitsFor() != "" })
	end()
	if err := <-done; err == nil || p.cuts != 1 {
		t.Errorf("after the end: %v, %d", err, p.cuts)
	}
	p = newProbe(t, o.late, t.Context())
	p.members, p.must = []peer.ID{o.v.host.ID()}, true
	if err := p.CheckEvidence(list); err != nil || p.waitsFor() != "" {
		t.Errorf("%v, waits for %q", err, p.waitsFor())
	}
}
