package records

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// holdersTimeout bounds how long a member is waited for that is asked for its copy, or for the count of its records.
const holdersTimeout = time.Second

// Holders asks who has which version of a key: all its holders, and as many of the nearest other members.
func (s *Store) Holders(ctx context.Context, text string) (h Holding, err error) {
	if err := s.enter(); err != nil {
		return Holding{}, err
	}
	defer s.tasks.Done()
	defer s.metrics.begin("holders")(&err)
	key, err := ParseKey(text)
	if err != nil {
		return Holding{}, err
	}
	hash := key.hash()
	p, err := s.locate(ctx, disk.ShardOf(hash))
	if err != nil {
		return Holding{}, fmt.Errorf("holders of %q: %w", text, err)
	}
	members := append(slices.Clone(p.holders), p.further(2*s.cfg.Copies)...)
	states := make([]HolderState, len(members))
	s.askEach(ctx, members, func(ctx context.Context, n int) {
		states[n] = s.askHolding(ctx, &p, members[n], hash)
	})
	h = Holding{Key: text, Wanted: p.wanted, Copies: s.cfg.Copies, Quorum: p.quorum}
	for n := range states {
		if states[n].Holder || states[n].Found {
			h.Holders = append(h.Holders, states[n])
		}
	}
	return h, ctx.Err()
}

// askEach calls ask for each of the members, several at once, each bounded in time.
func (s *Store) askEach(ctx context.Context, members []int, ask func(ctx context.Context, n int)) {
	var group errgroup.Group
	group.SetLimit(maxListCalls)
	for n := range members {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, holdersTimeout)
			defer cancel()
			ask(ctx, n)
			return nil
		})
	}
	_ = group.Wait() // the functions return no errors
}

func (s *Store) askHolding(ctx context.Context, p *placement, i int, hash disk.Hash) HolderState {
	m := p.member(i)
	state := HolderState{ID: m.ID, Zone: m.Zone, Member: m.State, Holder: slices.Contains(p.holders, i)}
	req := request{op: opHolding, hash: hash}
	resp, err := s.ask(ctx, m, &req, req.marshal())
	if err != nil {
		return state
	}
	state.Answered, state.Level = true, resp.repair.standing.level
	if head := &resp.repair.head; resp.repair.found {
		state.Found, state.Version, state.Since = true, versionOf(head.Rank), timeOf(resp.repair.stored)
		state.Size, state.Deleted, state.Expires = int64(head.Size), head.Deleted, timeOf(head.Expires)
	}
	return state
}

// Standing asks every member how the records are kept that it is first in charge of, and sums that up.
func (s *Store) Standing(ctx context.Context) (st Standing, err error) {
	if err := s.enter(); err != nil {
		return Standing{}, err
	}
	defer s.tasks.Done()
	defer s.metrics.begin("standing")(&err)
	t := s.currentTopology()
	var mu sync.Mutex
	var members []int
	for i := range t.view.Members {
		if t.member(i).State == routing.Dead {
			st.Missing = append(st.Missing, t.id(i))
		} else {
			members = append(members, i)
		}
	}
	req := request{op: opCount}
	encoded := req.marshal()
	s.askEach(ctx, members, func(ctx context.Context, n int) {
		resp, err := s.ask(ctx, t.member(members[n]), &req, encoded)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			st.Missing = append(st.Missing, t.id(members[n]))
			return
		}
		st.Full += resp.repair.counts.full
		st.Below += resp.repair.counts.below
		st.Unreachable += resp.repair.counts.unreachable
	})
	slices.Sort(st.Missing)
	st.Complete = len(st.Missing) == 0 && !t.view.Partial
	return st, ctx.Err()
}

