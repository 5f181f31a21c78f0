package consensus

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// fullNet is a network of validators with the whole application, to which one of them need not keep.
type fullNet struct {
	*testNet
	full []*fullNode
}

// fullNode is a validator with its state, and what was committed there.
type fullNode struct {
	*testNode
	store *state.Store

	mu   sync.Mutex
	done map[ledger.TransactionID]int64 // the heights of transactions, guarded by mu
}

// newFullNet makes a network whose nodes do not run yet. What wrap returns stands in for a node's application.
func newFullNet(t *testing.T, validators int, wrap func(i int, a *application.Application) abci.Application) *fullNet {
	t.Helper()
	n := &fullNet{testNet: &testNet{t: t, whole: t, peers: new(consensustest.Members), listen: tcp4, heartbeat: time.Second}}
	g := &ledger.Genesis{Network: "full", Created: time.Now().Add(-time.Minute).UTC().Truncate(time.Second), Limits: ledger.DefaultLimits()}
	for range validators {
		node := &fullNode{testNode: &testNode{t: t, net: n.testNet, dir: t.TempDir()}, done: make(map[ledger.TransactionID]int64)}
		s, err := signer.Generate(filepath.Join(node.dir, "signer"))
		if err != nil {
			t.Fatal(err)
		}
		g.Validators = append(g.Validators, ledger.GenesisValidator{Key: s.PublicKey(), Power: 10, Operator: ledger.AccountID(s.PublicKey())})
		n.full, n.nodes = append(n.full, node), append(n.nodes, node.testNode)
	}
	slices.SortFunc(g.Validators, func(a, b ledger.GenesisValidator) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	n.id, n.genesis = NetworkID(g), GenesisDoc(g)
	for i, node := range n.full {
		node.open(g, func(a *application.Application) abci.Application { return wrap(i, a) })
	}
	return n
}

// open makes what a node needs to run, except for its engine.
func (n *fullNode) open(g *ledger.Genesis, wrap func(*application.Application) abci.Application) {
	n.t.Helper()
	var err error
	if n.signer, err = signer.Bind(filepath.Join(n.dir, "signer"), n.net.genesis.ChainID); err != nil {
		n.t.Fatal(err)
	}
	n.host = consensustest.NewHost(n.t, n.net.id, tcp4)
	n.net.peers.Admit(consensustest.InfoOf(n.host))
	if n.store, err = state.Open(state.Config{Dir: "state", Network: g.ID(), FS: vfs.NewMem()}); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		n.halt()
		if err := n.store.Close(); err != nil {
			n.t.Error(err)
		}
	})
	n.application = func() abci.Application {
		return wrap(application.New(application.Config{Store: n.store, Genesis: g, Committed: n.committed}))
	}
}

func (n *fullNode) committed(b application.Block) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range b.Results {
		n.done[r.ID] = b.Height
	}
}

func (n *fullNode) height(id ledger.TransactionID) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.done[id]
}

// anchor makes a transaction of a new account, in an envelope of its own.
func (n *fullNet) anchor() (ledger.TransactionID, []byte) {
	n.t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(public)}}
	t := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(10 * time.Minute).UnixMilli(), Operations: []ledger.Operation{&ledger.Anchor{By: keys.ID()}}}}
	if err := t.Sign(ledger.Hash(n.id), keys.ID(), &keys, key); err != nil {
		n.t.Fatal(err)
	}
	return t.ID(ledger.Hash(n.id)), application.EncodeEnvelope(mathrand.Uint64(), [][]byte{ledger.AppendTransaction(nil, t)})
}

// commit hands a transaction in at one node and waits until it was carried out at others.
func (n *fullNet) commit(at *fullNode, everywhere ...*fullNode) {
	n.t.Helper()
	id, envelope := n.anchor()
	if err := at.engine.Submit(n.t.Context(), envelope); err != nil {
		n.t.Fatalf("submit: %v", err)
	}
	for _, node := range everywhere {
		eventually(n.t, "a transaction in a block", func() bool { return node.height(id) > 0 })
	}
}

// agree checks that nodes have the same blocks, and so the same states, up to the height that all have reached.
func (n *fullNet) agree(nodes ...*fullNode) {
	n.t.Helper()
	lowest := nodes[0].engine.LatestHeight()
	for _, node := range nodes {
		lowest = min(lowest, node.engine.LatestHeight())
	}
	if lowest == 0 {
		n.t.Error("a node has no blocks")
	}
	for h := int64(1); h <= lowest; h++ {
		want, err := nodes[0].engine.BlockHash(h)
		if err != nil {
			n.t.Fatal(err)
		}
		for i, node := range nodes[1:] {
			if got, err := node.engine.BlockHash(h); err != nil || got != want {
				n.t.Errorf("block %d of node %d is %s, %v, and another has %s", h, i+1, got, err, want)
			}
		}
	}
}

// powers returns who has voting power at a node.
func (n *fullNode) powers() (keys []ledger.PublicKey) {
	n.t.Helper()
	v := n.store.View()
	defer v.Close()
	err := v.Ascend(ledger.Validators(), func(key, _ []byte) bool {
		keys = append(keys, ledger.PublicKey(key[1:]))
		return true
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return keys
}
