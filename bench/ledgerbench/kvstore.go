package ledgerbench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/swarm"
)

// kvNetwork are validators that run CometBFT as a node does, with its kvstore in place of the ledger, all in this process. What is handed in is one CometBFT transaction each, over no HTTP and without a signature.
type kvNetwork struct {
	dir   string
	peers []peer.AddrInfo
	nodes []*kvNode
	pad   string
}

// kvNode is one of them.
type kvNode struct {
	host   host.Host
	app    *watched
	engine *consensus.Engine
	stop   context.CancelFunc
	done   chan error
}

// watched is the kvstore, which tells those who wait what is in a block.
type watched struct {
	*kvstore.Application

	mu      sync.Mutex
	block   [][]byte                 // what was decided last, guarded by mu
	waiting map[string]chan struct{} // guarded by mu
}

// FinalizeBlock carries out a block.
func (w *watched) FinalizeBlock(ctx context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	w.mu.Lock()
	w.block = r.Txs
	w.mu.Unlock()
	return w.Application.FinalizeBlock(ctx, r)
}

// Commit keeps it, and tells those who wait.
func (w *watched) Commit(ctx context.Context, r *abci.RequestCommit) (*abci.ResponseCommit, error) {
	answer, err := w.Application.Commit(ctx, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tx := range w.block {
		if c, ok := w.waiting[string(tx)]; ok && err == nil {
			close(c)
			delete(w.waiting, string(tx))
		}
	}
	return answer, err
}

func (w *watched) wait(tx []byte) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{})
	w.waiting[string(tx)] = c
	return c
}

func (w *watched) forget(tx []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, string(tx))
}

// Allowed lets all take part: they are all there are.
func (n *kvNetwork) Allowed(peer.ID) bool { return true }

// Known returns all. They are known before the first runs.
func (n *kvNetwork) Known() []peer.AddrInfo { return n.peers }

// Whole says that those are all.
func (*kvNetwork) Whole() bool { return true }

// openKVStore starts validators with data in a folder that close removes, and returns when they have made a block.
func openKVStore(ctx context.Context, cfg *Config, size int) (_ *kvNetwork, err error) {
	n := &kvNetwork{pad: strings.Repeat("x", max(size-len(kvKey(0)), 1))}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start CometBFT with its kvstore: %w", err), n.close())
		}
	}()
	if n.dir, err = os.MkdirTemp(cfg.Dir, "moot-kvstore-"); err != nil {
		return nil, err
	}
	var list []ledger.GenesisValidator
	for i := range cfg.Validators {
		s, err := signer.Generate(filepath.Join(n.home(i), "signer"))
		if err != nil {
			return nil, err
		}
		list = append(list, ledger.GenesisValidator{Key: s.PublicKey(), Power: 1})
	}
	genesis, err := node.NewGenesis("bench", list)
	if err != nil {
		return nil, err
	}
	for range cfg.Validators {
		h, err := newHost(genesis)
		if err != nil {
			return nil, err
		}
		n.nodes = append(n.nodes, &kvNode{host: h})
		n.peers = append(n.peers, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	}
	for i := range n.nodes {
		if err := n.start(i, genesis); err != nil {
			return nil, err
		}
	}
	return n, n.await(ctx)
}

func (n *kvNetwork) home(i int) string { return filepath.Join(n.dir, fmt.Sprint(i)) }

func newHost(genesis *ledger.Genesis) (host.Host, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	listen, err := ma.NewMultiaddr(loopback)
	if err != nil {
		return nil, err
	}
	return swarm.NewHost(swarm.Config{Key: key, Network: consensus.NetworkID(genesis), Listen: []ma.Multiaddr{listen}})
}

func (n *kvNetwork) start(i int, genesis *ledger.Genesis) error {
	id, one := consensus.NetworkID(genesis), n.nodes[i]
	s, err := signer.Bind(filepath.Join(n.home(i), "signer"), consensus.ChainID(id))
	if err != nil {
		return err
	}
	one.app = &watched{Application: kvstore.NewPersistentApplication(n.home(i)), waiting: make(map[string]chan struct{})}
	one.engine, err = consensus.New(consensus.Config{
		Dir: n.home(i), Host: one.host, Network: id, Genesis: consensus.GenesisDoc(genesis), Application: one.app, Signer: s, Peers: n,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	one.stop, one.done = stop, make(chan error, 1)
	go func() { one.done <- one.engine.Run(ctx) }() // close waits for it
	return nil
}

// await waits until each has all others and a block.
func (n *kvNetwork) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	behind := func(one *kvNode) bool {
		return len(one.engine.Members()) < len(n.nodes)-1 || one.engine.LatestHeight() < 1 || one.engine.Status().Syncing
	}
	for slices.ContainsFunc(n.nodes, behind) {
		for _, one := range n.nodes {
			select {
			case <-one.engine.Failed():
				return one.engine.Health()
			default:
			}
		}
		if err := pause.For(ctx, poll); err != nil {
			return err
		}
	}
	return nil
}

// kvKey is the key of entry i, with what follows keys.
func kvKey(i int) string { return fmt.Sprintf("entry-%010d=", i) }

// put writes an entry at a node, and waits until it is in a block there.
func (n *kvNetwork) put(ctx context.Context, i int) error {
	one, tx := n.nodes[i%len(n.nodes)], []byte(kvKey(i)+n.pad)
	done := one.app.wait(tx)
	if err := one.engine.Submit(ctx, tx); err != nil {
		one.app.forget(tx)
		return err
	}
	select {
	case <-done:
		return nil
	case <-one.engine.Failed():
		return one.engine.Health()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// measure puts it under the load of Config.Callers.
func (n *kvNetwork) measure(ctx context.Context, cfg *Config) (Figures, error) {
	load := func(offset int, d time.Duration) (measure.Result, error) {
		return measure.Run(ctx, measure.Load{Callers: cfg.Callers, Duration: d, Do: func(ctx context.Context, i int) error { return n.put(ctx, offset+i) }})
	}
	warmed, err := load(0, min(cfg.Duration/4, warmUp))
	if err != nil {
		return Figures{}, err
	}
	before := n.nodes[0].engine.LatestHeight()
	result, err := load(warmed.Operations+cfg.Callers, cfg.Duration)
	if err == nil {
		err = result.Failure
	}
	f := figures(LoadSingle, result, 1)
	f.Callers = cfg.Callers
	f.Blocks = n.nodes[0].engine.LatestHeight() - before
	return f, err
}

func (n *kvNetwork) close() error {
	var errs []error
	for _, one := range n.nodes {
		if one.stop != nil {
			one.stop()
		}
	}
	for _, one := range n.nodes {
		if one.done != nil {
			errs = append(errs, <-one.done)
		}
		if one.app != nil {
			errs = append(errs, one.app.Close())
		}
		errs = append(errs, one.host.Close())
	}
	if n.dir != "" {
		errs = append(errs, os.RemoveAll(n.dir))
	}
	return errors.Join(errs...)
}
