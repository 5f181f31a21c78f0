package records

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
)

// TestConductOfTheBusy: who asks for much for long, within its due, is neither refused nor held up; who asks for more is slowed down to its due, and not cut off as long as it waits for
// answers.
func TestConductOfTheBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConduct(slog.New(slog.DiscardHandler))
		get := costOf(make([]byte, 33))
		start := time.Now()
		const seconds = 30
		for range seconds * 100 {
			for spent := 0.0; spent < c.rate/110; spent += get {
				if err := c.admit(t.Context(), "busy", get); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(start); took != seconds*time.Second {
			t.Errorf("took %s", took)
		}

		start = time.Now()
		var callers sync.WaitGroup
		var served atomic.Int64
		for range maxInFlight {
			callers.Go(func() {
				for time.Since(start) < 4*time.Second {
					if err := c.admit(t.Context(), "busier", get); err != nil {
						t.Error(err)
						return
					}
					served.Add(1)
				}
			})
		}
		callers.Wait()
		if want := c.rate * (4 + loadBurst.Seconds()) / get; math.Abs(float64(served.Load())/want-1) > 0.05 {
			t.Errorf("%d served, want about %.0f", served.Load(), want)
		}
	})
}

// TestConductOfFloods: one peer's flood is bounded, ends in its being cut off, and costs the others nothing.
func TestConductOfFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConduct(slog.New(slog.DiscardHandler))
		var flood sync.WaitGroup
		for range 4 * maxInFlight {
			flood.Go(func() {
				for {
					switch err := c.admit(t.Context(), "flood", costScan); err {
					case nil:
					case errTooMuch:
						time.Sleep(time.Millisecond)
					case errCutOff:
						return
					default:
						t.Error(err)
						return
					}
					if delay, err := c.charge("other", 1e-6); delay > 0 || err != nil {
						t.Errorf("the other waits for %s, %v", delay, err)
						return
					}
				}
			})
		}
		flood.Wait()
		registry := prometheus.NewRegistry()
		registry.MustRegister(c.cuts)
		if counted, err := registry.Gather(); err != nil || len(counted) != 1 || counted[0].Metric[0].Counter.GetValue() != 1 {
			t.Errorf("counted %v, %v", counted, err)
		}
		time.Sleep(cutOffFor - time.Second)
		if err := c.admit(t.Context(), "flood", 1); err != errCutOff {
			t.Errorf("before its time: %v", err)
		}
		time.Sleep(time.Second)
		if err := c.admit(t.Context(), "flood", 1); err != nil {
			t.Errorf("after its time: %v", err)
		}
	})
}

func TestConductIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConduct(slog.New(slog.DiscardHandler))
		for range 1000 { // an honest peer has a bad moment now and then
			c.blame("clumsy", malformed)
			time.Sleep(15 * time.Second)
		}
		if c.cutOff("clumsy") {
			t.Error("cut off for what was long ago")
		}
		for range 10 {
			c.blame("bad", malformed)
		}
		if !c.cutOff("bad") || c.cutOff("clumsy") {
			t.Error("not the one that misbehaves is cut off")
		}
		for i := range 2 * maxAccounts {
			c.blame(peer.ID(rune(i)), lied)
		}
		if n := c.accounts.Len(); n > maxAccounts {
			t.Errorf("%d accounts", n)
		}
	})
}
