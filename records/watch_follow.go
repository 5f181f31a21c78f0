package records

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// answerTime is how long a member's answer may take, besides the time that it was asked to wait.
	answerTime = 2 * time.Second
	// minPause and maxPause bound the pause before a member that did not answer is asked again.
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
	// eagerMembers is up to how many members are asked to wait as long as they may. In larger networks they are asked in turn, and the turns are short.
	eagerMembers = 128
	turnTime     = 500 * time.Millisecond
	// putOffWait is how long a member is asked to wait while changes of it are put off, and maxPutOff bounds their number: no more is asked of the member before.
	putOffWait = 500 * time.Millisecond
	maxPutOff  = 1024
	// longSilence is how long a member that has never answered counts as heard up to when it was met.
	longSilence = 24 * time.Hour
)

// A mark is up to where a member's changes were handed over.
type mark struct {
	epoch epoch // zero: the member has not answered yet
	after uint64
	// heard is up to when that was all there was, in milliseconds since the Unix epoch.
	heard uint64
}

// A follower asks one member for its changes, again and again. Besides what mu guards, its fields are those of the goroutine that calls run.
type follower struct {
	w      *Watcher
	id     peer.ID
	tag    memberTag
	ctx    context.Context // ends when the member is forgotten, or the watch ends
	cancel context.CancelFunc

	place    mark      // guarded by Watcher.mu; up to where Next has returned all
	silent   bool      // guarded by Watcher.mu; it did not answer last
	departed time.Time // guarded by Watcher.mu; when it left the view; zero while it is in it

	now    mark                     // up to where it was asked
	told   mark                     // the last that was handed to Next
	start  *cursorPlace             // where to begin, if it has the same disk still
	putOff map[disk.Hash]*postponed // changes that could not be confirmed yet; at most maxPutOff and one answer
}

// newFollower returns the follower of a member that came into the view, whose changes before the time heard were delivered. mu is held.
func (w *Watcher) newFollower(id peer.ID, heard uint64) *follower {
	f := &follower{w: w, id: id, tag: tagOf(id), putOff: map[disk.Hash]*postponed{}}
	f.ctx, f.cancel = context.WithCancel(w.ctx)
	if p, ok := w.strangers[f.tag]; ok {
		delete(w.strangers, f.tag)
		f.start, heard = &p, w.resumed
	}
	f.now.heard = heard
	f.place = f.now
	return f
}

// heardUntil returns up to when the member counts as heard. Watcher.mu is held.
func (f *follower) heardUntil(now time.Time) uint64 {
	if f.place.epoch == (epoch{}) {
		return max(f.place.heard, millis(now.Add(-longSilence)))
	}
	return f.place.heard
}

// run asks until the watch ends.
func (f *follower) run() {
	defer f.cancel()
	pause := minPause
	for {
		m, ok := f.awaitMember()
		if !ok {
			return
		}
		err := f.round(&m)
		if f.ctx.Err() != nil {
			return
		}
		f.w.answered(f, err == nil)
		if err == nil {
			pause = minPause
			continue
		}
		f.w.store.logger.Debug("a member does not tell its changes", "peer", f.id, "error", err)
		f.sleep(pause)
		pause = min(2*pause, maxPause)
	}
}

// awaitMember waits until the member may answer. It returns false when the watch has ended.
func (f *follower) awaitMember() (routing.Member, bool) {
	for {
		changed := f.w.store.cfg.Viewer.Changed()
		m, ok := f.w.store.cfg.Viewer.View().Member(f.id)
		if ok && (m.State == routing.Alive || m.State == routing.Suspect) {
			return m, f.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-f.ctx.Done():
			return m, false
		}
	}
}

func (f *follower) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.ctx.Done():
	}
}

// beginAtPresent lets the follower begin with what changes from now on, if the member answers.
func (f *follower) beginAtPresent() {
	m, ok := f.w.store.cfg.Viewer.View().Member(f.id)
	if !ok || m.State != routing.Alive {
		return
	}
	ctx, cancel := context.WithTimeout(f.ctx, helloTimeout)
	defer cancel()
	asked := f.w.store.cfg.Now()
	got, err := f.ask(ctx, &m, &changesRequest{limit: 1})
	if err != nil {
		return
	}
	f.now = mark{epoch: got.epoch, after: got.last, heard: millis(asked)}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.told, f.place = f.now, f.now
}

