package records

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// viewPause is how long changes of the view are gathered before they are acted upon.
	viewPause = 100 * time.Millisecond
	// retryPause is how long a peer that could not be compared with is left alone, and how often what waits is looked at again.
	retryPause = 500 * time.Millisecond
	// maxJobs bounds the peers that are compared with at once.
	maxJobs = 4
	// maxLookups bounds the shards whose holders are looked up at a time.
	maxLookups = 16
	// roundEvery is how often each pair of holders is compared when nothing calls for it earlier, pairsEvery how often it is looked whether something does.
	roundEvery = time.Minute
	pairsEvery = 2 * time.Second
	// otherEvery is how often the one of a pair begins that does not do so otherwise: it takes nothing from the other on trust alone.
	otherEvery = 5 * time.Minute
	// settledAgo is how far back the shared time of a periodic comparison lies: what was written by then has reached all holders it will reach.
	settledAgo = 10 * time.Second
	// saveEvery is how often it is written down in what this peer is synced.
	saveEvery = time.Minute
)

// A repairer keeps the copies where they belong: it catches up in shards that this peer has come to hold, hands over those it holds no more, and compares the rest with the other holders. All
// its fields belong to the goroutine of run, except done.
type repairer struct {
	s        *Store
	busy     map[peer.ID]bool      // compared with at the moment
	after    map[peer.ID]time.Time // not to be asked before
	rounds   map[peer.ID]time.Time // of those with whom this peer holds shards: when the pair is compared again, whatever happens
	seen     int                   // changes of the table when the pairs were looked at last
	lookedAt time.Time             // when that was
	savedAt  time.Time
	saved    shardSet
	damaged  shardSet // shards that catch up because something in them could not be read
	done     chan finished
}

// A finished comparison.
type finished struct {
	peer peer.ID
	job  *job // nil: a round
	err  error
	idle bool // nothing could be done yet
}

func newRepairer(s *Store) *repairer {
	return &repairer{s: s, busy: map[peer.ID]bool{}, after: map[peer.ID]time.Time{}, rounds: map[peer.ID]time.Time{}, done: make(chan finished, maxJobs)}
}

// run repairs until ctx ends, and waits for what it started.
func (r *repairer) run(ctx context.Context) {
	defer r.drain()
	joined := r.s.cfg.Joined
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := r.s.cfg.Viewer.Changed()
		now := r.s.cfg.Now()
		r.s.table.apply(r.s.currentTopology(), now)
		r.save(ctx, now)
		r.mend(ctx, now)
		timer.Reset(r.launch(ctx, now))
		select {
		case <-ctx.Done():
			return
		case f := <-r.done:
			r.end(f)
		case <-joined:
			r.s.table.expectFresh(timestampOf(r.s.cfg.Now().Add(seenWithin)))
			r.s.table.join()
			joined = nil
		case <-timer.C:
		case <-r.s.vigil.woken:
		case <-changed:
			r.s.table.apply(r.s.currentTopology(), r.s.cfg.Now()) // what is answered from here on depends on it
			select {
			case <-time.After(viewPause):
			case <-ctx.Done():
				return
			}
		}
	}
}

func (r *repairer) drain() {
	for len(r.busy) > 0 {
		r.end(<-r.done)
	}
}

func (r *repairer) end(f finished) {
	delete(r.busy, f.peer)
	if f.job != nil {
		r.s.table.finish(f.job)
	}
	if f.err != nil {
		r.s.logger.Debug("comparison failed; tried again soon", "peer", f.peer, "error", f.err)
	}
	if f.err != nil || f.idle {
		r.after[f.peer] = r.s.cfg.Now().Add(retryPause)
		r.seen-- // its pair is looked at again
	}
}

// mend makes shards catch up in which something can't be read, and takes them for whole once they have.
func (r *repairer) mend(ctx context.Context, now time.Time) {
	d := r.s.holder.disk
	var whole []disk.Shard
	for i := range disk.Shards {
		s := disk.Shard(i)
		if !d.Damaged(s) {
			continue
		}
		level := r.s.table.levelAt(s).level
		switch {
		case !r.damaged.has(s):
			r.damaged.add(s)
			r.s.table.doubt(s, now)
		case level == LevelSynced || level == LevelNone && d.Records(s) == 0:
			whole = append(whole, s)
		}
	}
	if len(whole) == 0 {
		return
	}
	if err := d.SetWhole(ctx, whole...); err != nil {
		r.s.logger.Debug("shards that were mended are still marked as damaged", "error", err)
		return
	}
	for _, s := range whole {
		r.damaged.remove(s)
	}
	r.s.logger.Info("damaged shards were made whole from other holders", "shards", len(whole))
}

