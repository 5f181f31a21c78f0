package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

const (
	tcp4 = "/ip4/127.0.0.1/tcp/0"
	tcp6 = "/ip6/::1/tcp/0"
	quic = "/ip4/127.0.0.1/udp/0/quic-v1"
)

// alone returns a running chain of one validator.
func alone(t *testing.T, name string) (*testNet, *testNode) {
	t.Helper()
	n := newNet(t, name, 1, tcp4)
	n.start()
	return n, n.nodes[0]
}

// What is handed in is in a block soon, or refused with a kind that says why.
func TestSubmit(t *testing.T) {
	n, node := alone(t, "submit")
	n.commit("one", node, node)
	for tx, want := range map[string]fault.Kind{
		"one": fault.Conflict, "bad": fault.Invalid, "panic": fault.Invalid, "error": fault.Invalid,
		string(make([]byte, DefaultMaxTransaction+1)): fault.TooLarge,
	} {
		if err := node.engine.Submit(t.Context(), []byte(tx)); err == nil || fault.KindOf(err) != want {
			t.Errorf("%.10q: %v, want %v", tx, err, want)
		}
	}
	n.commit("two", node, node)
	if err := node.engine.Health(); err != nil {
		t.Errorf("not healthy: %v", err)
	}
	heights := node.engine.LatestHeight()
	err := node.engine.Read(func(blocks *store.BlockStore, states sm.Store) error {
		for h := int64(1); h <= heights; h++ {
			if b := blocks.LoadBlock(h); b == nil || b.ChainID != n.genesis.ChainID {
				return fmt.Errorf("block %d: %v", h, b)
			}
		}
		_, err := states.Load()
		return err
	})
	if err != nil {
		t.Error(err)
	}
	engine := node.engine
	node.halt()
	if err := engine.Submit(t.Context(), []byte("late")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("submit to a stopped engine: %v", err)
	}
	if engine.LatestHeight() != 0 || len(engine.Members()) != 0 || fault.KindOf(engine.Health()) != fault.Unavailable {
		t.Error("a stopped engine says that it runs")
	}
	if err := engine.Run(t.Context()); fault.KindOf(err) != fault.Conflict {
		t.Errorf("run again: %v", err)
	}
	noGoroutines(t)
}

// The chain's clock goes on without transactions.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	_, node := alone(t, "heartbeat")
	eventually(t, "three empty blocks", func() bool { return node.engine.LatestHeight() >= 4 })
}

// When the application fails, consensus stops and says so; the host, the process, and what can be read go on.
func TestFailure(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(height int64) error{
		"error": func(h int64) error { return errors.New("no more") },
		"panic": func(h int64) error { panic("no more") },
	} {
		t.Run(name, func(t *testing.T) {
			n, node := alone(t, "failure")
			n.commit("one", node, node)
			height := node.engine.LatestHeight()
			other := consensustest.NewHost(t, n.id, tcp4)
			if err := other.Connect(t.Context(), consensustest.InfoOf(node.host)); err != nil {
				t.Fatal(err)
			}
			s := echoStream(t, other, node.host)
			node.breakAt = fails // halt expects an error
			node.app.breakWith(fails)
			if err := node.engine.Submit(t.Context(), []byte("two")); err != nil {
				t.Fatal(err)
			}
			select {
			case <-node.engine.Failed():
			case <-time.After(patience):
				t.Fatal("the failure was not seen")
			}
			if err := node.engine.Health(); err == nil || fault.KindOf(err) != fault.Internal {
				t.Errorf("health: %v", err)
			}
			echo(t, s)
			if got := node.engine.LatestHeight(); got < height {
				t.Errorf("height %d, was %d", got, height)
			}
			if err := node.engine.Submit(t.Context(), []byte("three")); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("submit: %v", err)
			}
			node.stop()
			node.stop = nil
			if err := <-node.done; err == nil || !bytes.Contains([]byte(err.Error()), []byte("no more")) {
				t.Errorf("run returned %v", err)
			}
			echo(t, s)
			// A new start with an application that works goes on with the block that failed.
			node.breakAt = nil
			node.start()
			eventually(t, "the block that failed", func() bool { return node.app.has("two") })
		})
	}
}

