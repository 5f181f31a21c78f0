package replica_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/replica"
	"github.com/folkmoot/folkmoot/swarm"
)

// patience is how long a test waits for what must come; it is long because the machine may be busy.
const patience = 60 * time.Second

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	consensustest.Eventually(t, patience, what, f)
}

// person is somebody with an account of one key.
type person struct {
	key  ed25519.PrivateKey
	keys ledger.KeySet
	id   ledger.AccountID
}

func newPerson(t *testing.T) *person {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(public)}}
	return &person{key, keys, keys.ID()}
}

// node is a host with a replica, which can be stopped and started.
type node struct {
	net      *testNet
	dir      string
	host     host.Host
	signer   *signer.Signer
	operator *person

	replica *replica.Replica
	stop    context.CancelFunc
	done    chan error
}

// testNet is a network of some validators and some nodes without a vote.
type testNet struct {
	t       *testing.T
	genesis *ledger.Genesis
	peers   *consensustest.Members
	nodes   []*node
	salt    uint64

	sync      consensus.Sync // of nodes that are started from now on
	every     int64          // blocks between snapshots
	heartbeat time.Duration  // the longest time between two blocks
	links     *simnet.Simnet // simulated links between hosts; nil: they are on this machine's own
}

// newNet makes a network of validators that do not run yet.
func newNet(t *testing.T, validators int) *testNet {
	t.Helper()
	return newNetOf(t, validators, ledger.DefaultLimits())
}

// newNetOf makes one with other limits.
func newNetOf(t *testing.T, validators int, limits ledger.Limits) *testNet {
	t.Helper()
	return newNetOn(t, validators, limits, nil)
}

