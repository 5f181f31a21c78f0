//go:build sim

package replica_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

const (
	// idleTime is how long nobody does anything, heartbeat the time between two blocks meanwhile, and usedWithin how long a transfer may take after that.
	idleTime   = time.Hour
	heartbeat  = 30 * time.Second
	usedWithin = 5 * time.Second
	// simulatedVariable is set for the process that simulates, and simulated is its exit code when all went well: a test that ends in any other way ends with another one.
	simulatedVariable = "MOOT_TEST_SIMULATED"
	simulated         = 42
)

// TestFullSizeIdle leaves a network of four validators alone for an hour, on a simulated clock and simulated links, and then uses it, and joins it by blocks and by the state.
//
// A write-ahead log of CometBFT leaves goroutines behind that wait for a signal and can't be ended, and a bubble of testing/synctest can't end before they have. So a process of its own simulates, and exits in the middle of the bubble.
func TestFullSizeIdle(t *testing.T) {
	if os.Getenv(simulatedVariable) == "" {
		simulate(t)
		return
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // the goroutine that waits for signals begins here, out of the bubble, where it would hold the clock
	synctest.Test(t, func(t *testing.T) {
		idle(t)
		os.Exit(simulated)
	})
}

// simulate runs the test in a process of its own, on one processor: see the Makefile.
func simulate(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullSizeIdle$", "-test.v", "-test.cpu=1", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), simulatedVariable+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err := cmd.Run()
	t.Logf("%s in %s, processor time %s:\n%s", idleTime, time.Since(began).Round(time.Second), (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(time.Second), tail(out.Bytes()))
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != simulated {
		t.Fatalf("the simulation ended otherwise than it should: %v", err)
	}
}

// tail returns the end of an output, which is long when goroutines are in it.
func tail(out []byte) []byte {
	const most = 32 << 10
	return out[max(0, len(out)-most):]
}

func idle(t *testing.T) {
	links := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(5 * time.Millisecond), Logger: slog.New(slog.DiscardHandler)}
	links.Start()
	n := newNetOn(t, 4, ledger.DefaultLimits(), links)
	n.every, n.heartbeat = 20, heartbeat
	n.start()
	bank, ann := newPerson(t), newPerson(t)
	eur := ledger.AssetID{Code: "EUR", Issuer: bank.id}
	founded := n.commit(n.nodes[0], n.sign([]ledger.Operation{&ledger.DefineAsset{Asset: eur}, &ledger.Issue{Asset: eur, To: ann.id, Amount: amount(100)}}, bank))
	n.everywhere(founded)
	old := n.nodes[0].replica.Tip()
	hash, err := n.nodes[0].replica.BlockHash(old.Height)
	if err != nil {
		t.Fatal(err)
	}

	time.Sleep(idleTime)
	for i, node := range n.nodes {
		tip := node.replica.Tip()
		t.Logf("node %d: block %d of %s ago, was %d", i, tip.Height, time.Since(time.UnixMilli(tip.Time)), old.Height)
		if made, want := tip.Height-old.Height, int64(idleTime/heartbeat); made < want-2 || made > want+2 {
			t.Errorf("node %d: %d blocks while nobody did anything, want about %d", i, made, want)
		}
		if age := time.Since(time.UnixMilli(tip.Time)); age < 0 || age > 2*heartbeat+time.Second {
			t.Errorf("node %d: the ledger's clock is %s behind", i, age)
		}
		if tip.Root != old.Root {
			t.Errorf("node %d: the state has changed", i)
		}
		if err := node.replica.Health(); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}

	pay := func(at *node) {
		t.Helper()
		began := time.Now()
		place := n.commit(at, n.sign([]ledger.Operation{&ledger.Transfer{Asset: eur, From: ann.id, To: bank.id, Amount: amount(1)}}, ann))
		if took := time.Since(began); place.Result.Code != ledger.Applied || took > usedWithin {
			t.Errorf("a transfer: %v after %s", place.Result.Code, took)
		}
		n.everywhere(place)
	}
	pay(n.nodes[1])

	for _, sync := range []consensus.Sync{{Mode: consensus.Blocks}, {Mode: consensus.State}, {Mode: consensus.State, Trust: &consensus.Trust{Height: old.Height, Hash: hash}}} {
		n.sync = sync
		late := n.addNode()
		began := time.Now()
		late.start()
		eventually(t, "a node that has everything", func() bool { return !late.replica.Engine().Syncing })
		t.Logf("joined by %s, trust %v, after %s", sync.Mode, sync.Trust, time.Since(began))
		pay(late)
		if base := late.replica.Engine().Base; base > old.Height+1 != (sync.Mode == consensus.State) {
			t.Errorf("joined by %s, the lowest block is %d", sync.Mode, base)
		}
		r, err := late.replica.BalanceReceipt(t.Context(), bank.id, eur, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(light.Root{Genesis: n.genesis}); err != nil {
			t.Errorf("a receipt of who joined by %s: %v", sync.Mode, err)
		}
	}
	n.agree()
	if t.Failed() {
		os.Exit(1)
	}
}
