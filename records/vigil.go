package records

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// Others take a peer's place once they are certain that it is dead. That it was cut off, or stood still, is what it alone doesn't notice: in the moment of its return it would still count itself among
// those who know, and so would who asks it, while what was acknowledged meanwhile is with its successor. So a peer finds out for itself, from its own clock and its own probes, when it may have been given up,
// and then answers like one that starts again after a crash: its copies are there, and count once they were compared with a quorum. Nothing that others say makes it do so: else a peer that spreads deaths could
// keep everybody from answering.

const (
	// vigilEvery is how often a peer looks whether it is cut off.
	vigilEvery = 250 * time.Millisecond
	// stoodStill is the pause between two looks after which a peer may have been given up meanwhile; it takes others longer to be certain.
	stoodStill = 2 * time.Second
	// cutOffAfter is how long members must have been silent to this peer, and givenUpFor how long ago they may have been given up.
	cutOffAfter = time.Second
	givenUpFor  = 30 * time.Second
)

// A vigil is what a peer knows of whether others may have taken its place.
type vigil struct {
	table  *table
	wall   func() time.Time // for the table
	start  time.Time
	looked atomic.Int64  // nanoseconds from start to when it looked last; 0: it does not look
	woken  chan struct{} // capacity 1: shards are to be compared
}

func newVigil(t *table, wall func() time.Time) *vigil {
	return &vigil{table: t, wall: wall, start: time.Now(), woken: make(chan struct{}, 1)}
}

// check is called before each answer: a process that was stopped may answer before it looks at anything else.
func (v *vigil) check() {
	since := int64(time.Since(v.start))
	if before := v.looked.Load(); before > 0 && since-before >= int64(stoodStill) && v.looked.CompareAndSwap(before, since) {
		v.lapse()
	}
}

func (v *vigil) lapse() {
	if !v.table.lapse(v.wall()) {
		return
	}
	select {
	case v.woken <- struct{}{}:
	default:
	}
}

// run looks now and then until ctx ends.
func (v *vigil) run(ctx context.Context, view func() *routing.View) {
	tick := time.NewTicker(vigilEvery)
	defer tick.Stop()
	defer v.looked.Store(0)
	alone := false
	for {
		v.looked.Store(max(1, int64(time.Since(v.start))))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		v.check()
		// When it ends, too: what those who were cut off together agreed on says nothing about the others.
		if now := cutOff(view(), time.Now()); now != alone {
			alone = now
			v.lapse()
		}
	}
}

// cutOff reports whether this peer reaches no more than half of those whom it reached a moment ago: then they are not gone, it is.
func cutOff(view *routing.View, now time.Time) bool {
	alive, silent := 0, 0
	for i := range view.Members {
		m := &view.Members[i]
		switch age := now.Sub(m.Since); {
		case m.State == routing.Alive, m.State == routing.Suspect && age < cutOffAfter:
			alive++
		case m.LastSeen.IsZero(): // it never answered
		case m.State == routing.Suspect, m.State == routing.Dead && age < givenUpFor:
			silent++
		}
	}
	return alive <= silent
}

// lapse makes this peer's shards catch up as after a crash, and reports whether there were any that counted.
func (t *table) lapse(now time.Time) (any bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, state := range t.shards {
		switch {
		case state == nil:
		case state.level == LevelSynced:
			state.evidence, state.walked, state.agreed = nil, walked{}, nil
			state.resumed = true
			t.set(disk.Shard(i), state, LevelUnsynced, now)
			any = true
		case state.level == LevelLeaving: // what is here is handed over all the same
			t.set(disk.Shard(i), state, LevelNone, now)
			any = true
		}
	}
	return any
}
