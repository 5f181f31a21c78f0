package records

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// A peer that may have been given up counts again once it was compared with a quorum, or, where all were given up at once, with those who were in sync, too.
func TestLapseIsLikeACrash(t *testing.T) {
	for name, say := range map[string]standpoint{
		"others go on":   {level: LevelSynced},
		"all were apart": {level: LevelUnsynced, resumed: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTableWorld(newRNG(t), 12)
			w.show(w.peers, nil)
			w.compareAll(at(LevelSynced))
			held, _ := w.held()
			if !w.lapse(w.now) {
				t.Fatal("nothing lapsed")
			}
			if h, synced := w.held(); h != held || synced != 0 {
				t.Errorf("%d of %d shards are held, %d in sync", h, held, synced)
			}
			if p := w.levelAt(w.shard(t, true)); p.level.counts() || !p.resumed {
				t.Errorf("stands at %+v", p)
			}
			if w.lapse(w.now) {
				t.Error("what lapsed lapses once more")
			}
			w.compareAll(func(disk.Shard, peer.ID) standpoint { return say })
			if h, synced := w.held(); h != held || synced != held {
				t.Errorf("%d of %d shards are held, %d in sync", h, held, synced)
			}
		})
	}
}

// newHandingWorld returns a world in which four of twelve peers are new, and a shard that this peer hands over to them. Where the new peers happen to lie elsewhere on the ring, nothing is handed over, and others are drawn.
func newHandingWorld(t *testing.T) (*tableWorld, disk.Shard) {
	t.Helper()
	rng := newRNG(t)
	for range 100 {
		w := newTableWorld(rng, 12)
		w.show(w.peers[:8], nil)
		w.compareAll(at(LevelSynced))
		w.show(w.peers, nil)
		for s := range disk.Shard(disk.Shards) {
			if w.levelAt(s).level == LevelLeaving {
				return w, s
			}
		}
	}
	t.Fatal("nothing is handed over")
	return nil, 0
}

// What is handed over is not vouched for after a lapse, and the copies are handed over all the same.
func TestLapseWhileHandingOver(t *testing.T) {
	w, leaving := newHandingWorld(t)
	w.lapse(w.now)
	if p := w.levelAt(leaving); p.level != LevelNone {
		t.Errorf("stands at %+v", p)
	}
	var stored shardSet
	stored.add(leaving)
	handed := false
	for _, j := range w.plan(w.now, func(peer.ID) bool { return false }, &stored, disk.Shards).jobs {
		handed = handed || j.hand.has(leaving)
	}
	if !handed {
		t.Error("it is not handed over")
	}
}

func TestCutOff(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	of := func(state routing.State, since time.Duration) routing.Member {
		return routing.Member{State: state, Since: ago(since), LastSeen: ago(since)}
	}
	self := of(routing.Alive, time.Hour)
	alive, silent, dead := of(routing.Alive, time.Hour), of(routing.Suspect, 2*time.Second), of(routing.Dead, time.Second)
	for name, c := range map[string]struct {
		members []routing.Member
		want    bool
	}{
		"alone":                  {[]routing.Member{self}, false},
		"the other is silent":    {[]routing.Member{self, silent}, true},
		"one of three is silent": {[]routing.Member{self, alive, silent}, false},
		"two of three are dead":  {[]routing.Member{self, dead, dead}, true},
		"half":                   {[]routing.Member{self, alive, silent, dead}, true},
		"just suspected":         {[]routing.Member{self, of(routing.Suspect, 500*time.Millisecond), of(routing.Suspect, 500*time.Millisecond)}, false},
		"long dead":              {[]routing.Member{self, of(routing.Dead, time.Minute), of(routing.Dead, time.Minute)}, false},
		"away":                   {[]routing.Member{self, of(routing.Away, time.Second), of(routing.Away, time.Second)}, false},
		"never met":              {[]routing.Member{self, {State: routing.Dead, Since: ago(time.Second)}}, false},
	} {
		if got := cutOff(&routing.View{Members: c.members}, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A process that stood still notices before it answers.
func TestStandstillIsNoticedBeforeAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTableWorld(newRNG(t), 12)
		w.show(w.peers, nil)
		w.compareAll(at(LevelSynced))
		_, before := w.held()
		v := newVigil(w.table, time.Now)
		v.check()
		time.Sleep(time.Hour)
		v.check() // it does not look yet
		v.looked.Store(int64(time.Since(v.start)))
		time.Sleep(stoodStill - time.Millisecond)
		v.check()
		if _, synced := w.held(); synced != before {
			t.Fatal("lapsed without a standstill")
		}
		time.Sleep(time.Millisecond)
		v.check()
		if _, synced := w.held(); synced != 0 {
			t.Error("a standstill went unnoticed")
		}
		select {
		case <-v.woken:
		default:
			t.Error("nobody was told that there is something to compare")
		}
	})
}
