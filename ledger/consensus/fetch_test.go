package consensus

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// chainNet is a network with the real application, whose one validator makes blocks as fast as it can.
type chainNet struct {
	t        *testing.T
	genesis  *ledger.Genesis
	peers    *consensustest.Members
	signer   *signer.Signer
	keys     string             // the folder of the signer
	key      ed25519.PrivateKey // of the account that speaks for the validator
	operator ledger.KeySet
	every    int64
	beat     time.Duration // between blocks
	kept     int64         // blocks of the validator; 0: all
}

// chainNode is a node of it.
type chainNode struct {
	net    *chainNet
	dir    string
	host   host.Host
	signer *signer.Signer
	sync   Sync
	// lie, unless nil, stands between the application's snapshots and others.
	lie func(Snapshots) Snapshots

	store  *state.Store
	keeper *state.Keeper
	app    *application.Application
	engine *Engine
	stop   context.CancelFunc
	done   chan error
	last   int64 // the last block when it was stopped
}

func newChainNet(t *testing.T, every int64) *chainNet {
	t.Helper()
	n := &chainNet{t: t, peers: new(consensustest.Members), every: every, beat: 10 * time.Millisecond}
	dir := t.TempDir()
	n.keys = dir
	s, err := signer.Generate(dir)
	if err != nil {
		t.Fatal(err)
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n.key, n.operator = key, ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(public)}}
	n.genesis = &ledger.Genesis{
		Network: "chain", Created: time.Now().UTC().Truncate(time.Second), Limits: ledger.DefaultLimits(),
		Validators: []ledger.GenesisValidator{{Key: s.PublicKey(), Power: 10, Operator: n.operator.ID()}},
	}
	if _, err := rand.Read(n.genesis.Salt[:]); err != nil {
		t.Fatal(err)
	}
	if n.signer, err = signer.Bind(dir, ChainID(NetworkID(n.genesis))); err != nil {
		t.Fatal(err)
	}
	return n
}

// node makes a node that does not run yet.
func (n *chainNet) node(s Sync) *chainNode {
	n.t.Helper()
	node := &chainNode{net: n, dir: n.t.TempDir(), host: consensustest.NewHost(n.t, NetworkID(n.genesis), tcp4), sync: s}
	n.peers.Admit(consensustest.InfoOf(node.host))
	n.t.Cleanup(node.halt)
	return node
}

// validator starts the one that makes the blocks, waits for a height, and has it make few from then on, so that others come up to it soon.
func (n *chainNet) validator(height int64) *chainNode {
	n.t.Helper()
	v := n.node(Sync{Mode: Blocks})
	v.signer = n.signer
	v.start()
	v.reach(height)
	v.halt()
	n.beat = time.Second
	v.start()
	return v
}

func (c *chainNode) start() {
	t := c.net.t
	t.Helper()
	network := c.net.genesis.ID()
	var err error
	if c.store, err = state.Open(state.Config{Dir: filepath.Join(c.dir, "state"), Network: network}); err != nil {
		t.Fatal(err)
	}
	if c.keeper, err = state.OpenKeeper(state.KeeperConfig{Dir: filepath.Join(c.dir, "snapshots"), Every: c.net.every, Kept: state.MaxKept}); err != nil {
		t.Fatal(err)
	}
	c.app = application.New(application.Config{Store: c.store, Genesis: c.net.genesis, Keeper: c.keeper, Kept: c.net.kept})
	var snapshots Snapshots = c.app
	if c.lie != nil {
		snapshots = c.lie(c.app)
	}
	c.engine, err = New(Config{
		Dir: c.dir, Host: c.host, Network: NetworkID(c.net.genesis), Genesis: GenesisDoc(c.net.genesis), Application: c.app, Signer: c.signer, Peers: c.net.peers,
		Snapshots: snapshots, Sync: c.sync, Changes: func(first, last int64) ([]int64, error) {
			v := c.store.View()
			heights, err := v.ValidatorChanges(first, last)
			return heights, errors.Join(err, v.Close())
		},
		Logger: logger1(), Timing: Timing{Heartbeat: c.net.beat, Propose: 600 * time.Millisecond, Stall: 20 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop, c.done = stop, make(chan error, 1)
	go func() { c.done <- c.engine.Run(ctx) }()
	select {
	case <-c.engine.Started():
	case err := <-c.done:
		t.Fatalf("the engine did not start: %v", err)
	}
}

// end stops the node if it runs, and returns what its engine said.
func (c *chainNode) end() (err error) {
	if c.stop == nil {
		return nil
	}
	c.stop()
	c.stop = nil
	select {
	case err = <-c.done:
	case <-time.After(patience):
		c.net.t.Error("the engine did not stop")
	}
	c.last = c.store.Tip().Height
	if err := errors.Join(c.keeper.Close(), c.store.Close()); err != nil {
		c.net.t.Error(err)
	}
	return err
}

func (c *chainNode) halt() {
	if err := c.end(); err != nil {
		c.net.t.Errorf("run: %v", err)
	}
}

func (c *chainNode) reach(height int64) {
	c.net.t.Helper()
	eventually(c.net.t, "a height", func() bool { return c.store.Tip().Height >= height })
}

// like waits until a node takes part in consensus, and checks that it has the same state as another after the same block.
func (c *chainNode) like(other *chainNode) {
	t := c.net.t
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.status())
		}
	})
	eventually(t, "a node that has fetched everything", func() bool { return !c.engine.Status().Syncing })
	height := max(c.store.Tip().Height, other.store.Tip().Height) + 1
	c.reach(height)
	other.reach(height)
	a, err := c.engine.AppHash(height)
	if err != nil {
		t.Fatal(err)
	}
	b, err := other.engine.AppHash(height)
	if err != nil || a != b {
		t.Errorf("at block %d the state is %s, at the other node %s: %v", height, a, b, err)
	}
}

