package sim_test

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/sim"
)

// seedOf returns the seed of a test's n-th network: that of the environment, or a random one, plus n.
func seedOf(t *testing.T, n int) uint64 {
	t.Helper()
	text := os.Getenv("MOOT_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("MOOT_SEED: %v", err)
	}
	return seed + uint64(n)
}

// simulate runs body with a network in a bubble of its own, beside other tests that do, and prints the seed and what it cost.
func simulate(t *testing.T, cfg sim.Config, body func(t *testing.T, n *sim.Network)) {
	t.Helper()
	t.Parallel()
	if cfg.Seed == 0 {
		cfg.Seed = seedOf(t, 0)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	real := time.Now()
	synctest.Test(t, func(t *testing.T) {
		t.Logf("MOOT_SEED=%d: %d peers", cfg.Seed, len(cfg.Zones))
		start := time.Now()
		n, err := sim.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			simulated := time.Since(start)
			packets, bytes := n.Traffic()
			checkConduct(t, n)
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("%s of the network's time, %d packets, %d MB", simulated.Round(time.Millisecond), packets, bytes>>20)
		}()
		body(t, n)
	})
	t.Logf("%s of real time", time.Since(real).Round(time.Millisecond))
}

// checkConduct fails the test when a peer was taken for one that misbehaves: all of them run the production code.
func checkConduct(t *testing.T, n *sim.Network) {
	t.Helper()
	for name, count := range n.Counters() {
		if strings.HasPrefix(name, "moot_records_cut_off_total") && count > 0 {
			t.Errorf("%.0f times a peer was cut off: %s", count, name)
		}
	}
}

func TestNetworkMeets(t *testing.T) {
	simulate(t, sim.Config{Zones: sim.SpreadZones(8, "a", "b")}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		l := newLedger()
		l.fill(ctx, t, n, "key", 50, 100)
		if took, err := n.AwaitFullCount(ctx, l.acknowledged(), 5*time.Second); err != nil {
			t.Error(err)
		} else {
			t.Logf("full count after %s", took)
		}
		if err := l.checkValues(ctx, n, 100); err != nil {
			t.Error(err)
		}
	})
}

// wantStates fails the test unless every peer but p comes to see p in the state.
func wantStates(t *testing.T, n *sim.Network, p *sim.Peer, want routing.State) {
	t.Helper()
	const within = 15 * time.Second
	start := time.Now()
	for _, o := range n.Peers() {
		for o != p {
			m, _ := o.View().Member(p.ID())
			if m.State == want {
				break
			}
			if time.Since(start) > within {
				t.Fatalf("%s sees %s as %s after %s, want %s", o, p, m.State, within, want)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func TestFaultsAreSeen(t *testing.T) {
	simulate(t, sim.Config{Zones: sim.SpreadZones(5)}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		peers := n.Peers()
		back := func(what string) {
			t.Helper()
			if err := n.AwaitViews(ctx, 30*time.Second); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		peers[1].Freeze()
		wantStates(t, n, peers[1], routing.Dead)
		peers[1].Thaw()
		back("thawed")

		peers[2].Kill()
		wantStates(t, n, peers[2], routing.Dead)
		if err := peers[2].Start(); err != nil {
			t.Fatal(err)
		}
		back("restarted")

		if err := peers[3].Stop(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		wantStates(t, n, peers[3], routing.Away)
		if err := peers[3].Start(); err != nil {
			t.Fatal(err)
		}
		back("returned")

		n.Partition(peers[:2], peers[2:])
		time.Sleep(20 * time.Second)
		if alive := peers[0].View().Count(routing.Alive); alive != 2 {
			t.Errorf("%d peers are alive in a part of 2", alive)
		}
		n.Heal()
		back("healed")

		n.Block(peers[0], peers[4])
		time.Sleep(20 * time.Second)
		n.Heal()
		back("one-way loss healed")
		n.SetLoss(300)
		time.Sleep(20 * time.Second)
		n.Heal()
		back("random loss healed")
	})
}