// An application that fails while blocks are fetched makes the engine fail, where CometBFT would end the process.
func TestFailureWhileSyncing(t *testing.T) {
	t.Parallel()
	n, validator := alone(t, "failure-sync")
	for i := range 5 {
		n.commit(fmt.Sprint("tx", i), validator, validator)
	}
	late := n.addNode(false)
	late.breakAt = func(h int64) error {
		if h >= 3 {
			return errors.New("no more")
		}
		return nil
	}
	late.start()
	select {
	case <-late.engine.Failed():
	case <-time.After(patience):
		t.Fatal("the failure was not seen")
	}
	if err := late.engine.Health(); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("health: %v", err)
	}
	n.commit("after", validator, validator)
	late.halt()
	late.breakAt = nil
	late.start()
	eventually(t, "the late node", func() bool { return late.app.has("after") })
	n.halt(validator, late)
}

// A process that is killed after a block was saved and before it was executed executes it when it starts again, from what was synced to the disk.
func TestCrash(t *testing.T) {
	t.Parallel()
	n := newNet(t, "crash", 1, tcp4)
	node := n.nodes[0]
	fs := vfs.NewCrashableMem()
	node.fs = fs
	node.start()
	n.commit("one", node, node)
	reached, resume := make(chan struct{}), make(chan struct{})
	node.app.breakWith(func(int64) error {
		close(reached)
		<-resume
		return nil
	})
	if err := node.engine.Submit(t.Context(), []byte("two")); err != nil {
		t.Fatal(err)
	}
	<-reached
	saved := node.engine.LatestHeight()

	after := &testNode{t: t, net: n, dir: t.TempDir(), host: consensustest.NewHost(t, n.id, tcp4), fs: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})}
	// The databases' folder in the clone has the name it had; the write-ahead log and the signer's state are files.
	copyTree(t, filepath.Join(node.dir, "wal"), filepath.Join(after.dir, "wal"))
	copyTree(t, filepath.Join(node.dir, "signer"), filepath.Join(after.dir, "signer"))
	moveTree(t, after.fs, filepath.Join(node.dir, "chain"), filepath.Join(after.dir, "chain"))
	node.app.breakWith(nil)
	close(resume)
	node.halt()

	var err error
	if after.signer, err = signer.Open(filepath.Join(after.dir, "signer"), n.genesis.ChainID); err != nil {
		t.Fatal(err)
	}
	n.nodes = append(n.nodes, after)
	t.Cleanup(after.halt)
	after.start()
	if height, _ := after.app.at(); height < saved {
		t.Errorf("the application is at height %d after the start, block %d was saved", height, saved)
	}
	if !after.app.has("one") || !after.app.has("two") {
		t.Error("transactions are lost")
	}
	n.commit("three", after, after)
	if err := after.signer.Barred(); err != nil {
		t.Errorf("barred after a crash: %v", err)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries { // CopyFS makes files that others can read
		if err := os.Chmod(filepath.Join(to, e.Name()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func moveTree(t *testing.T, fs vfs.FS, from, to string) {
	t.Helper()
	if err := fs.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if ok, err := vfs.Clone(fs, fs, from, to); err != nil || !ok {
		t.Fatalf("the databases are gone: %v", err)
	}
}

// A validator whose state was restored from a backup sees its own signature in the chain, and does not vote.
func TestRestoredValidatorIsBarred(t *testing.T) {
	t.Parallel()
	n, node := alone(t, "restored")
	n.commit("one", node, node)
	node.halt()
	old := filepath.Join(t.TempDir(), "signer")
	copyTree(t, filepath.Join(node.dir, "signer"), old)
	node.start()
	n.commit("two", node, node)
	node.halt()

	var err error
	if node.signer, err = signer.Open(old, n.genesis.ChainID); err != nil {
		t.Fatal(err)
	}
	node.start()
	if err := node.engine.Status().Barred; fault.KindOf(err) != fault.Forbidden {
		t.Fatalf("not barred: %v", err)
	}
	height := node.engine.LatestHeight()
	if err := node.engine.Submit(t.Context(), []byte("three")); err != nil {
		t.Fatal(err)
	}
	// Others may have what it lacks: it looks for that, and makes no block.
	if status := node.engine.Status(); !status.Syncing {
		t.Fatalf("it does not look for blocks: %+v", status)
	}
	if got := node.engine.LatestHeight(); got > height {
		t.Fatalf("block %d was made with a barred key", got)
	}
	// Its owner vouches that nobody else has what it signed: it goes on above what is here.
	if err := node.signer.Vouch(time.Now(), true); err != nil {
		t.Fatal(err)
	}
	node.halt()
	node.start()
	n.commit("four", node, node)
	if err := node.signer.Barred(); err != nil {
		t.Fatal(err)
	}
}

// A chain goes on only with the genesis it began with.
func TestAnotherGenesis(t *testing.T) {
	t.Parallel()
	n, node := alone(t, "genesis")
	n.commit("one", node, node)
	node.halt()
	other := *n.genesis
	other.GenesisTime = other.GenesisTime.Add(time.Second)
	cfg := node.config()
	cfg.Genesis = &other
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); fault.KindOf(err) != fault.Conflict {
		t.Errorf("run: %v", err)
	}
	node.start()
	n.commit("two", node, node)
}

// An engine whose application is ahead of the blocks does not start, and leaves nothing open.
func TestApplicationAhead(t *testing.T) {
	n := newNet(t, "ahead", 1, tcp4)
	node := n.nodes[0]
	cfg := node.config()
	node.app.height, node.app.hash = 17, []byte("x")
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err == nil {
		t.Error("it started")
	}
	noGoroutines(t)
	node.start()
	n.commit("one", node, node)
}

func TestValidate(t *testing.T) {
	n := newNet(t, "validate", 1, tcp4)
	good := n.nodes[0].config()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no folder":      func(c *Config) { c.Dir = "" },
		"no host":        func(c *Config) { c.Host = nil },
		"no network":     func(c *Config) { c.Network[0]++ },
		"no application": func(c *Config) { c.Application = nil },
		"no peers":       func(c *Config) { c.Peers = nil },
		"no genesis":     func(c *Config) { c.Genesis = nil },
		"a long block":   func(c *Config) { c.Genesis.ConsensusParams.Block.MaxBytes = maxBlockBytes + 1 },
		"any block":      func(c *Config) { c.Genesis.ConsensusParams.Block.MaxBytes = -1 },
		"no time":        func(c *Config) { c.Genesis.GenesisTime = time.Time{} },
		"another chain":  func(c *Config) { c.Genesis.ChainID = "x" },
		"transactions":   func(c *Config) { c.MaxTransaction = -1 },
		"time":           func(c *Config) { c.Timing.Vote = -1 },
	} {
		c := good
		g := *good.Genesis
		p := *good.Genesis.ConsensusParams
		g.ConsensusParams = &p
		c.Genesis = &g
		spoil(&c)
		if _, err := New(c); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The metrics are there while the engine runs.
func TestMetrics(t *testing.T) {
	t.Parallel()
	n := newNet(t, "metrics", 1, tcp4)
	node := n.nodes[0]
	r := prometheus.NewRegistry()
	cfg := node.config()
	cfg.Registerer = r
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	eventually(t, "a height in the metrics", func() bool {
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "moot_ledger_height" && f.GetMetric()[0].GetGauge().GetValue() >= 2 { // the second block has the votes for the first
				return len(families) == 11
			}
		}
		return false
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if families, err := r.Gather(); err != nil || len(families) != 0 {
		t.Errorf("%d families are left, %v", len(families), err)
	}
}