func (c *chainNode) status() string { s := c.engine.Status(); return s.fetchingText() }

// newest waits until a node has a snapshot, and returns the last.
func (c *chainNode) newest() (s state.Snapshot) {
	c.net.t.Helper()
	eventually(c.net.t, "a snapshot", func() bool {
		list := c.keeper.List()
		if len(list) > 0 {
			s = list[len(list)-1]
		}
		return len(list) > 0
	})
	return s
}

// TestStateSync: a node fetches the state, can be stopped and started at once, and once more when it has lost what CometBFT noted; and another one fetches it from that one alone.
func TestStateSync(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 20)
	v := n.validator(45)
	late := n.node(Sync{Behind: 30})
	late.start()
	late.like(v)
	base := late.engine.Status().Base
	if base < 21 {
		t.Errorf("it has blocks from %d on, and so did not fetch the state", base)
	}
	late.halt()
	late.start()
	late.like(v)
	if again := late.engine.Status().Base; again != base {
		t.Errorf("started again it has blocks from %d on, before from %d", again, base)
	}

	late.halt()
	if err := os.RemoveAll(filepath.Join(late.dir, "chain")); err != nil {
		t.Fatal(err)
	}
	late.start()
	late.like(v)
	if again := late.engine.Status().Base; again < base {
		t.Errorf("the state was not fetched anew: blocks from %d on", again)
	}

	// From somebody who has no block since the first, blocks cannot be had; so even a node that lacks little fetches the state. The validator is away, and nobody makes blocks.
	v.halt()
	n.beat = 100 * time.Millisecond
	v.start()
	eventually(t, "a snapshot of a block that is there", func() bool { return late.newest().Height >= late.engine.Status().Base })
	late.reach(late.newest().Height + 3)
	v.halt()
	n.peers.Expel(v.host.ID())
	later := n.node(Sync{Behind: 1 << 40})
	later.start()
	eventually(t, "the state at a third node", func() bool { return later.store.Tip().Height > 20 })
	want := late.store.Tip().Height
	eventually(t, "the blocks at a third node", func() bool { return later.store.Tip().Height >= want-1 })
	noted := later.engine.Status()
	if noted.Base < 21 {
		t.Errorf("the third node has blocks from %d on", noted.Base)
	}
}

// liar gives out snapshots that are not those of the state.
type liar struct {
	Snapshots
	list  func([]state.Snapshot) []state.Snapshot
	chunk func(height int64, index uint32, chunk []byte, err error) ([]byte, error)

	mu    sync.Mutex
	asked int // guarded by mu
}

func (l *liar) List() []state.Snapshot {
	if l.list == nil {
		return l.Snapshots.List()
	}
	return l.list(l.Snapshots.List())
}

func (l *liar) Chunk(height int64, index uint32) ([]byte, error) {
	l.mu.Lock()
	l.asked++
	l.mu.Unlock()
	c, err := l.Snapshots.Chunk(height, index)
	return l.chunk(height, index, c, err)
}