// launch starts what is due and returns when to look again.
func (r *repairer) launch(ctx context.Context, now time.Time) time.Duration {
	skip := func(id peer.ID) bool { return r.busy[id] || now.Before(r.after[id]) }
	room := maxJobs - len(r.busy)
	if room <= 0 {
		return pairsEvery
	}
	topology := r.s.currentTopology()
	r.deliverHints(ctx, topology, &room)
	var stored shardSet
	for _, s := range r.s.holder.disk.Occupied() {
		stored.add(s)
	}
	todo := r.s.table.plan(now, skip, &stored, room)
	r.lookUp(ctx, todo.lost, skip, &room)
	for id, j := range todo.jobs {
		m, known := topology.view.Member(id)
		if !known && j.member != nil {
			m, known = *j.member, true
		}
		if room == 0 || !known {
			r.s.table.finish(j)
			todo.waiting = true
			continue
		}
		room--
		r.start(ctx, id, j, func(ctx context.Context) (idle bool, err error) { return r.work(ctx, &m, j) })
	}
	r.s.table.reopen(now)
	if r.roundsDue(now) {
		r.startRounds(ctx, topology, now, skip, &room)
	}
	r.forget(now)
	if _, unmet := r.s.table.state(); todo.waiting || unmet {
		return retryPause
	}
	return pairsEvery
}

// nobody stands for the look-ups, of which there is one run at a time, among the peers that are busy.
const nobody peer.ID = ""

// lookUp finds the holders of some of the given shards.
func (r *repairer) lookUp(ctx context.Context, shards []disk.Shard, skip func(peer.ID) bool, room *int) {
	if len(shards) == 0 || *room == 0 || skip(nobody) {
		return
	}
	*room--
	r.start(ctx, nobody, nil, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, transferTimeout)
		defer cancel()
		for _, s := range shards[:min(len(shards), maxLookups)] {
			if _, err := r.s.locate(ctx, s); err != nil {
				return false, err
			}
		}
		return false, nil
	})
}

func (r *repairer) start(ctx context.Context, id peer.ID, j *job, work func(context.Context) (bool, error)) {
	r.busy[id] = true
	r.s.tasks.Go(func() {
		idle, err := work(ctx)
		r.done <- finished{id, j, err, idle}
	})
}

// forget drops the pauses that are over.
func (r *repairer) forget(now time.Time) {
	for id, until := range r.after {
		if now.After(until) {
			delete(r.after, id)
		}
	}
}

// work carries out a job. It reports whether it came to nothing because the other peer is not ready.
func (r *repairer) work(ctx context.Context, m *routing.Member, j *job) (idle bool, err error) {
	set := j.pull
	for i := range set {
		set[i] |= j.hand[i] | j.ask[i]
	}
	upTo := r.s.holder.disk.LastSequence()
	c := comparison{s: r.s, peer: m}
	_, theirs, ours, err := c.digests(ctx, &set, asOfNow, false)
	if err != nil {
		return false, err
	}
	var pull, hand []disk.Shard
	said := map[disk.Shard]standpoint{}
	i := 0
	for s := range set.all() {
		their, our := &theirs[i], &ours[i]
		i++
		said[s] = their.standpoint
		switch {
		case (j.pull.has(s) || j.ask.has(s)) && (same(their, our) || !their.source() && !r.mustForget(our)):
			r.s.learned(s, m.ID, their.standpoint, same(their, our))
		case j.pull.has(s):
			pull = append(pull, s)
		case !j.hand.has(s):
		case same(their, our) && their.level.counts():
			r.handed(ctx, s, m.ID, upTo)
		case their.level.counts():
			hand = append(hand, s)
		default: // handed over only once the other counts
			idle = true
			if j.push.has(s) {
				hand = append(hand, s)
			}
		}
	}
	err = r.pull(ctx, m, pull, said)
	if err == nil {
		err = r.hand(ctx, m, hand, said, upTo)
	}
	return idle && len(pull) == 0, err
}

// source reports whether a peer has records, which a holder may lack though the peer is catching up too, or is no holder.
func (r *report) source() bool { return !r.known || r.sum != [sumSize]byte{} }

