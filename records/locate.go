package records

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// maxLocated bounds the shards whose holders are remembered after a look-up, locatedFor how long they are.
	maxLocated = 1024
	locatedFor = 30 * time.Second
	// standIns are looked up beside the holders of a shard.
	standIns = 3
	// relocateAfter is how long they are remembered though one of them does not answer, or says that it is none.
	relocateAfter = time.Second
)

// A Locator finds the members that are nearest to a point of the key space, where a network is too large to have it all in view. routing.Lookup is one.
type Locator interface {
	// Closest returns up to n members that are alive, nearest first by the XOR of the SHA-256 of their ids with target.
	Closest(ctx context.Context, target [sha256.Size]byte, n int) ([]routing.Member, error)
}

// located are the placements that were looked up lately.
type located struct {
	now   func() time.Time
	found *lru.Cache[disk.Shard, lookedUp]
}

type lookedUp struct {
	placement
	at time.Time
}

func newLocated(now func() time.Time) located {
	found, err := lru.New[disk.Shard, lookedUp](maxLocated)
	if err != nil {
		panic(err) // only for a size below one
	}
	return located{now, found}
}

// get returns a placement that was looked up not long ago.
func (l located) get(s disk.Shard) (placement, bool) {
	found, ok := l.found.Get(s)
	if age := l.now().Sub(found.at); !ok || age < 0 || age >= locatedFor {
		return placement{}, false
	}
	return found.placement, true
}

func (l located) add(s disk.Shard, p placement) { l.found.Add(s, lookedUp{p, l.now()}) }

// doubt has a shard looked up again: one of those that were found answered otherwise than a holder does.
func (l located) doubt(s disk.Shard) {
	if found, ok := l.found.Peek(s); ok && l.now().Sub(found.at) >= relocateAfter {
		l.found.Remove(s)
	}
}

// locate returns who holds a shard: from the view where that has all who are near it, else by asking those who are nearer.
func (s *Store) locate(ctx context.Context, shard disk.Shard) (placement, error) {
	if err := s.awaitJoined(ctx); err != nil {
		return placement{}, err
	}
	t := s.currentTopology()
	if s.cfg.Locator == nil || t.knows(shard) {
		return t.place(shard), nil
	}
	if p, ok := s.located.get(shard); ok {
		return p, nil
	}
	n := s.cfg.Copies + standIns
	if t.zoneCount > 1 {
		n = placeAmong * s.cfg.Copies
	}
	members, err := s.cfg.Locator.Closest(ctx, shard.First(), n)
	if err != nil {
		return placement{}, fmt.Errorf("look up the holders: %w", err)
	}
	for i := range members {
		if m, known := t.view.Member(members[i].ID); known {
			members[i] = m // with what this peer knows of its state
		}
	}
	slices.SortFunc(members, func(a, b routing.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	view := &routing.View{Self: s.self, Members: members, Partial: true}
	l := newLayout(view, s.cfg.Copies, nil)
	p := placement{&topology{view, l}, l.newPlace(shard)}
	s.located.add(shard, p)
	return p, nil
}

// heed takes what a member said, or that it said nothing, as a sign of whether it is still the holder that a look-up found.
func (s *Store) heed(p *placement, i int, said standpoint, err error) {
	if p.places != nil || !slices.Contains(p.holders, i) {
		return // from the view
	}
	if err != nil || said.level == LevelNone || said.level == LevelLeaving {
		s.located.doubt(p.shard)
	}
}
