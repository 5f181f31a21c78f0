package sim_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/sim"
)

const (
	// divided is how long a partition lasts: long enough that each side takes the other for dead.
	divided = 15 * time.Second
	// convergeWithin is how long after a network is whole again all its peers must agree on every key.
	convergeWithin    = 60 * time.Second
	partitionValue    = 300
	partitionSameKeys = 20
)

// A read is what a peer answers about a key.
type read struct {
	found   bool
	version records.Version
	value   string
}

// agree returns what all peers that run say of every key, or an error where two differ or one can't say.
func agree(ctx context.Context, n *sim.Network, keys []string) (map[string]read, error) {
	peers := n.Peers()
	answers := make([]map[string]read, len(peers))
	errs := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		answers[i] = map[string]read{}
		wg.Go(func() {
			for _, key := range keys {
				r, err := p.Get(ctx, key, records.GetOptions{})
				switch {
				case err == nil:
					answers[i][key] = read{true, r.Version, string(r.Value)}
				case fault.KindOf(err) == fault.NotFound:
					answers[i][key] = read{}
				default:
					errs[i] = fmt.Errorf("%s: %w", p, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i, p := range peers {
		for _, key := range keys {
			if a, b := answers[0][key], answers[i][key]; a != b {
				return nil, fmt.Errorf("%s is %v %s at %s and %v %s at %s", key, a.found, a.version, peers[0], b.found, b.version, p)
			}
		}
	}
	return answers[0], nil
}

// awaitAgreement waits until all peers say the same of every key, nothing older than what was acknowledged, and all copies are there and equal.
func awaitAgreement(ctx context.Context, t *testing.T, n *sim.Network, l *ledger) {
	t.Helper()
	start := time.Now()
	for {
		err := n.AwaitViews(ctx, convergeWithin)
		var answers map[string]read
		if err == nil {
			_, err = n.AwaitFullCount(ctx, l.acknowledged(), convergeWithin)
		}
		if err == nil {
			answers, err = agree(ctx, n, l.keys())
		}
		if err == nil {
			for key, version := range l.acknowledged() {
				if a := answers[key]; !a.found || a.version.Compare(version) < 0 {
					t.Errorf("%s is %v %s in the end, acknowledged was %s", key, a.found, a.version, version)
				}
			}
			t.Logf("%d keys written, %d acknowledged; all %d peers agree %s after the network was whole again",
				len(l.keys()), len(l.acknowledged()), len(n.Peers()), time.Since(start).Round(time.Millisecond))
			return
		}
		if time.Since(start) > convergeWithin {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// writeApart writes through every peer: keys of its own, and keys that all write, some of them so that one copy is enough.
func writeApart(ctx context.Context, n *sim.Network, l *ledger, phase string, each int) {
	var wg sync.WaitGroup
	for _, p := range n.Peers() {
		wg.Go(func() {
			for i := range each {
				level := records.Quorum
				if i%3 == 0 {
					level = records.One
				}
				_ = l.put(ctx, p, fmt.Sprintf("%s/%s/%d", phase, p, i), partitionValue, level) // what fails is counted
				_ = l.put(ctx, p, fmt.Sprintf("same/%d", n.IntN(partitionSameKeys)), partitionValue, level)
				time.Sleep(time.Duration(n.IntN(int(divided) / each)))
			}
		})
	}
	wg.Wait()
}

// fewAndMany are the sizes of the networks that are divided.
func fewAndMany() []int { return sized([]int{1, 2, 3, 4}, []int{1, 2, 3, 4, 16}) }

// TestPartition divides a network, writes on both sides the same and different keys, and heals it.
func TestPartition(t *testing.T) {
	for _, size := range fewAndMany() {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			simulate(t, sim.Config{Zones: sim.SpreadZones(size)}, func(t *testing.T, n *sim.Network) {
				ctx := t.Context()
				l := newLedger()
				writeApart(ctx, n, l, "before", 2)
				all := n.Pick(size)
				n.Partition(all[:size/2], all[size/2:])
				writeApart(ctx, n, l, "apart", sized(3, 8))
				n.Heal()
				awaitAgreement(ctx, t, n, l)
			})
		})
	}
}

// TestOneWayLoss loses what goes from some peers to some others, while the other direction works.
func TestOneWayLoss(t *testing.T) {
	for _, size := range fewAndMany()[1:] {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			simulate(t, sim.Config{Zones: sim.SpreadZones(size)}, func(t *testing.T, n *sim.Network) {
				ctx := t.Context()
				l := newLedger()
				writeApart(ctx, n, l, "before", 2)
				all := n.Pick(size)
				for _, from := range all[:size/2] {
					for _, to := range all[size/2:] {
						n.Block(from, to)
					}
				}
				writeApart(ctx, n, l, "oneway", sized(3, 8))
				n.Heal()
				awaitAgreement(ctx, t, n, l)
			})
		})
	}
}

// TestPacketLoss loses three packets in ten on all links.
func TestPacketLoss(t *testing.T) {
	for _, size := range fewAndMany()[1:] {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			simulate(t, sim.Config{Zones: sim.SpreadZones(size)}, func(t *testing.T, n *sim.Network) {
				ctx := t.Context()
				l := newLedger()
				writeApart(ctx, n, l, "before", 2)
				n.SetLoss(300)
				writeApart(ctx, n, l, "lossy", sized(3, 8))
				n.Heal()
				awaitAgreement(ctx, t, n, l)
			})
		})
	}
}
