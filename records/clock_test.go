package records

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// A fakeDisk keeps a clock's ceiling.
type fakeDisk struct {
	ceiling Timestamp
	writes  int
	err     error
}

func (d *fakeDisk) store(_ context.Context, t Timestamp) error {
	if d.err != nil {
		return d.err
	}
	d.ceiling = t
	d.writes++
	return nil
}

func TestClockNeverGoesBack(t *testing.T) {
	rng := newRNG(t)
	wall := time.UnixMilli(1_700_000_000_000)
	now := func() time.Time { return wall }
	disk := &fakeDisk{}
	c := newClock(now, 0, disk.store)
	var last Timestamp
	restarts := 0
	for range 20_000 {
		switch rng.IntN(100) {
		case 0: // killed, and the wall clock stepped while it was down
			wall = wall.Add(time.Duration(rng.IntN(2000)-1000) * time.Millisecond)
			c = newClock(now, disk.ceiling, disk.store)
			restarts++
		case 1:
			if err := c.observe(timestampOf(wall.Add(time.Duration(rng.IntN(10)) * time.Second))); err != nil {
				t.Fatal(err)
			}
		default:
			wall = wall.Add(time.Duration(rng.IntN(20)) * time.Millisecond)
		}
		stamp, err := c.next(t.Context())
		if errors.Is(err, context.Canceled) || fault.KindOf(err) == fault.Unavailable && err != nil {
			wall = wall.Add(time.Second) // ahead of the wall clock after many restarts: put off, not given out
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if stamp <= last {
			t.Fatalf("%d after %d", stamp, last)
		}
		if stamp >= disk.ceiling {
			t.Fatalf("stamp %d was given out, the disk knows only %d", stamp, disk.ceiling)
		}
		last = stamp
	}
	if limit := 20_000*20/int(ceilingAhead.Milliseconds()) + 2*restarts + 400; disk.writes > limit {
		t.Errorf("the ceiling was stored %d times, want at most %d", disk.writes, limit)
	}
}

func TestClockBounds(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	disk := &fakeDisk{}
	c := newClock(func() time.Time { return wall }, 0, disk.store)
	if err := c.observe(timestampOf(wall.Add(maxAhead))); err != nil {
		t.Errorf("30s ahead: %v", err)
	}
	if err := c.observe(timestampOf(wall.Add(maxAhead + time.Millisecond))); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("more than 30s ahead: %v", err)
	}
	if stamp, err := c.next(t.Context()); err != nil || stamp <= timestampOf(wall.Add(maxAhead)) {
		t.Errorf("stamp %d, %v; want one after what was observed", stamp, err)
	}
	wall = wall.Add(-time.Second)
	if _, err := c.next(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a stamp that others would put off: %v", err)
	}
	wall = wall.Add(time.Minute)
	disk.err = errors.New("broken")
	if _, err := c.next(t.Context()); !errors.Is(err, disk.err) {
		t.Errorf("a stamp that the disk does not cover: %v", err)
	}
}

func TestClockRests(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	disk := &fakeDisk{}
	c := newClock(func() time.Time { return wall }, 0, disk.store)
	stamp, err := c.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.rest(t.Context()); err != nil || disk.ceiling != stamp+1 {
		t.Errorf("ceiling %d after stamp %d, %v", disk.ceiling, stamp, err)
	}
}
