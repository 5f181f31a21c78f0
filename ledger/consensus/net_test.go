package consensus

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtcrypto "github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/swarm"
)

// patience is how long a test waits for what must come; it is long because the machine may be busy.
const patience = 2 * time.Minute

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	consensustest.Eventually(t, patience, what, f)
}

// testNode is one host with an engine, which can be stopped and started.
type testNode struct {
	t       *testing.T
	net     *testNet
	dir     string
	host    host.Host
	signer  *signer.Signer
	app     *app
	fs      vfs.FS
	engine  *Engine
	breakAt func(height int64) error
	behind  atomic.Int64 // how far its clock is, in nanoseconds
	mayFail bool         // the engine may have an error to tell when it stops
	// configure changes the engine's configuration; nil: it stays as it is.
	configure func(*Config)
	// application makes an application in place of app; nil: app is used.
	application func() abci.Application

	stop context.CancelFunc
	done chan error
}

// testNet is a network with its genesis.
type testNet struct {
	t       *testing.T // of the part of the test that is under way
	whole   *testing.T // lives as long as the network
	id      swarm.NetworkID
	peers   *consensustest.Members
	genesis *types.GenesisDoc
	nodes   []*testNode
	listen  string
	// heartbeat is the longest time between two blocks.
	heartbeat time.Duration
}