// Leave waits until this peer has handed over all that it holds, once its departure was announced. progress, unless it is nil, is told how many records are left. It is fault.Unavailable when ctx
// ends first, or nobody is there to hand over to.
func (s *Store) Leave(ctx context.Context, progress func(left int64)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.tasks.Done()
	tick := time.NewTicker(leaveCheck)
	defer tick.Stop()
	for {
		t := s.currentTopology()
		if self, _ := t.view.Member(s.self); !self.Leaving {
			return fault.New(fault.Invalid, "the departure was not announced")
		}
		if t.wanted == 0 {
			return fault.New(fault.Unavailable, "no other peer is known that could take over the %d records of this node", s.holder.disk.Count())
		}
		left := s.toHandOver()
		if progress != nil {
			progress(left)
		}
		if left == 0 && s.table.idle() {
			s.saveLevels(ctx, &levels{at: millis(s.cfg.Now())}) // should it come back it has nothing, whatever was noted before
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "%d records were not handed over in time", left)
		case <-s.ctx.Done():
			return fault.New(fault.Unavailable, "the record store is closed")
		case <-tick.C:
		}
	}
}

// leaveCheck is how often a peer that leaves looks how far it has come.
const leaveCheck = 100 * time.Millisecond

func (s *Store) toHandOver() (n int64) {
	for i := range disk.Shards {
		n += int64(s.holder.disk.Records(disk.Shard(i)))
	}
	return n
}

// idle reports whether this peer holds nothing and has nothing to hand over.
func (t *table) idle() bool {
	for i := range disk.Shards {
		if t.levelAt(disk.Shard(i)).level != LevelNone {
			return false
		}
	}
	return true
}

// Announced tells the store that others were told of an absence of up to grace, and wait for this peer: if it is back in time it goes on where it stopped.
func (s *Store) Announced(grace time.Duration) { s.announced.Store(int64(grace)) }

// Export calls take for the signed envelope of every record on this peer's disk, deletions included.
func (s *Store) Export(ctx context.Context, take func(envelope []byte) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.tasks.Done()
	return s.holder.disk.Export(ctx, take)
}

const (
	levelsNote    = "levels"
	levelsVersion = 1
	levelsSize    = 1 + 8 + 8 + shardSetSize
)

// levels are what a peer writes down of its table, for when it starts again.
type levels struct {
	at     uint64 // milliseconds since the Unix epoch
	grace  uint64 // how long others wait for it from then on, in milliseconds; 0: they don't
	synced shardSet
}

func (l *levels) marshal() []byte {
	b := make([]byte, 0, levelsSize)
	b = binary.BigEndian.AppendUint64(append(b, levelsVersion), l.at)
	return append(binary.BigEndian.AppendUint64(b, l.grace), l.synced[:]...)
}

// unmarshalLevels reads what marshal wrote. Anything else means that nothing is known.
func unmarshalLevels(b []byte) (l levels, ok bool) {
	if len(b) != levelsSize || b[0] != levelsVersion {
		return levels{}, false
	}
	l.at, l.grace = binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])
	copy(l.synced[:], b[17:])
	return l, true
}

// resume takes up what this peer was synced in when it stopped.
func (s *Store) resume() error {
	note, err := s.holder.disk.Note(levelsNote)
	if err != nil {
		return err
	}
	l, ok := unmarshalLevels(note)
	if !ok || s.holder.disk.Salvaged() != "" {
		return nil
	}
	now := s.cfg.Now()
	away := now.Sub(timeOf(l.at))
	if away > keepExpired {
		s.lapsed = timestampOf(timeOf(l.at))
		return nil
	}
	waited := l.grace > 0 && away >= 0 && away <= time.Duration(l.grace)*time.Millisecond
	s.table.resume(&l.synced, waited, now)
	return nil
}

// save writes down in what this peer is synced, when that has changed or is long ago.
func (r *repairer) save(ctx context.Context, now time.Time) {
	since := now.Sub(r.savedAt)
	if since < time.Second && since >= 0 {
		return
	}
	synced := r.s.table.synced()
	if synced == r.saved && since < saveEvery && since >= 0 {
		return
	}
	r.savedAt, r.saved = now, synced
	r.s.saveLevels(ctx, &levels{at: millis(now), synced: synced})
}

func (s *Store) saveLevels(ctx context.Context, l *levels) {
	if err := s.holder.disk.SetNote(ctx, levelsNote, l.marshal()); err != nil && ctx.Err() == nil {
		s.logger.Debug("it was not noted in what this peer is in sync; it compares when it starts again", "error", err)
	}
}
