package records

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestSkews(t *testing.T) {
	for _, tt := range []struct {
		off  []time.Duration // of others' clocks, ahead
		want time.Duration   // that this one is ahead
	}{
		{nil, 0},
		{[]time.Duration{-time.Minute}, time.Minute},
		{[]time.Duration{time.Minute}, -time.Minute},
		{[]time.Duration{-time.Minute, time.Second}, 0},
		{[]time.Duration{-time.Minute, -time.Hour}, time.Minute},
		{[]time.Duration{time.Minute, time.Hour}, -time.Minute},
		{[]time.Duration{-time.Minute, -time.Minute, time.Hour}, time.Minute}, // one lies
		{[]time.Duration{time.Second, time.Second, -24 * time.Hour}, -time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var s skews
			for i, off := range tt.off {
				s.note(peer.ID(fmt.Sprint(i)), uint64(timestampOf(time.Now().Add(off-settledAgo))), time.Now())
			}
			time.Sleep(skewAge)
			if by, peers := s.ahead(time.Now()); by != tt.want || peers != len(tt.off) {
				t.Errorf("%v: ahead by %s of %d peers, want %s", tt.off, by, peers, tt.want)
			}
			time.Sleep(time.Nanosecond)
			if by, peers := s.ahead(time.Now()); by != 0 || peers != 0 {
				t.Errorf("%v: later ahead by %s of %d peers", tt.off, by, peers)
			}
		})
	}
}

// TestSkewsAreBounded: however many peers speak, as many are remembered as there is room for, and those that are there stay.
func TestSkewsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s skews
		s.note("x", asOfNow, time.Now())
		if _, peers := s.ahead(time.Now()); peers != 0 {
			t.Errorf("%d peers told their time without a time", peers)
		}
		for i := range 2 * maxSkews {
			s.note(peer.ID(fmt.Sprint(i)), uint64(timestampOf(time.Now().Add(-settledAgo))), time.Now())
		}
		if _, peers := s.ahead(time.Now()); peers != maxSkews {
			t.Errorf("%d peers are remembered, want %d", peers, maxSkews)
		}
		time.Sleep(skewAge + time.Second)
		s.note("late", uint64(timestampOf(time.Now().Add(-settledAgo))), time.Now())
		if _, peers := s.ahead(time.Now()); peers != 1 {
			t.Errorf("%d peers are remembered when all others are silent", peers)
		}
	})
}

// twoClocks are the wall clock of a machine, which is set and slewed, and one that is not.
type twoClocks struct {
	wall   time.Time
	steady time.Duration
	read   map[int64]time.Duration // the steady clock, by what the wall clock showed then
}

func (c *twoClocks) now() time.Time {
	c.read[c.wall.UnixNano()] = c.steady
	return c.wall
}

func (c *twoClocks) passed(from, to time.Time) time.Duration {
	return c.read[to.UnixNano()] - c.read[from.UnixNano()]
}

// goOn has time pass, in which the wall clock goes further by a part, as when it is set or the machine slept.
func (c *twoClocks) goOn(d, part time.Duration) {
	c.steady += d
	c.wall = c.wall.Add(d + part)
}

// TestSkewsOfAClockThatIsSet: what was heard is kept while the wall clock is slewed, and dropped once it was set, since nothing is known of it then. What is heard after that counts.
func TestSkewsOfAClockThatIsSet(t *testing.T) {
	const off = time.Minute // that this clock is ahead of the other one's
	for _, tt := range []struct {
		name  string
		part  time.Duration
		peers int
		want  time.Duration
	}{
		{"left alone", 0, 1, off},
		{"slewed ahead", maxParted, 1, off + maxParted},
		{"slewed back", -maxParted, 1, off - maxParted},
		{"set ahead", maxParted + time.Millisecond, 0, 0},
		{"set back", -maxParted - time.Millisecond, 0, 0},
		{"set right", -off, 0, 0},
		{"a night's sleep", 8 * time.Hour, 0, 0},
	} {
		c := &twoClocks{wall: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), read: map[int64]time.Duration{}}
		s := skews{passed: c.passed}
		theirs := func(ahead time.Duration) uint64 { return uint64(timestampOf(c.wall.Add(-ahead - settledAgo))) }
		s.note("x", theirs(off), c.now())
		c.goOn(skewAge/2, tt.part)
		if by, peers := s.ahead(c.now()); by != tt.want || peers != tt.peers {
			t.Errorf("%s: ahead by %s of %d peers, want %s of %d", tt.name, by, peers, tt.want, tt.peers)
		}
		c.goOn(time.Second, 0)
		s.note("x", theirs(3*time.Second), c.now())
		c.goOn(time.Second, 0)
		if by, peers := s.ahead(c.now()); by != 3*time.Second || peers != 1 {
			t.Errorf("%s: heard again, ahead by %s of %d peers, want 3s of 1", tt.name, by, peers)
		}
	}
}