// newNetOn makes one on simulated links.
func newNetOn(t *testing.T, validators int, limits ledger.Limits, links *simnet.Simnet) *testNet {
	t.Helper()
	n := &testNet{t: t, peers: new(consensustest.Members), links: links, heartbeat: time.Second}
	n.genesis = &ledger.Genesis{Network: "test", Created: time.Now().UTC().Truncate(time.Second), Limits: limits}
	for range validators {
		node := &node{net: n, dir: t.TempDir(), operator: newPerson(t)}
		s, err := signer.Generate(filepath.Join(node.dir, "signer"))
		if err != nil {
			t.Fatal(err)
		}
		n.genesis.Validators = append(n.genesis.Validators, ledger.GenesisValidator{Key: s.PublicKey(), Power: 10, Operator: node.operator.id})
		n.nodes = append(n.nodes, node)
	}
	slices.SortFunc(n.genesis.Validators, func(a, b ledger.GenesisValidator) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	for _, node := range n.nodes {
		node.bind()
		node.listen()
	}
	return n
}

// bind says which chain the node's key is for.
func (n *node) bind() {
	n.net.t.Helper()
	s, err := signer.Bind(filepath.Join(n.dir, "signer"), consensus.ChainID(consensus.NetworkID(n.net.genesis)))
	if err != nil {
		n.net.t.Fatal(err)
	}
	n.signer = s
}

// addNode makes a node that does not run yet, without a vote.
func (n *testNet) addNode() *node {
	n.t.Helper()
	node := &node{net: n, dir: n.t.TempDir(), operator: newPerson(n.t)}
	n.nodes = append(n.nodes, node)
	node.listen()
	return node
}

// listen makes the node's host.
func (n *node) listen() {
	t := n.net.t
	t.Helper()
	if id := consensus.NetworkID(n.net.genesis); n.net.links == nil {
		n.host = consensustest.NewHost(t, id, "/ip4/127.0.0.1/tcp/0")
	} else {
		n.host = newSimulatedHost(t, id, n.net.links, slices.Index(n.net.nodes, n))
	}
	t.Cleanup(n.halt)
	n.net.peers.Admit(consensustest.InfoOf(n.host))
}

// newSimulatedHost makes the host of a number on simulated links.
func newSimulatedHost(t *testing.T, id swarm.NetworkID, links *simnet.Simnet, i int) host.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	link := simnet.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
	listen := ma.StringCast(fmt.Sprintf("/ip4/1.0.0.%d/udp/4242/quic-v1", i+1))
	h, err := swarm.NewHost(swarm.Config{Key: key, Network: id, Listen: []ma.Multiaddr{listen}}, simlibp2p.QUICSimnet(links, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// start runs the node's replica.
func (n *node) start() {
	t := n.net.t
	t.Helper()
	var logger *slog.Logger
	if os.Getenv("FOLKMOOT_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	r, err := replica.Open(replica.Config{
		Dir: filepath.Join(n.dir, "ledger"), Host: n.host, Genesis: n.net.genesis, Signer: n.signer, Peers: n.net.peers, Logger: logger, Sync: n.net.sync, SnapshotEvery: n.net.every,
		Timing: consensus.Timing{Heartbeat: n.net.heartbeat, Propose: 600 * time.Millisecond, Stall: 20 * n.net.heartbeat},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n.replica, n.stop, n.done = r, stop, make(chan error, 1)
	go func() { n.done <- r.Run(ctx) }()
	eventually(t, "a started replica", func() bool { return r.Engine().Running })
}

// halt stops the replica if it runs.
func (n *node) halt() {
	if n.stop == nil {
		return
	}
	n.stop()
	n.stop = nil
	select {
	case err := <-n.done:
		if err != nil {
			n.net.t.Errorf("run: %v", err)
		}
		if err := n.replica.Close(); err != nil {
			n.net.t.Errorf("close: %v", err)
		}
	case <-time.After(patience):
		n.net.t.Error("the replica did not stop")
	}
}

func (n *testNet) start() {
	n.t.Helper()
	for _, node := range n.nodes {
		node.start()
	}
}

// sign makes a transaction that some sign.
func (n *testNet) sign(operations []ledger.Operation, by ...*person) *ledger.Transaction {
	n.t.Helper()
	n.salt++
	t := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(10 * time.Minute).UnixMilli(), Salt: n.salt, Operations: operations}}
	for _, p := range by {
		if err := t.Sign(n.genesis.ID(), p.id, &p.keys, p.key); err != nil {
			n.t.Fatal(err)
		}
	}
	return t
}

func (n *testNet) encode(t *ledger.Transaction) []byte {
	n.t.Helper()
	data, err := ledger.EncodeTransaction(t)
	if err != nil {
		n.t.Fatal(err)
	}
	return data
}

// commit hands a transaction in at a node, and returns where it came to be.
func (n *testNet) commit(at *node, t *ledger.Transaction) replica.Place {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	s, err := at.replica.Submit(ctx, n.encode(t))
	if err != nil {
		n.t.Fatalf("submit: %v", err)
	}
	place, err := s.Wait(ctx)
	if err != nil {
		n.t.Fatalf("wait: %v", err)
	}
	return place
}

// everywhere waits until all nodes that run have the block of a place: what a node is asked to do it looks at with the state that it has.
func (n *testNet) everywhere(p replica.Place) {
	n.t.Helper()
	for _, node := range n.nodes {
		if node.stop != nil {
			eventually(n.t, "a block at all nodes", func() bool { return node.replica.Tip().Height >= p.Height })
		}
	}
}

// agree waits until all running nodes have reached a height, and checks that they have the same state there.
func (n *testNet) agree() {
	n.t.Helper()
	target := int64(0)
	for _, node := range n.nodes {
		if node.stop != nil {
			target = max(target, node.replica.Tip().Height)
		}
	}
	roots := make(map[int64]ledger.Hash)
	for i, node := range n.nodes {
		if node.stop == nil {
			continue
		}
		eventually(n.t, "all nodes at one height", func() bool { return node.replica.Engine().Height > target })
		root, err := node.replica.RootBefore(target + 1)
		if err != nil {
			n.t.Fatal(err)
		}
		if other, ok := roots[target]; ok && other != root {
			n.t.Errorf("after block %d node %d has the root %s, and another %s", target, i, root, other)
		}
		roots[target] = root
	}
}

// generate makes a validator's key for a node that has none.
func (n *node) generate() {
	n.net.t.Helper()
	if _, err := signer.Generate(filepath.Join(n.dir, "signer")); err != nil {
		n.net.t.Fatal(err)
	}
	n.bind()
}
