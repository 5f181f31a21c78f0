package consensus

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	cstypes "github.com/cometbft/cometbft/consensus/types"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

// TestRace: peers that are silent are passed by after a while, and what was asked ends with the answer.
func TestRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asker{members: func() []peer.ID { return []peer.ID{"silent", "silent too", "lies", "tells"} }}
		began := time.Now()
		err := a.race(t.Context(), func(ctx context.Context, p peer.ID) error {
			switch p {
			case "tells":
				return nil
			case "lies":
				return fault.New(fault.Invalid, "a lie")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if took := time.Since(began); err != nil || took > 2*hedgeTime {
			t.Errorf("%v after %s", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), voteTime)
		defer cancel()
		began = time.Now()
		if err := a.race(ctx, func(ctx context.Context, _ peer.ID) error { <-ctx.Done(); return ctx.Err() }); err == nil || time.Since(began) != voteTime {
			t.Errorf("where all are silent: %v after %s", err, time.Since(began))
		}
		none := &asker{members: func() []peer.ID { return nil }}
		if err := none.race(t.Context(), nil); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("where nobody is there: %v", err)
		}
	})
}

// TestTurn: what CometBFT tells in another order than it happened changes nothing.
func TestTurn(t *testing.T) {
	now := new(turn)
	say := func(height int64, round int32, step cstypes.RoundStepType) {
		now.see(&cmtcons.NewRoundStep{Height: height, Round: round, Step: uint32(step)})
	}
	say(7, 0, cstypes.RoundStepPropose)
	if now.voted() {
		t.Error("it has voted before the vote")
	}
	say(7, 0, cstypes.RoundStepPrevote)
	say(7, 0, cstypes.RoundStepPropose)
	say(6, 3, cstypes.RoundStepPropose)
	if !now.voted() || now.attempts() != 0 {
		t.Error("it has not voted after the vote")
	}
	say(7, 1, cstypes.RoundStepPropose)
	if now.voted() || now.attempts() != 1 {
		t.Error("it has voted in the round that began")
	}
	say(7, 1, cstypes.RoundStepCommit)
	if !now.voted() {
		t.Error("what was decided passes for proposed")
	}
	say(8, 0, cstypes.RoundStepNewHeight)
	if now.voted() || now.attempts() != 0 {
		t.Error("it has voted on the next block")
	}
}

// TestIsNew: evidence passes for new only if nobody whom it accuses has lost power since, and the last validator can't have lost it. Validators of old heights follow from the changes alone.
func TestIsNew(t *testing.T) {
	const fetched = 100
	a, b, c := newCulprit(), newCulprit(), newCulprit()
	set := func(list ...culprit) *types.ValidatorSet {
		var validators []*types.Validator
		for _, one := range list {
			validators = append(validators, types.NewValidator(one.key.PubKey(), 10))
		}
		return types.NewValidatorSet(validators)
	}
	genesis := &types.GenesisDoc{ChainID: "old"}
	for _, one := range []culprit{a, b} {
		genesis.Validators = append(genesis.Validators, types.GenesisValidator{PubKey: one.key.PubKey(), Power: 10})
	}
	// The validators are a and b up to block 20, a, b and c up to 50, a and b up to 60, a up to 70, and then others.
	changes := []struct {
		at   int64
		next *types.ValidatorSet
	}{{20, set(a, b, c)}, {50, set(a, b)}, {60, set(a)}, {70, set(a, b)}, {80, set(a, b, c)}}
	from := func(last *types.ValidatorSet) *oldHeaders {
		o := &oldHeaders{history: &history{blocks: store.NewBlockStore(dbm.NewMemDB()), states: sm.NewStore(dbm.NewMemDB(), sm.StoreOptions{}), own: dbm.NewMemDB()}, genesis: genesis, fetched: new(atomic.Int64)}
		o.fetched.Store(fetched)
		var steps []keptStep
		for _, s := range changes {
			steps = append(steps, keptStep{s.at, light.Step{Next: light.Validators(s.next)}})
		}
		if err := o.keep(steps); err != nil {
			t.Fatal(err)
		}
		now := changes[len(changes)-1].next
		if err := o.states.Bootstrap(sm.State{
			ChainID: "old", InitialHeight: 1, LastBlockHeight: fetched, LastValidators: now, Validators: now, NextValidators: last,
			ConsensusParams: *types.DefaultConsensusParams(), LastHeightValidatorsChanged: fetched + 2,
		}); err != nil {
			t.Fatal(err)
		}
		return o
	}
	same, without := from(set(a, b, c)), from(set(a, c))
	accusing := func(one culprit, height int64) types.Evidence {
		return &types.DuplicateVoteEvidence{VoteA: &types.Vote{Height: height, ValidatorAddress: one.key.PubKey().Address()}}
	}
	for _, x := range []struct {
		o      *oldHeaders
		who    culprit
		height int64
		want   bool
	}{
		{same, a, 100, true}, {same, b, 90, true}, {same, b, 71, true}, {same, c, 81, true},
		{without, b, 90, false}, {without, a, 90, true}, // the block whose state was fetched may have had it
		{same, c, 80, false}, {same, c, 21, false}, // it had no power in between, or none at all
		{same, a, 65, false}, {same, a, 5, false}, // it was the only one in between
		{same, b, 60, false},
	} {
		if got := x.o.isNew(accusing(x.who, x.height)); got != x.want {
			t.Errorf("block %d: new %t, want %t", x.height, got, x.want)
		}
	}
	if same.isNew(&types.LightClientAttackEvidence{CommonHeight: 90}) {
		t.Error("an attack in which nobody is accused passes for new")
	}
	for height, want := range map[int64]*types.ValidatorSet{1: set(a, b), 20: set(a, b), 21: set(a, b, c), 50: set(a, b, c), 51: set(a, b), 61: set(a), 81: set(a, b, c), 99: set(a, b, c)} {
		got, err := oldValidators{same.states, same}.LoadValidators(height)
		if err != nil || !bytes.Equal(got.Hash(), want.Hash()) {
			t.Errorf("the validators of block %d are others: %v", height, err)
		}
	}
	if _, err := (oldValidators{same.states, same}).LoadValidators(fetched + 9); err == nil {
		t.Error("there are validators of a block that is not there")
	}
	if same.old(fetched+1) || same.old(0) || !same.old(fetched) {
		t.Error("other headers are fetched than those from before")
	}
}