// begin finds out which disk the member has, and where to begin.
func (f *follower) begin(m *routing.Member) error {
	got, err := f.ask(f.ctx, m, &changesRequest{limit: 1})
	if err != nil {
		return err
	}
	f.now.epoch, f.now.after = got.epoch, 0
	if p := f.start; p != nil && p.epoch == [4]byte(got.epoch[:]) && p.after <= got.last {
		f.now.after = p.after
	}
	f.start = nil
	return nil
}

// restart begins anew: the member has another disk than before.
func (f *follower) restart() {
	f.now.epoch, f.now.after = epoch{}, 0
	for _, p := range f.putOff {
		p.gone = true
	}
}

// round asks once, and hands over what changed.
func (f *follower) round(m *routing.Member) error {
	if f.now.epoch == (epoch{}) {
		if err := f.begin(m); err != nil {
			return err
		}
	}
	f.retry()
	if len(f.putOff) >= maxPutOff {
		f.sleep(putOffWait)
		return nil
	}
	wait, done := f.turn()
	asked := f.w.store.cfg.Now()
	start := time.Now()
	got, err := f.ask(f.ctx, m, &changesRequest{
		epoch: f.now.epoch, after: f.now.after, since: f.w.since(), limit: maxChanges, wait: wait, prefix: f.w.opts.Prefix,
	})
	done()
	if err != nil {
		return err
	}
	if got.epoch != f.now.epoch || got.next < f.now.after {
		f.restart()
		return nil
	}
	f.handOver(got.heads)
	if len(got.heads) == 0 && got.next == f.now.after && time.Since(start) < minPause {
		f.sleep(putOffWait) // it has no room for one more who waits
	}
	f.now.after = got.next
	if got.next >= got.last && len(f.putOff) == 0 {
		f.now.heard = millis(asked)
	}
	return f.tellPlace()
}

// turn waits until the member may be asked, and says for how long it is to wait for a change; done ends the turn.
func (f *follower) turn() (wait time.Duration, done func()) {
	select {
	case f.w.turns <- struct{}{}:
	case <-f.ctx.Done():
		return 0, func() {}
	}
	wait = maxChangesWait
	if len(f.w.store.cfg.Viewer.View().Members) > eagerMembers {
		wait = turnTime
	}
	if len(f.putOff) > 0 {
		wait = min(wait, putOffWait)
	}
	return wait, func() { <-f.w.turns }
}

// tellPlace hands Next the place up to which all was handed over.
func (f *follower) tellPlace() error {
	p := f.now
	for _, late := range f.putOff {
		p.after = min(p.after, late.after)
		if late.gone {
			p.epoch = epoch{}
		}
	}
	if p == f.told {
		return nil
	}
	f.told = p
	return f.w.hand(f.ctx, delivery{member: f, place: p})
}

// ask makes a request to the member, which may be this peer itself.
func (f *follower) ask(ctx context.Context, m *routing.Member, req *changesRequest) (changes, error) {
	ctx, cancel := context.WithTimeout(ctx, req.wait+answerTime)
	defer cancel()
	s := f.w.store
	if m.ID == s.self {
		return feed{disk: s.holder.disk}.changes(ctx, req)
	}
	if s.cfg.Host.Network().Connectedness(m.ID) != network.Connected && len(m.Addrs) > 0 {
		s.cfg.Host.Peerstore().AddAddrs(m.ID, m.Addrs, peerstore.TempAddrTTL)
	}
	answer, err := s.calls.Call(ctx, m.ID, req.marshal())
	if err != nil {
		return changes{}, err
	}
	got, err := unmarshalChanges(answer)
	if err != nil {
		return changes{}, fmt.Errorf("answer of %s: %w", m.ID, err)
	}
	return got, nil
}