func (l *liar) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// TestForgedSnapshots: whatever others forge, the node ends with the right state: it turns to those who tell the truth.
func TestForgedSnapshots(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 50)
	v := n.validator(60)
	last := v.last // some time after the last snapshot, where the test makes sense
	for past := last % 50; past < 10 || past > 45; past = last % 50 {
		v.halt()
		n.beat = 10 * time.Millisecond
		v.start()
		v.reach((last/50+1)*50 + 15)
		v.halt()
		n.beat = time.Second
		v.start()
		last = v.last
	}
	forgery := []byte("\x01z\x00\x01x")
	invalid := []byte("not a chunk at all")
	describe := func(height int64, chunk []byte) state.Snapshot {
		return state.Snapshot{Height: height, Chunks: [][sha256.Size]byte{sha256.Sum256(chunk)}}
	}
	// Later ones are looked at first, so these are.
	fake := func(chunk []byte, heights ...int64) *liar {
		return &liar{
			list: func([]state.Snapshot) (list []state.Snapshot) {
				for _, height := range heights {
					list = append(list, describe(height, chunk))
				}
				return list
			},
			chunk: func(int64, uint32, []byte, error) ([]byte, error) { return chunk, nil },
		}
	}
	forged, malformed := fake(forgery, last-3, 1<<40), fake(invalid, last-4)
	bent := &liar{chunk: func(_ int64, _ uint32, c []byte, err error) ([]byte, error) { // the right description, and other chunks
		c = bytes.Clone(c)
		if len(c) > 0 {
			c[len(c)/2] ^= 1
		}
		return c, err
	}}
	missing := &liar{chunk: func(int64, uint32, []byte, error) ([]byte, error) {
		return nil, fault.New(fault.NotFound, "it is gone")
	}}
	for _, l := range []*liar{forged, malformed, bent, missing} {
		node := n.node(Sync{Mode: Blocks})
		node.lie = func(s Snapshots) Snapshots { l.Snapshots = s; return l }
		if l.list == nil { // they say that they have what the validator has
			l.list = func([]state.Snapshot) []state.Snapshot { return v.keeper.List() }
		}
		node.start()
		eventually(t, "a liar with blocks", func() bool { return node.engine.Status().Base > 0 }) // others are not asked
	}
	late := n.node(Sync{Mode: State, find: 2 * time.Second})
	late.start()
	late.like(v)
	if base := late.engine.Status().Base; base < 21 {
		t.Errorf("it has blocks from %d on, and so did not fetch the state", base)
	}
	if forged.times() == 0 || malformed.times() == 0 {
		t.Error("a forged snapshot was not tried, and so shows nothing")
	}
}

// TestNoSnapshots: where nobody has a snapshot, a node fetches the blocks after a while, unless it is told not to; and says so.
func TestNoSnapshots(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 1<<40)
	v := n.validator(15)
	late := n.node(Sync{Behind: 10, find: 50 * time.Millisecond})
	stubborn := n.node(Sync{Mode: State, find: 50 * time.Millisecond})
	late.start()
	stubborn.start()
	eventually(t, "that it says what is missing", func() bool { return strings.Contains(stubborn.status(), "no suitable snapshots") })
	late.like(v)
	if base := late.engine.Status().Base; base != 1 {
		t.Errorf("it has blocks from %d on", base)
	}
	if s := stubborn.engine.Status(); s.Height != 0 || !s.Syncing || s.Fetching.Stage == StageBlocks {
		t.Errorf("it fetches blocks: %+v", s)
	}
}

// TestTrust: a node that is told which block it can trust refuses another history, however it gets the ledger, and goes on in the right one.
func TestTrust(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 10)
	v := n.validator(12)
	hash, err := v.engine.BlockHash(5)
	if err != nil {
		t.Fatal(err)
	}
	other := hash
	other[0] ^= 1
	for _, mode := range []Mode{Auto, Blocks, State} {
		wrong := n.node(Sync{Mode: mode, Trust: &Trust{5, other}})
		wrong.start()
		select {
		case <-wrong.engine.Failed():
		case <-time.After(patience):
			t.Fatalf("%s: another history is followed", mode)
		}
		if tip := wrong.store.Tip(); tip.Height > 0 {
			t.Errorf("%s: it went as far as block %d", mode, tip.Height)
		}
		if err := wrong.end(); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "trusted") {
			t.Errorf("%s: %v", mode, err)
		}
	}
	for _, mode := range []Mode{Blocks, State} {
		right := n.node(Sync{Mode: mode, Trust: &Trust{5, hash}})
		right.start()
		right.like(v)
	}
}

// TestStopWhileFetching: a node whose peers give no chunks stops when it is told to, and starts anew later.
func TestStopWhileFetching(t *testing.T) {
	n := newChainNet(t, 10)
	v := n.validator(12)
	v.newest()
	v.halt()
	silent := &liar{chunk: func(int64, uint32, []byte, error) ([]byte, error) {
		return nil, fault.New(fault.NotFound, "it is gone")
	}}
	v.lie = func(s Snapshots) Snapshots { silent.Snapshots = s; return silent }
	v.start()
	late := n.node(Sync{Mode: State})
	late.start()
	eventually(t, "that a chunk is asked for", func() bool { return silent.times() > 0 })
	if s := late.engine.Status(); s.Fetching.Stage != StageState || s.Fetching.Chunks == 0 {
		t.Errorf("it does not tell what it fetches: %+v", s.Fetching)
	}
	late.halt()
	v.halt()
	v.lie = nil
	v.start()
	late.start()
	late.like(v)
	noGoroutinesAfter(t, late, v)
}

func noGoroutinesAfter(t *testing.T, nodes ...*chainNode) {
	t.Helper()
	for _, n := range nodes {
		n.halt()
	}
	noGoroutines(t)
}

// A wrong configuration is refused.
func TestSyncConfig(t *testing.T) {
	for _, s := range []Sync{{Mode: "fast"}, {Behind: -1}, {Trust: &Trust{}}} {
		if err := s.validate(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if s := (Sync{}).withDefaults(); s.Mode != Auto || s.Behind != DefaultBehind {
		t.Errorf("%+v", s)
	}
}