func logger1() *slog.Logger {
	if os.Getenv("FOLKMOOT_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// newNet makes a network of validators that do not run yet.
func newNet(t *testing.T, name string, validators int, listen string) *testNet {
	t.Helper()
	id, err := swarm.OpenNetwork(name)
	if err != nil {
		t.Fatal(err)
	}
	n := &testNet{t: t, whole: t, id: id, peers: new(consensustest.Members), listen: listen, heartbeat: time.Second}
	params := types.DefaultConsensusParams()
	params.Block.MaxBytes = 1 << 20
	n.genesis = &types.GenesisDoc{ChainID: ChainID(id), GenesisTime: time.Now().Add(-time.Minute).UTC(), ConsensusParams: params}
	for range validators {
		node := n.addNode(true)
		key, err := node.signer.GetPubKey()
		if err != nil {
			t.Fatal(err)
		}
		n.genesis.Validators = append(n.genesis.Validators, types.GenesisValidator{PubKey: key, Power: 10})
	}
	return n
}

// addNode makes a node that does not run yet, with a key or without.
func (n *testNet) addNode(vote bool) *testNode {
	n.t.Helper()
	node := &testNode{t: n.whole, net: n, dir: n.whole.TempDir(), host: consensustest.NewHost(n.whole, n.id, n.listen)}
	if vote {
		s, err := signer.Create(filepath.Join(node.dir, "signer"), ChainID(n.id))
		if err != nil {
			n.t.Fatal(err)
		}
		node.signer = s
	}
	n.peers.Admit(consensustest.InfoOf(node.host))
	n.nodes = append(n.nodes, node)
	n.whole.Cleanup(node.halt)
	return node
}

func (n *testNode) config() Config {
	n.app = &app{breakAt: n.breakAt}
	var a abci.Application = n.app
	if n.application != nil {
		a = n.application()
	}
	cfg := Config{
		Dir: n.dir, Host: n.host, Network: n.net.id, Genesis: n.net.genesis, Application: a, Signer: n.signer, Peers: n.net.peers, Logger: logger1(), FS: n.fs,
		Timing: Timing{Heartbeat: n.net.heartbeat, Propose: 600 * time.Millisecond, Stall: 20 * time.Second},
	}
	if n.configure != nil {
		n.configure(&cfg)
	}
	return cfg
}

// start runs the node's engine with a new application.
func (n *testNode) start() {
	n.t.Helper()
	e, err := New(n.config())
	if err != nil {
		n.t.Fatal(err)
	}
	e.clock = func() time.Time { return time.Now().Add(-time.Duration(n.behind.Load())) }
	ctx, stop := context.WithCancel(context.Background())
	n.engine, n.stop, n.done = e, stop, make(chan error, 1)
	go func() { n.done <- e.Run(ctx) }()
	select {
	case <-e.Started():
	case err := <-n.done:
		n.t.Fatalf("the engine did not start: %v", err)
	}
}

// halt stops the engine if it runs.
func (n *testNode) halt() {
	if n.stop == nil {
		return
	}
	n.stop()
	n.stop = nil
	select {
	case err := <-n.done:
		if err != nil && n.breakAt == nil && !n.mayFail {
			n.t.Errorf("run: %v", err)
		}
	case <-time.After(patience):
		n.t.Error("the engine did not stop")
	}
}

// halt stops several nodes at a time.
func (n *testNet) halt(nodes ...*testNode) {
	var all sync.WaitGroup
	for _, node := range nodes {
		all.Go(node.halt)
	}
	all.Wait()
}

func (n *testNet) start() {
	n.t.Helper()
	for _, node := range n.nodes {
		node.start()
	}
}

// commit hands a transaction in at one node and waits until all the given nodes have executed it.
func (n *testNet) commit(tx string, at *testNode, everywhere ...*testNode) {
	n.t.Helper()
	if err := at.engine.Submit(n.t.Context(), []byte(tx)); err != nil {
		n.t.Fatalf("submit %q: %v", tx, err)
	}
	for _, node := range everywhere {
		eventually(n.t, fmt.Sprintf("%q at node %d", tx, slices.Index(n.nodes, node)), func() bool { return node.app.has(tx) })
	}
}

// agree checks that nodes which have executed the same blocks have the same hash.
func (n *testNet) agree() {
	n.t.Helper()
	hashes := make(map[int64]string)
	for i, node := range n.nodes {
		if node.stop == nil {
			continue
		}
		height, hash := node.app.at()
		if other, ok := hashes[height]; ok && other != hash {
			n.t.Errorf("node %d has the hash %s at height %d, another has %s", i, hash, height, other)
		}
		hashes[height] = hash
	}
}

// privateKey reads a node's key from its file.
func privateKey(t *testing.T, n *testNode) cmtcrypto.PrivKey {
	t.Helper()
	return keyIn(t, filepath.Join(n.dir, "signer"))
}

// keyIn reads a validator's key from its folder.
func keyIn(t *testing.T, dir string) cmtcrypto.PrivKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, signer.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cmted25519.PrivKey(key.(ed25519.PrivateKey))
}

// echoStream opens a stream of another protocol between two hosts; echo checks that it still carries something.
func echoStream(t *testing.T, a, b host.Host) network.Stream {
	t.Helper()
	b.SetStreamHandler("/test/echo", func(s network.Stream) {
		buf := make([]byte, 1)
		for {
			if _, err := s.Read(buf); err != nil {
				return
			}
			if _, err := s.Write(buf); err != nil {
				return
			}
		}
	})
	s, err := a.NewStream(t.Context(), b.ID(), "/test/echo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset() })
	return s
}

func echo(t *testing.T, s network.Stream) {
	t.Helper()
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte{'x'}); err != nil {
		t.Fatalf("the other protocol's stream is gone: %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the other protocol's stream is gone: %v", err)
	}
}

// noGoroutines waits until no goroutine runs code of CometBFT or ours.
func noGoroutines(t *testing.T) {
	t.Helper()
	var left []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if left = goroutines(); len(left) == 0 {
			return
		}
	}
	t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
}

func goroutines() (left []string) {
	buf := make([]byte, 8<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		ours := strings.Contains(g, "cometbft") && !strings.Contains(g, "autofile.OpenAutoFile") // see Engine.Run
		ours = ours || strings.Contains(g, "folkmoot/ledger/")
		if ours && !strings.Contains(g, "testing.tRunner") && !strings.Contains(g, "testing.(*M)") {
			left = append(left, g)
		}
	}
	return left
}
