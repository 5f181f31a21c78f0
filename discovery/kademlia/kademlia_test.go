package kademlia

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery"
	"github.com/folkmoot/folkmoot/discovery/discoverytest"
	"github.com/folkmoot/folkmoot/fault"
)

// walker answers each walk with the same peers or error after a while, and notes when it was asked.
type walker struct {
	peers []peer.AddrInfo
	err   error
	takes time.Duration

	mu sync.Mutex
	at []time.Time // guarded by mu
}

func (w *walker) Walk(ctx context.Context) ([]peer.AddrInfo, error) {
	w.mu.Lock()
	w.at = append(w.at, time.Now())
	w.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(w.takes):
		return w.peers, w.err
	}
}

func peers(t *testing.T, n int) []peer.AddrInfo {
	var infos []peer.AddrInfo
	for range n {
		infos = append(infos, peer.AddrInfo{ID: test.RandPeerIDFatal(t), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/1")}})
	}
	return infos
}

func TestConformance(t *testing.T) {
	discoverytest.TestFinder(t, func(t *testing.T) discovery.Finder {
		f, err := New(Config{Walker: &walker{peers: peers(t, 3), takes: 3 * time.Millisecond}, Known: func() int { return 0 }})
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

// walk runs a finder for d and returns the times between its walks, the first from the start, and the number of reports.
func walk(t *testing.T, w *walker, known func() int, d time.Duration) (gaps []time.Duration, reports int) {
	t.Helper()
	f, err := New(Config{Walker: w, Known: known})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	last := time.Now()
	if err := f.Find(ctx, func(peer.AddrInfo) { reports++ }); err != nil {
		t.Errorf("Find: %v", err)
	}
	for _, at := range w.at {
		gaps = append(gaps, at.Sub(last))
		last = at
	}
	return gaps, reports
}

func TestWalksGetRareOnceManyPeersAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gaps, _ := walk(t, &walker{peers: peers(t, 1)}, func() int { return FewPeers }, 2*time.Hour)
		if gaps[0] > 2*FirstWalk || gaps[1] > 2*IntervalBase {
			t.Errorf("first walks after %v, want soon", gaps[:2])
		}
		for i := 1; i < len(gaps); i++ {
			if gaps[i] < IntervalBase || gaps[i] > IntervalLimit*3/2 {
				t.Errorf("walk %d comes %v after the one before", i, gaps[i])
			}
		}
		if n := len(gaps); n < 12 || n > 22 {
			t.Errorf("%d walks in two hours, want about 17", n)
		}
	})
}

func TestLonelyNodeWalksOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		known := func() int {
			if time.Since(start) < 2*time.Hour {
				return FewPeers
			}
			return FewPeers - 1 // peers got lost
		}
		w := &walker{err: errors.New("nobody to ask")}
		gaps, reports := walk(t, w, known, 3*time.Hour)
		if reports != 0 {
			t.Errorf("%d reports from walks that failed", reports)
		}
		at, lonely := time.Duration(0), 0
		for _, gap := range gaps {
			if at += gap; at < 2*time.Hour {
				continue
			}
			lonely++
			if alone := min(gap, at-2*time.Hour); alone > 2*LonelyInterval {
				t.Errorf("a node walked after having been lonely for %v, want at most %v", alone, 2*LonelyInterval)
			}
		}
		if lonely < 60 {
			t.Errorf("%d walks in a lonely hour, want about 100", lonely)
		}
	})
}

func TestWalkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := func() int { return FewPeers }
		if _, reports := walk(t, &walker{peers: peers(t, 2*MaxPeersPerWalk)}, known, 2*FirstWalk); reports != MaxPeersPerWalk {
			t.Errorf("%d peers of one walk were reported, want %d", reports, MaxPeersPerWalk)
		}
		gaps, _ := walk(t, &walker{takes: time.Hour}, known, time.Minute)
		if len(gaps) != 2 || gaps[1] < WalkTimeout || gaps[1] > WalkTimeout+2*IntervalBase {
			t.Errorf("walks that never end came after %v, want the second after %v", gaps, WalkTimeout)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{Known: func() int { return 0 }}, {Walker: &walker{}}} {
		if _, err := New(cfg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("error %v, want fault.Invalid", err)
		}
	}
}
