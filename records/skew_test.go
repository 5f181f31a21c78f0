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
