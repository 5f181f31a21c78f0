package records

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/routing"
)

// meet starts to follow every member of the view. A watch that begins at the present waits for a moment to hear from them where that is.
func (w *Watcher) meet(atPresent bool) {
	heard := w.resumed
	if atPresent {
		heard = millis(w.started)
	}
	met := w.reconcile(heard)
	if atPresent {
		var group errgroup.Group
		group.SetLimit(maxHellos)
		for _, f := range met {
			group.Go(func() error {
				f.beginAtPresent()
				return nil
			})
		}
		_ = group.Wait() // a follower that has not heard asks again
	}
	for _, f := range met {
		w.tasks.Go(f.run)
	}
}

// followView starts to follow members when they come.
func (w *Watcher) followView() {
	tidy := time.NewTicker(keepDeparted / 24)
	defer tidy.Stop()
	for {
		changed := w.store.cfg.Viewer.Changed()
		for _, f := range w.reconcile(millis(w.store.cfg.Now())) {
			w.tasks.Go(f.run)
		}
		w.assess()
		select {
		case <-changed:
		case <-tidy.C:
		case <-w.ctx.Done():
			return
		}
	}
}

// reconcile compares who is followed with the view. It returns those that have to be followed from now on: what they had before the time heard was delivered.
func (w *Watcher) reconcile(heard uint64) (met []*follower) {
	view, now := w.store.cfg.Viewer.View(), w.store.cfg.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range view.Members {
		id := view.Members[i].ID
		if w.members[id] != nil {
			continue
		}
		f := w.newFollower(id, heard)
		w.members[id] = f
		met = append(met, f)
	}
	for id, f := range w.members {
		switch _, in := view.Member(id); {
		case in:
			f.departed = time.Time{}
		case f.departed.IsZero():
			f.departed = now
		case now.Sub(f.departed) > keepDeparted:
			w.forget(f)
		}
	}
	for len(w.members) > max(len(view.Members), maxCursorPlaces) {
		w.forgetOldest()
	}
	if now.Sub(w.started) > keepDeparted {
		clear(w.strangers)
	}
	return met
}

// forget ends a follower. mu is held.
func (w *Watcher) forget(f *follower) {
	delete(w.members, f.id)
	f.cancel()
}

// forgetOldest forgets who has been gone for longest. mu is held, and somebody is gone.
func (w *Watcher) forgetOldest() {
	var oldest *follower
	for _, f := range w.members {
		if !f.departed.IsZero() && (oldest == nil || f.departed.Before(oldest.departed)) {
			oldest = f
		}
	}
	w.forget(oldest)
}

// assess finds out whether so many members are missing that a change may be on them alone.
func (w *Watcher) assess() {
	view := w.store.cfg.Viewer.View()
	quorum := w.store.currentTopology().quorum
	w.mu.Lock()
	defer w.mu.Unlock()
	var missing []peer.ID
	for i := range view.Members {
		m := &view.Members[i]
		if f := w.members[m.ID]; m.State != routing.Alive || f != nil && f.silent {
			missing = append(missing, m.ID)
		}
	}
	if len(missing) < quorum {
		missing = nil
	}
	slices.Sort(missing)
	w.missing = missing
	select {
	case w.news <- struct{}{}:
	default: // Next will look
	}
}

// answered notes whether a member answered last.
func (w *Watcher) answered(f *follower, ok bool) {
	w.mu.Lock()
	same := f.silent == !ok
	f.silent = !ok
	w.mu.Unlock()
	if !same {
		w.assess()
	}
}
