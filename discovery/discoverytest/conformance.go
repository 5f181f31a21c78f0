// Package discoverytest holds what tests of discovery share: the conformance suite that every finder passes, and a
// finder in memory.
package discoverytest

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/discovery"
)

const (
	// patience is the simulated time in which a finder must report repeatedly.
	patience = time.Hour
	// repeats is how many reports are wanted in that time.
	repeats = 3
	// stopTime is the simulated time in which a finder must stop.
	stopTime = time.Second
	// callTime is the simulated time that a call of found takes.
	callTime = time.Millisecond
)

var name = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// TestFinder checks that a finder keeps the contract of discovery.Finder. setup is called in a synctest bubble, once for
// each check, and returns a finder that always has the same peers to find; what it starts must end with t.
func TestFinder(t *testing.T, setup func(t *testing.T) discovery.Finder) {
	checks := map[string]func(*testing.T, discovery.Finder){
		"its name is well-formed and stays":    checkName,
		"it reports again":                     checkRepeats,
		"it returns nil when its context ends": checkStops,
		"it stops at each moment of its start": checkStopsEarly,
		"it does not start after its end":      checkEndedContext,
		"it can be used by several at once":    checkConcurrentUse,
	}
	for what, check := range checks {
		t.Run(what, func(t *testing.T) {
			// The bubble fails the test if a goroutine of the finder is left.
			synctest.Test(t, func(t *testing.T) { check(t, setup(t)) })
		})
	}
}

func checkName(t *testing.T, f discovery.Finder) {
	if n := f.Name(); !name.MatchString(n) || f.Name() != n {
		t.Errorf("name %q, then %q: want a short lower-case name that stays", n, f.Name())
	}
}

func checkRepeats(t *testing.T, f discovery.Finder) {
	r := start(t, f)
	time.Sleep(patience)
	r.stop()
	for id, n := range r.reports() {
		if n < repeats {
			t.Errorf("%s was reported %d times in %v, want at least %d", id, n, patience, repeats)
		}
	}
	if len(r.reports()) == 0 {
		t.Errorf("nothing was reported in %v", patience)
	}
}

func checkStops(t *testing.T, f discovery.Finder) {
	r := start(t, f)
	time.Sleep(time.Minute)
	r.stop()
	time.Sleep(patience) // for a report that comes too late
}

func checkStopsEarly(t *testing.T, f discovery.Finder) {
	for after := range 20 {
		r := start(t, f)
		time.Sleep(time.Duration(after) * callTime / 2)
		r.stop()
	}
}

func checkEndedContext(t *testing.T, f discovery.Finder) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Find(ctx, func(peer.AddrInfo) {}); err != nil {
		t.Errorf("Find with an ended context returned %v, want nil", err)
	}
}

func checkConcurrentUse(t *testing.T, f discovery.Finder) {
	a, b := start(t, f), start(t, f)
	time.Sleep(time.Minute)
	a.stop()
	b.stop()
}

// run is a running finder.
type run struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	counts map[string]int // guarded by mu: reports, by peer id or else address
	over   bool           // guarded by mu: Find has returned
}

func start(t *testing.T, f discovery.Finder) *run {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{t: t, cancel: cancel, ended: make(chan error, 1), counts: make(map[string]int)}
	go func() {
		err := f.Find(ctx, r.found)
		r.mu.Lock()
		r.over = true
		r.mu.Unlock()
		r.ended <- err
	}()
	return r
}

func (r *run) found(info peer.AddrInfo) {
	time.Sleep(callTime)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		r.t.Errorf("%v was reported after Find had returned", info)
	}
	if info.ID == "" && len(info.Addrs) == 0 {
		r.t.Error("a report had neither a peer id nor an address")
	}
	key := info.ID.String()
	if info.ID == "" && len(info.Addrs) > 0 {
		key = info.Addrs[0].String()
	}
	r.counts[key]++
}

func (r *run) reports() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

func (r *run) stop() {
	r.t.Helper()
	start := time.Now()
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Find returned %v, want nil", err)
	}
	if d := time.Since(start); d > stopTime {
		r.t.Errorf("Find took %v to return, want at most %v", d, stopTime)
	}
}