// mustForget reports whether this peer, away for longer than deletions are kept, has records that the others may have deleted.
func (r *repairer) mustForget(our *report) bool { return r.s.lapsed != 0 && our.source() }

// learned notes that a shard was compared; equal says that both have the same.
func (s *Store) learned(shard disk.Shard, from peer.ID, said standpoint, equal bool) {
	now := s.cfg.Now()
	s.table.learn(shard, from, said, now)
	if equal && said.level.counts() {
		s.table.compared(shard, from, timestampOf(now), now)
	}
}

// pull catches up in shards.
func (r *repairer) pull(ctx context.Context, m *routing.Member, shards []disk.Shard, said map[disk.Shard]standpoint) error {
	topology := r.s.currentTopology()
	for batch := range slices.Chunk(shards, maxHeadShards) {
		// What only this peer has is brought to those who should have it, unless they fetch it themselves.
		var both, theirs []disk.Shard
		for _, s := range batch {
			if p := topology.place(s); p.holds(m.ID) && said[s].level.counts() && (r.s.lapsed == 0 || said[s].level.certain()) {
				both = append(both, s)
			} else {
				theirs = append(theirs, s)
			}
		}
		c := comparison{s: r.s, peer: m, pull: true, push: true}
		for _, s := range batch {
			if r := (report{standpoint: said[s]}); r.vouches() {
				c.vouched.add(s)
			}
		}
		if err := c.reconcile(ctx, both); err != nil {
			return err
		}
		c.push = false
		if err := c.reconcile(ctx, theirs); err != nil {
			return err
		}
		for _, s := range batch {
			r.s.learned(s, m.ID, said[s], true)
		}
	}
	return nil
}

// hand brings shards to one of their holders.
func (r *repairer) hand(ctx context.Context, m *routing.Member, shards []disk.Shard, said map[disk.Shard]standpoint, upTo uint64) error {
	c := comparison{s: r.s, peer: m, push: true}
	for batch := range slices.Chunk(shards, maxHeadShards) {
		if err := c.reconcile(ctx, batch); err != nil {
			return err
		}
		for _, s := range batch {
			if said[s].level.counts() {
				r.handed(ctx, s, m.ID, upTo)
			}
		}
	}
	return nil
}

// handed notes that a holder has a shard, and removes this peer's copies once all have.
func (r *repairer) handed(ctx context.Context, s disk.Shard, to peer.ID, upTo uint64) {
	all, upTo := r.s.table.hand(s, to, upTo)
	if !all {
		return
	}
	for after, more := (disk.Hash{}), true; more; {
		items, rest, err := r.s.holder.disk.Heads(s, after, maxBatch)
		if err != nil {
			r.s.logger.Warn("copies that were handed over could not be read", "shard", s, "error", err)
			return
		}
		if more = rest && len(items) > 0; more {
			after = items[len(items)-1].Hash
		}
		items = slices.DeleteFunc(items, func(i disk.Item) bool { return i.Head.Sequence > upTo })
		n, err := r.s.holder.disk.Remove(ctx, items)
		if err != nil {
			if ctx.Err() == nil {
				r.s.logger.Warn("copies that were handed over could not be removed", "shard", s, "error", err)
			}
			return
		}
		r.s.metrics.trimmed(n)
	}
	if r.s.holder.disk.Records(s) > 0 { // more came meanwhile
		r.s.table.stray(s)
		return
	}
	r.s.table.release(s, r.s.cfg.Now())
}

// deliverHints brings what was noted for peers that are back.
func (r *repairer) deliverHints(ctx context.Context, t *topology, room *int) {
	for id, hashes := range r.s.holder.hints.due(t) {
		m, known := t.view.Member(id)
		// What is not brought to it now is found by a comparison.
		bring := known && *room > 0 && !r.busy[id]
		var items []disk.Item
		for _, hash := range hashes {
			p := t.place(disk.ShardOf(hash))
			if !p.holds(id) {
				continue
			}
			r.s.table.differ(p.shard, id, r.s.cfg.Now())
			if bring && p.firstBut(id) == r.s.self {
				if head, found, err := r.s.holder.disk.Head(hash); err == nil && found {
					items = append(items, disk.Item{Hash: hash, Head: head})
				}
			}
		}
		if len(items) == 0 {
			continue
		}
		*room--
		r.start(ctx, id, nil, func(ctx context.Context) (bool, error) {
			r.s.metrics.hinted(len(items))
			return false, (&comparison{s: r.s, peer: &m}).give(ctx, items)
		})
	}
}
