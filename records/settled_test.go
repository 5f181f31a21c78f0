package records

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

func one(disk.Shard) int { return 1 }

// started returns the table of a peer that is in sync in a network of the given size and was seen by all just now.
func started(t *testing.T, peers int) *tableWorld {
	t.Helper()
	w := newTableWorld(newRNG(t), peers)
	w.show(w.peers, nil)
	w.compareAll(at(LevelSynced))
	w.expectFresh(timestampOf(w.now))
	return w
}

// agreeAll has all pairs that are open agree as of settledAgo, but for those with the peers left out.
func (w *tableWorld) agreeAll(but ...peer.ID) {
	w.reopen(w.now)
	pairs, _ := w.pairs(w.now)
	for id, both := range pairs {
		for s := range both.open.all() {
			if !slices.Contains(but, id) {
				w.agree(s, id, timestampOf(w.now.Add(-settledAgo)))
			}
		}
	}
}

func (w *tableWorld) wantSettled(t *testing.T, when string, records func(disk.Shard) int, strict, lenient bool) Settlement {
	t.Helper()
	sum := w.settlement(records)
	if sum.Settled(false) != strict || sum.Settled(true) != lenient {
		t.Errorf("%s: %+v; settled %v, with leniency %v", when, sum, sum.Settled(false), sum.Settled(true))
	}
	return sum
}

func TestSettledOnceAllAgreeOnWhatWasWrittenBeforeThePeerWasSeen(t *testing.T) {
	w := started(t, 5)
	sum := w.wantSettled(t, "nothing compared", one, false, false)
	if sum.Held != disk.Shards || sum.Unsynced != 0 || sum.Open != disk.Shards || sum.Below != disk.Shards {
		t.Errorf("%+v", sum)
	}
	w.agreeAll()
	w.wantSettled(t, "they agree as of a time before", one, false, false)
	w.wait(settledAgo)
	w.agreeAll(w.peers[2])
	sum = w.wantSettled(t, "one has not answered", one, false, false)
	if sum.Open != disk.Shards {
		t.Errorf("%+v", sum)
	}
	w.agreeAll()
	sum = w.wantSettled(t, "all agree", one, true, true)
	if sum != (Settlement{Held: disk.Shards}) {
		t.Errorf("%+v", sum)
	}
	// What is written from here on opens nothing again, whoever lacks it for a while.
	w.differ(7, w.peers[1], w.now)
	w.show(w.peers, map[peer.ID]routing.State{w.peers[1]: routing.Away})
	w.wantSettled(t, "a copy failed", one, true, true)
}

// Under load some pair is always open somewhere: each shard counts by itself.
func TestSettlesUnderLoad(t *testing.T) {
	w := started(t, 3)
	w.wait(settledAgo)
	for i := range 8 {
		w.reopen(w.now)
		for s := range disk.Shard(disk.Shards) {
			if s%8 == disk.Shard(i) {
				w.agree(s, w.peers[1], timestampOf(w.now))
				w.agree(s, w.peers[2], timestampOf(w.now))
			} else {
				w.differ(s, w.peers[1+i%2], w.now)
			}
		}
	}
	w.wantSettled(t, "each agreed at some time", one, true, true)
}

func TestNothingIsSettledBeforeThePeerHasJoined(t *testing.T) {
	w := started(t, 3)
	w.joined = false
	w.wait(time.Hour)
	w.agreeAll()
	w.wantSettled(t, "before", one, false, false)
	w.expectFresh(timestampOf(w.now))
	w.join()
	w.wantSettled(t, "just joined", one, false, false)
	w.wait(settledAgo)
	w.agreeAll()
	w.wantSettled(t, "joined", one, true, true)
}

func TestANetworkWithoutRecordsSettlesAtOnce(t *testing.T) {
	none := func(disk.Shard) int { return 0 }
	w := started(t, 5)
	w.wantSettled(t, "nothing compared", none, false, false)
	w.agreeAll()
	w.wantSettled(t, "compared", none, true, true)
	w.wantSettled(t, "with records", one, false, false)
}

func TestAPeerAloneIsSettled(t *testing.T) {
	w := newTableWorld(newRNG(t), 1)
	w.show(w.peers, nil)
	w.expectFresh(timestampOf(w.now))
	w.wantSettled(t, "just started", one, false, false)
	w.wait(settleTime)
	w.compareAll(at(LevelSynced))
	w.wantSettled(t, "it has settled", one, true, true)
}

// A dead peer is waited for until it is forgotten; with leniency not even that, where one more may stop.
func TestSettlementWithoutTheDead(t *testing.T) {
	for _, tt := range []struct {
		peers, dead int
		spared      bool
	}{{5, 1, true}, {5, 2, false}, {3, 1, false}, {4, 1, false}, {6, 1, true}} {
		w := started(t, tt.peers)
		states := map[peer.ID]routing.State{}
		for _, id := range w.peers[1 : 1+tt.dead] {
			states[id] = routing.Dead
		}
		w.show(w.peers, states)
		w.compareAll(at(LevelSynced))
		w.wait(settledAgo)
		full := tt.peers-tt.dead >= DefaultCopies // others have taken their places
		w.wantSettled(t, "not compared", one, false, false)
		w.agreeAll()
		w.wantSettled(t, "all who are alive agree", one, full, full || tt.spared)
		w.show(append(slices.Clone(w.peers[:1]), w.peers[1+tt.dead:]...), nil)
		w.agreeAll()
		w.wantSettled(t, "the dead are forgotten", one, true, true)
	}
}

func TestOneThatIsAwayCanBeSparedToo(t *testing.T) {
	w := started(t, 5)
	w.show(w.peers, map[peer.ID]routing.State{w.peers[3]: routing.Away})
	w.wait(settledAgo)
	w.agreeAll()
	sum := w.wantSettled(t, "one is away", one, false, true)
	if sum.Open != disk.Shards || sum.Spared != disk.Shards {
		t.Errorf("%+v", sum)
	}
}

// What is not in sync is never settled, though once it was.
func TestDoubtUnsettles(t *testing.T) {
	w := started(t, 5)
	w.wait(settledAgo)
	w.agreeAll()
	w.doubt(7, w.now)
	sum := w.wantSettled(t, "in doubt", one, false, false)
	if sum.Unsynced != 1 || sum.Below != 1 {
		t.Errorf("%+v", sum)
	}
	w.compareAll(at(LevelSynced))
	w.wantSettled(t, "in sync again", one, false, false)
	w.agreeAll()
	w.wantSettled(t, "compared again", one, true, true)
}
